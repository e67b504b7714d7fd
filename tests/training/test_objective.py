"""What a step minimises: the parts, their weights, and what each part looks at."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from refusals import refuses

from dermsim.models.network_dermsim import DermSimOutput
from dermsim.training.config import LossConfig
from dermsim.training.losses import (
    batch_hard_triplet_loss,
    distillation_loss,
    focal_loss,
    similarity_distillation_loss,
    supervised_contrastive_loss,
)
from dermsim.training.objective import Truth, class_weights, training_loss
from dermsim.training.training_set import UNLABELLED

LABELS = torch.tensor([0, 1, 4, 5] * 2)
LESIONS = torch.tensor([7, 7, 8, 9] * 2)
TRUTH = Truth(LABELS, instances=torch.arange(4).repeat(2), lesions=LESIONS)


def output(seed: int = 0, malignancy: bool = False) -> DermSimOutput:
    generator = torch.Generator().manual_seed(seed)
    return DermSimOutput(
        logits=torch.randn(8, 7, generator=generator),
        embeddings=torch.randn(8, 16, generator=generator),
        malignancy_logits=torch.randn(8, generator=generator) if malignancy else None,
    )


@pytest.mark.parametrize("kind", ["supcon", "ntxent", "triplet"])
def test_it_is_the_weighted_sum_of_its_parts(kind):
    config = LossConfig(contrastive=kind, contrastive_weight=0.3, cross_entropy_weight=2)
    losses = training_loss(output(), TRUTH, config)
    expected = 0.3 * losses[kind] + 2 * losses["cross_entropy"]
    torch.testing.assert_close(losses["loss"], expected)
    smooth = F.cross_entropy(output().logits, LABELS, label_smoothing=config.label_smoothing)
    torch.testing.assert_close(losses["cross_entropy"], smooth)


def test_a_part_without_weight_is_not_computed():
    only_ce = training_loss(output(), TRUTH, LossConfig(contrastive_weight=0))
    only_supcon = training_loss(output(), TRUTH, LossConfig(cross_entropy_weight=0))
    assert only_ce.keys() == {"loss", "cross_entropy"}
    assert only_supcon.keys() == {"loss", "supcon"}


@pytest.mark.parametrize(
    ("kind", "function"),
    [("supcon", supervised_contrastive_loss), ("triplet", batch_hard_triplet_loss)],
)
def test_positives_are_of_one_diagnosis_or_of_one_lesion(kind, function):
    for positives, groups in [("diagnosis", LABELS), ("lesion", LESIONS)]:
        config = LossConfig(contrastive=kind, positives=positives)
        found = training_loss(output(), TRUTH, config)[kind]
        torch.testing.assert_close(found, function(output().embeddings, groups))


def test_class_bias_shifts_the_logits():
    bias, config = torch.arange(7.0), LossConfig(contrastive_weight=0)
    biased = training_loss(output(), TRUTH, config, class_bias=bias)
    shifted = output()
    shifted.logits = shifted.logits + bias
    torch.testing.assert_close(biased["loss"], training_loss(shifted, TRUTH, config)["loss"])


def test_class_weights_even_out_the_classes():
    counts = torch.tensor([10.0, 40.0, 0.0])
    torch.testing.assert_close(class_weights(counts, 0.0), torch.ones(3))
    weights = class_weights(counts, 1.0)
    assert weights[0] * 10 == pytest.approx((weights[1] * 40).item())
    known = counts.clamp(min=1)
    assert (weights * known).sum() / known.sum() == pytest.approx(1)
    heavy = training_loss(
        output(),
        TRUTH,
        LossConfig(contrastive_weight=0, label_smoothing=0),
        class_weight=torch.tensor([0.0, 0, 0, 0, 0, 1, 0]),
    )
    of_nv = F.cross_entropy(output().logits, LABELS, reduction="none")[LABELS == 5].sum() / 8
    torch.testing.assert_close(heavy["loss"], of_nv)


def test_mixed_views_have_mixed_targets():
    config = LossConfig(contrastive_weight=0, label_smoothing=0)
    shares = 0.3 * F.one_hot(LABELS, 7) + 0.7 * F.one_hot(LABELS.flip(0), 7)
    mixed = training_loss(output(), Truth(LABELS, LABELS, LESIONS, shares), config)["loss"]
    parts = [F.cross_entropy(output().logits, target) for target in (LABELS, LABELS.flip(0))]
    torch.testing.assert_close(mixed, 0.3 * parts[0] + 0.7 * parts[1])


def test_the_second_head_learns_malignancy():
    config = LossConfig(contrastive_weight=0, cross_entropy_weight=0.5, malignancy_weight=2)
    losses = training_loss(output(malignancy=True), TRUTH, config)
    malignant = torch.tensor([1.0, 1, 1, 0] * 2)  # akiec, bcc, mel, nv
    plain = F.binary_cross_entropy_with_logits(output(malignancy=True).malignancy_logits, malignant)
    torch.testing.assert_close(losses["malignancy"], plain)
    torch.testing.assert_close(losses["loss"], 0.5 * losses["cross_entropy"] + 2 * plain)


def test_a_model_without_the_second_head_is_refused():
    config = LossConfig(contrastive_weight=0, malignancy_weight=1)
    with refuses("objective.malignancy_head"):
        training_loss(output(), TRUTH, config)


def test_a_teacher_adds_both_likenesses():
    config = LossConfig(contrastive_weight=0, distillation_weight=0.4)
    pupil, teacher = output(0), output(1)
    losses = training_loss(pupil, TRUTH, config, teacher=teacher)
    expected = distillation_loss(
        pupil.logits, teacher.logits, temperature=config.distillation_temperature
    ) + similarity_distillation_loss(
        pupil.embeddings, teacher.embeddings, temperature=config.temperature
    )
    torch.testing.assert_close(losses["distillation"], expected)
    torch.testing.assert_close(losses["loss"], losses["cross_entropy"] + 0.4 * expected)


def test_mixed_views_are_contrasted_by_what_they_share():
    shares = torch.rand(8, 7, generator=torch.Generator().manual_seed(3)).softmax(dim=1)
    config = LossConfig(cross_entropy_weight=0)
    mixed = Truth(LABELS, torch.arange(4).repeat(2), LESIONS, shares)
    found = training_loss(output(), mixed, config)["supcon"]
    torch.testing.assert_close(found, supervised_contrastive_loss(output().embeddings, shares))


class TestViewsWithoutADiagnosis:
    KNOWN = torch.tensor([True, True, False, False] * 2)
    TRUTH = Truth(
        torch.where(KNOWN, LABELS, UNLABELLED), torch.arange(4).repeat(2), torch.arange(4).repeat(2)
    )

    def test_they_are_contrasted_with_each_other_only(self):
        config = LossConfig(cross_entropy_weight=0)
        embeddings = output().embeddings
        found = training_loss(output(), self.TRUTH, config)["supcon"]
        with_label = supervised_contrastive_loss(embeddings[self.KNOWN], LABELS[self.KNOWN])
        lesions = self.TRUTH.lesions[~self.KNOWN]
        without = supervised_contrastive_loss(embeddings[~self.KNOWN], lesions)
        torch.testing.assert_close(found, (with_label + without) / 2)

    @pytest.mark.parametrize("kind", ["cross_entropy", "malignancy"])
    def test_the_classifiers_do_not_see_them(self, kind):
        config = LossConfig(contrastive_weight=0, malignancy_weight=1)
        found = training_loss(output(malignancy=True), self.TRUTH, config)[kind]
        answers = output(malignancy=True)
        rows = DermSimOutput(
            logits=answers.logits[self.KNOWN],
            embeddings=answers.embeddings[self.KNOWN],
            malignancy_logits=answers.malignancy_logits[self.KNOWN],
        )
        few = Truth(LABELS[self.KNOWN], torch.arange(4), torch.arange(4))
        torch.testing.assert_close(found, training_loss(rows, few, config)[kind])

    def test_mixed_they_are_left_out_of_the_contrast(self):
        shares = torch.rand(8, 7, generator=torch.Generator().manual_seed(3)).softmax(dim=1)
        shares[~self.KNOWN] = 0
        truth = replace(self.TRUTH, shares=shares)
        losses = training_loss(output(), truth, LossConfig())
        rows, shares = output().embeddings[self.KNOWN], shares[self.KNOWN]
        torch.testing.assert_close(losses["supcon"], supervised_contrastive_loss(rows, shares))
        plain = focal_loss(output().logits[self.KNOWN], shares, label_smoothing=0.05)
        torch.testing.assert_close(losses["cross_entropy"], plain)

    def test_a_batch_of_nothing_else_teaches_the_classifiers_nothing(self):
        config = LossConfig(malignancy_weight=1)
        nothing = Truth(torch.full((8,), UNLABELLED), self.TRUTH.instances, self.TRUTH.lesions)
        losses = training_loss(output(malignancy=True), nothing, config)
        assert losses["cross_entropy"] == losses["malignancy"] == 0
        torch.testing.assert_close(losses["loss"], 0.3 * losses["supcon"])
