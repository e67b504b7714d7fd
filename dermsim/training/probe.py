"""Give an encoder that was trained without diagnoses a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.models import DermSimNetwork
from dermsim.models.encode import encode
from dermsim.models.encoder import Processor

if TYPE_CHECKING:
    from datasets import Dataset


def fit_classifier(
    model: DermSimNetwork,
    processor: Processor,
    train: Dataset,
    *,
    balance: float = 1.0,
    strength: float = 0.01,
) -> None:
    """Fit the linear classifier, in place; the backbone stays as it is.

    Multinomial logistic regression on standardised pooled features: the linear evaluation of
    self-supervised encoders (Chen 2020, https://arxiv.org/abs/2002.05709).

    Args:
        model: The encoder, in eval mode.
        processor: Makes its input.
        train: Rows of the `load_ham10000` schema.
        balance: 0 counts images alike, 1 classes, 0.5 by square root.
        strength: Inverse strength of the regularisation, scikit-learn's C.

    Raises:
        ValueError: If a diagnosis has no image.
    """
    labels = np.array(train["dx"])
    counts = np.bincount(labels, minlength=len(CODES))
    if not counts.all():
        missing = CODES[int(counts.argmin())]
        raise Refused("probe.no_image", missing=missing)
    features = encode(model, processor, train["image"]).pooled_features.astype(np.float64)
    scaler = StandardScaler().fit(features)
    weights = counts[labels] ** -balance
    probe = LogisticRegression(C=strength, max_iter=1000).fit(
        scaler.transform(features), labels, sample_weight=weights / weights.mean()
    )
    # On raw features: w·(x - mean) / scale + b, in one weight and one bias.
    weight = probe.coef_ / scaler.scale_
    bias = probe.intercept_ - weight @ scaler.mean_
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(weight))
        model.classifier.bias.copy_(torch.from_numpy(bias))
