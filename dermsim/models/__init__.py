"""The encoder: a timm backbone with a projection head and a classifier, as transformers classes.

Importing any part of it makes the `Auto*` classes of transformers know `model_type = "dermsim"`.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.modeling_dermsim import DermSimModel

AutoConfig.register("dermsim", DermSimConfig, exist_ok=True)
AutoModel.register(DermSimConfig, DermSimModel, exist_ok=True)
AutoModelForImageClassification.register(DermSimConfig, DermSimModel, exist_ok=True)
AutoImageProcessor.register(
    DermSimConfig, image_processor_classes={"pil": DermSimImageProcessor}, exist_ok=True
)

__all__ = ["DermSimConfig", "DermSimImageProcessor", "DermSimModel"]
