"""What transformers knows of dermsim.

Importing it makes the ``Auto*`` classes of transformers know ``"dermsim"``,
``"dermsim_ensemble"`` and ``"dermsim_dual"``, the values of `model_type`.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.configuration_dermsim_dual import DermSimDualConfig
from dermsim.models.configuration_dermsim_ensemble import DermSimEnsembleConfig
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.modeling_dermsim import DermSimForImageClassification, DermSimModel
from dermsim.models.modeling_dermsim_dual import (
    DermSimDualForImageClassification,
    DermSimDualModel,
)
from dermsim.models.modeling_dermsim_ensemble import (
    DermSimEnsembleForImageClassification,
    DermSimEnsembleModel,
)

_CLASSES = (
    (DermSimConfig, DermSimModel, DermSimForImageClassification),
    (DermSimEnsembleConfig, DermSimEnsembleModel, DermSimEnsembleForImageClassification),
    (DermSimDualConfig, DermSimDualModel, DermSimDualForImageClassification),
)

MODELS = {config: model for config, model, _ in _CLASSES}
"""The model of each configuration."""

for _config, _model, _classifier in _CLASSES:
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModel.register(_config, _model, exist_ok=True)
    AutoModelForImageClassification.register(_config, _classifier, exist_ok=True)
    AutoImageProcessor.register(
        _config, image_processor_classes={"pil": DermSimImageProcessor}, exist_ok=True
    )

__all__ = [
    "DermSimConfig",
    "DermSimDualConfig",
    "DermSimDualForImageClassification",
    "DermSimDualModel",
    "DermSimEnsembleConfig",
    "DermSimEnsembleForImageClassification",
    "DermSimEnsembleModel",
    "DermSimForImageClassification",
    "DermSimImageProcessor",
    "DermSimModel",
]
