"""What a loaded checkpoint does with heatmaps and regions, apart from the rest of `DermSim`.

Here photographs meet `dermsim.tasks.explain`, which knows only the square that the encoder sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.explain_methods import DEFAULT, UNMEASURED, VANISHED, Method, methods_for
from dermsim.core.explain_worth import ExplanationWorth, Worth
from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, read_image
from dermsim.engine.answers import SIMILARITY
from dermsim.engine.framing import Frame, cut_region, place_heatmap
from dermsim.tasks.explain import (
    ClassTarget,
    EnrolledTarget,
    Heatmap,
    Layer,
    MalignancyTarget,
    Opened,
    SimilarityTarget,
    Target,
    draw,
    embed_regions,
    has_attention,
    has_maps,
    members,
    open_for,
    stages,
)

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder, Processor
    from dermsim.tasks.classify import Calibration
    from dermsim.tasks.enroll import ClassBank

MALIGNANCY = "malignancy"
"""The target that stands for the malignant diagnoses together against the benign ones."""

Like: TypeAlias = "ImageSource | npt.NDArray[np.floating]"
"""The other case of a likeness: a picture, or its embedding (D,) where there is no picture."""


class Explaining:
    """The part of `DermSim` that says where the encoder looked.

    Attributes:
        model: The encoder, in eval mode.
        processor: Makes its input.
        calibration: What its malignancy is read with.
        worth: What its heatmaps were measured to be worth.
    """

    model: Encoder
    processor: Processor
    calibration: Calibration
    worth: ExplanationWorth | None

    if TYPE_CHECKING:

        def outline(self, image: ImageSource) -> npt.NDArray[np.bool_] | None:
            """See `dermsim.engine.describe.Describing`."""

    def explain(
        self,
        image: ImageSource,
        *,
        method: str = DEFAULT,
        target: str | None = None,
        like: Like | None = None,
        layer: Layer = None,
        smooth: bool = False,
        bank: ClassBank | None = None,
    ) -> Heatmap:
        """Show where an image holds evidence for a diagnosis, or for its likeness to another case.

        Args:
            image: A PIL image, a path, or the bytes of a file.
            method: One of `dermsim.core.explain_methods.METHODS`; by default the one that did best
                on validation, `UNMEASURED` where none was measured. A likeness whose gradient
                vanishes is then explained by occlusion instead.
            target: Diagnosis code, ``"malignancy"``, or the name of a class enrolled in `bank`; by
                default the most probable diagnosis.
            like: Another image, or an embedding (D,): explain why the two are similar instead.
            layer: Where the features are taken: a stage of the backbone by its number, from 0 or
                from the end as -1, or a module by its name; None for where the method was measured,
                and where its heads begin if it was not.
            smooth: Average over the eight turns and mirror images of what the encoder sees: a finer
                and steadier map that takes eight times as long.
            bank: Where enrolled classes are looked up.

        Returns:
            A heatmap over the whole photograph, ``(H, W)``; zero where the encoder does not look.

        Raises:
            ValueError: If an image cannot be read, both `target` and `like` are given, or a name is
                unknown or not for this encoder.

        Examples:
            >>> heatmap = engine.explain(picture, target="mel")
            >>> heatmap.target, heatmap.values.shape
            ('mel', (150, 200))
        """
        (heatmap,) = self.explain_many(
            [image],
            method=method,
            target=target,
            like=like,
            layer=layer,
            smooth=smooth,
            bank=bank,
        )
        return heatmap

    def explain_many(
        self,
        images: Sequence[ImageSource],
        *,
        method: str = DEFAULT,
        target: str | Sequence[str | None] | None = None,
        like: Like | None = None,
        layer: Layer = None,
        smooth: bool = False,
        bank: ClassBank | None = None,
        batch_size: int = 32,
    ) -> list[Heatmap]:
        """Explain many images, a batch at a time.

        Args:
            images: PIL images, paths or bytes.
            method: As for `explain`.
            target: As for `explain`; one for all images, or one for each.
            like: As for `explain`, for all images.
            layer: As for `explain`.
            smooth: As for `explain`.
            bank: As for `explain`.
            batch_size: Images per forward pass.

        Returns:
            One heatmap per image.

        Raises:
            ValueError: As for `explain`, or if there are not as many targets as images.

        Examples:
            >>> [m.target for m in engine.explain_many([picture] * 2, target=["mel", "nv"])]
            ['mel', 'nv']
        """
        if target is not None and like is not None:
            raise Refused("engine_explain.target_and_like")
        named = [target] * len(images) if target is None or isinstance(target, str) else target
        if len(named) != len(images):
            raise Refused(
                "engine_explain.targets", images_count=len(images), named_count=len(named)
            )
        goals = {name: self._target(name, bank) for name in set(named) if name is not None}
        way = self.explanation_method(method)
        other = None if like is None else SimilarityTarget(self._embedding(like))
        found = []
        for start in range(0, len(images), batch_size):
            photographs = [read_image(image) for image in images[start : start + batch_size]]
            looks = self._open(photographs, way, layer, smooth)
            if other is not None:
                targets: list[Target] = [other] * len(photographs)
                names = [SIMILARITY] * len(photographs)
            else:
                asked = zip(named[start : start + batch_size], looks[0].predicted(), strict=True)
                names = [CODES[label] if name is None else name for name, label in asked]
                targets = [goals.get(name) or ClassTarget(LABEL2ID[name]) for name in names]
            maps = draw(looks, targets, names, method=way)
            if other is not None and method == DEFAULT:
                maps = _unvanished(maps, looks, targets)
            found += [self._place(m, p) for m, p in zip(maps, photographs, strict=True)]
        return found

    def explain_likeness(
        self,
        image: ImageSource,
        other: ImageSource,
        *,
        method: str = DEFAULT,
        layer: Layer = None,
        smooth: bool = False,
    ) -> tuple[Heatmap, Heatmap]:
        """Show what makes two images alike, on both.

        Each map explains the cosine of the two embeddings by its own image, the other held fixed.

        Args:
            image: A PIL image, a path, or the bytes of a file.
            other: Another.
            method: As for `explain`.
            layer: As for `explain`.
            smooth: As for `explain`.

        Returns:
            The heatmap of each image over the whole of it; their `score` is the cosine.

        Raises:
            ValueError: As for `explain`.

        Examples:
            >>> from dermsim.data.synthetic import draw_lesion
            >>> here, there = engine.explain_likeness(picture, draw_lesion("mel", seed=1, view=1))
            >>> here.target, here.values.shape, there.values.shape
            ('similarity', (150, 200), (150, 200))
        """
        photographs = [read_image(image), read_image(other)]
        way = self.explanation_method(method)
        looks = self._open(photographs, way, layer, smooth)
        first, second = looks[0].embeddings()
        targets = [SimilarityTarget(second), SimilarityTarget(first)]
        maps = draw(looks, targets, [SIMILARITY] * 2, method=way)
        if method == DEFAULT:
            maps = _unvanished(maps, looks, targets)
        return self._place(maps[0], photographs[0]), self._place(maps[1], photographs[1])

    def embed_regions(
        self,
        images: Sequence[ImageSource],
        regions: Sequence[npt.NDArray[np.generic]] | None = None,
        *,
        batch_size: int = 32,
    ) -> npt.NDArray[np.float32]:
        """Embed a part of each image, to search with as with any other embedding.

        Args:
            images: PIL images, paths or bytes.
            regions: For each image an array ``(H, W)`` of its own size, bool or weights in [0, 1]:
                an outline of the lesion, or the `top_region` of a heatmap. None for the lesion
                itself, as `DermSim.outline` finds it.
            batch_size: Images per forward pass.

        Returns:
            ``(N, D)`` float32, rows of unit length.

        Raises:
            ValueError: If an image cannot be read, or a region has another size, other values, or
                no pixel within the square that the encoder sees; if none are given and the
                checkpoint cannot outline lesions, or finds none in an image.

        Examples:
            >>> lesion = engine.outline(picture)
            >>> engine.embed_regions([picture], [lesion]).shape
            (1, 128)
        """
        if regions is None:
            regions = [self._lesion(image, number) for number, image in enumerate(images)]
        if len(images) != len(regions):
            raise Refused(
                "engine_explain.regions", images_count=len(images), regions_count=len(regions)
            )
        side, frame = self.processor.crop_size["height"], Frame.of(self.processor)
        parts = []
        for start in range(0, len(images), batch_size):
            photographs = [read_image(image) for image in images[start : start + batch_size]]
            cut = [
                cut_region(region, photograph.size, side=side, frame=frame)
                for region, photograph in zip(
                    regions[start : start + batch_size], photographs, strict=True
                )
            ]
            parts.append(embed_regions(self.model, self._pixel_values(photographs), np.stack(cut)))
        if not parts:
            raise Refused("engine_explain.no_image")
        return np.concatenate(parts)

    def _lesion(self, image: ImageSource, number: int) -> npt.NDArray[np.bool_]:
        found = self.outline(image)
        if found is None:
            raise Refused("engine_explain.no_lesion", number=number)
        return found

    def explanation_methods(self) -> tuple[Method, ...]:
        """Return the methods that this encoder can be asked with.

        Examples:
            >>> names = [method.name for method in engine.explanation_methods()]
            >>> "gradcam" in names, "rollout" in names
            (True, False)
        """
        return methods_for(has_attention=has_attention(self.model), has_maps=has_maps(self.model))

    def explanation_method(self, method: str = DEFAULT) -> str:
        """Return the method that is meant: itself, or for `DEFAULT` the one that did best.

        Examples:
            >>> engine.explanation_method(), engine.explanation_method("occlusion")
            ('segeigencam', 'occlusion')
        """
        if method != DEFAULT:
            return method
        return UNMEASURED if self.worth is None else self.worth.default

    def worth_of(self, heatmap: Heatmap, *, layer: Layer = None, smooth: bool = False) -> Worth:
        """Say what a heatmap is worth, as far as that was measured.

        Args:
            heatmap: Of this checkpoint.
            layer: As it was asked for.
            smooth: Likewise.

        Examples:
            >>> worth = engine.worth_of(engine.explain(picture))
            >>> worth.dataset, worth.split, round(worth.figures.energy.value, 2)
            ('HAM10000', 'validation', 0.91)
        """
        if self.worth is None:
            return Worth()
        method = heatmap.method
        return self.worth.shown(
            method,
            other_layer=layer is not None and layer != self.worth.layer(method),
            smooth=smooth,
            likeness=heatmap.target not in (*CODES, MALIGNANCY),
        )

    def explanation_stages(self) -> tuple[str, ...]:
        """Return the stages that `layer` may name by their number, first to last.

        Those of one encoder are called as its modules are. Of an ensemble there are as many as the
        shallowest member has, counted from the end.

        Examples:
            >>> engine.explanation_stages()
            ('blocks.0', 'blocks.1', 'blocks.2', 'blocks.4', 'blocks.6')
        """
        named = [stages(member.backbone) for member in members(self.model)]
        if len(named) == 1:
            return tuple(named[0])
        count = min(map(len, named))
        return tuple(f"stage {stage - count}" for stage in range(count))

    def _open(
        self, photographs: Sequence[Image.Image], method: str, layer: Layer, smooth: bool
    ) -> tuple[Opened, ...]:
        if layer is None and self.worth is not None:
            layer = self.worth.layer(method)
        pixels = self._pixel_values(photographs)
        return open_for(method, self.model, pixels, layer=layer, smooth=smooth)

    def _pixel_values(self, photographs: Sequence[Image.Image]) -> Any:
        inputs = self.processor(list(photographs), return_tensors="pt")
        return inputs.pixel_values.to(self.model.device)

    def _place(self, heatmap: Heatmap, photograph: Image.Image) -> Heatmap:
        return place_heatmap(heatmap, photograph.size, Frame.of(self.processor))

    def _embedding(self, like: Like) -> npt.NDArray[np.floating]:
        if isinstance(like, np.ndarray):
            return like
        (look,) = open_for("gradcam", self.model, self._pixel_values([read_image(like)]))
        return look.embeddings()[0]

    def _target(self, name: str, bank: ClassBank | None) -> Target:
        """Return what a name asks for; a diagnosis means the classifier's, whatever the bank."""
        if name in LABEL2ID:
            return ClassTarget(LABEL2ID[name])
        if name == MALIGNANCY:
            columns = tuple(LABEL2ID[code] for code in MALIGNANT)
            return MalignancyTarget(columns, self.calibration.temperature)
        own = [new.name for new in bank.enrolled] if bank is not None else []
        if bank is not None and name in own:
            head, space = bank.heads[own.index(name)], bank.space
            directions = head.directions * bank.temperature  # cosines, where they are means
            return EnrolledTarget(space.name, directions, head.nearest, space.center, space.scale)
        choices = (*CODES, MALIGNANCY, *own)
        raise Refused("engine_explain.target", name=name, choices=choices)


def _unvanished(
    maps: list[Heatmap], looks: Sequence[Opened], targets: Sequence[Target]
) -> list[Heatmap]:
    """Return maps of a likeness, by occlusion where the gradient of one of them vanishes."""
    if all(heatmap.peak > VANISHED for heatmap in maps):
        return maps
    return draw(looks, targets, [heatmap.target for heatmap in maps], method="occlusion")
