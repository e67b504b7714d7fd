"""What transformers knows of dermsim.

Importing it makes the ``Auto*`` classes of transformers know ``"dermsim"`` and
``"dermsim_ensemble"``, the two values of `model_type`.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.configuration_dermsim_ensemble import DermSimEnsembleConfig
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.modeling_dermsim import DermSimForImageClassification, DermSimModel
from dermsim.models.modeling_dermsim_ensemble import (
    DermSimEnsembleForImageClassification,
    DermSimEnsembleModel,
)

for _config, _model, _classifier in (
    (DermSimConfig, DermSimModel, DermSimForImageClassification),
    (DermSimEnsembleConfig, DermSimEnsembleModel, DermSimEnsembleForImageClassification),
):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModel.register(_config, _model, exist_ok=True)
    AutoModelForImageClassification.register(_config, _classifier, exist_ok=True)
    AutoImageProcessor.register(
        _config, image_processor_classes={"pil": DermSimImageProcessor}, exist_ok=True
    )

__all__ = [
    "DermSimConfig",
    "DermSimEnsembleConfig",
    "DermSimEnsembleForImageClassification",
    "DermSimEnsembleModel",
    "DermSimForImageClassification",
    "DermSimImageProcessor",
    "DermSimModel",
]
