"""Transformers' pipelines for the encoder. Ships beside the weights; imports its sibling alone.

The pipelines of transformers open a picture themselves, and clip one of 16 bits to white on the
way. These hand it to the image processor as it came.
"""

from __future__ import annotations

from typing import Any

from transformers import ImageClassificationPipeline, ImageFeatureExtractionPipeline

from .opening_dermsim import open_picture


class DermSimImageClassificationPipeline(ImageClassificationPipeline):
    """``pipeline("image-classification")``: the calibrated probability of each diagnosis.

    Pictures are whatever `DermSimImageProcessor` takes. The probabilities are those of
    `dermsim.DermSim.predict`, to float32's precision.
    """

    image_processor: Any

    def check_model_type(self, supported_models: Any) -> None:
        """Know the model, which is not among those that transformers lists."""

    def preprocess(  # type: ignore[override]
        self, image: Any, timeout: float | None = None
    ) -> Any:
        """Make the model's input of a picture."""
        inputs = self.image_processor(open_picture(image, timeout=timeout), return_tensors="pt")
        return inputs.to(self.dtype)

    def _forward(self, model_inputs: Any) -> dict[str, Any]:  # type: ignore[override]
        # what is read, and no more: batches are taken apart by what transformers knows
        return {"logits": self.model(**model_inputs).logits}


class DermSimImageFeatureExtractionPipeline(ImageFeatureExtractionPipeline):
    """``pipeline("image-feature-extraction")``: the embedding, ``(1, D)`` of unit length."""

    image_processor: Any

    def preprocess(  # type: ignore[override]
        self, image: Any, timeout: float | None = None, **image_processor_kwargs: Any
    ) -> Any:
        """Make the model's input of a picture."""
        inputs = self.image_processor(
            open_picture(image, timeout=timeout), return_tensors="pt", **image_processor_kwargs
        )
        return inputs.to(self.dtype)

    def _forward(self, model_inputs: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"pooler_output": self.model(**model_inputs).pooler_output}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, pool: bool | None = None, return_tensors: bool = False
    ) -> Any:
        """Return the embedding.

        Args:
            model_outputs: What `_forward` returned.
            pool: None or True: the embedding is pooled.
            return_tensors: Return a tensor in place of nested lists.

        Raises:
            ValueError: If `pool` is False.
        """
        if pool is False:
            raise ValueError(
                "The embedding is pooled, so pool=False is not to be had: for maps call the model "
                "with output_hidden_states=True."
            )
        return super().postprocess(model_outputs, pool=True, return_tensors=return_tensors)
