"""Every loss against a slow loop that follows its paper, and against pytorch-metric-learning."""

import math
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pytorch_metric_learning import losses as reference
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from refusals import refuses

from dermsim.training.losses import (
    batch_hard_triplet_loss,
    distillation_loss,
    focal_loss,
    gather_batch,
    nt_xent_loss,
    similarity_distillation_loss,
    supervised_contrastive_loss,
)

DTYPES = [torch.float32, torch.bfloat16]
CASES = [(8, 4, 2), (17, 16, 3), (64, 128, 7)]  # rows, dimensions, classes


def batch(rows: int, dim: int, classes: int, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(rows)
    embeddings = torch.randn(rows, dim, generator=generator).to(dtype)
    return embeddings, torch.randint(0, classes, (rows,), generator=generator)


def circle(degrees: list[float]) -> torch.Tensor:
    radians = torch.tensor(degrees) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def slow_supcon(embeddings: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    unit = embeddings.double() / embeddings.double().norm(dim=1, keepdim=True)
    rows, terms = range(len(unit)), []
    for i in rows:
        positives = [p for p in rows if p != i and labels[p] == labels[i]]
        if not positives:
            continue
        everyone = sum(math.exp(unit[i] @ unit[a] / temperature) for a in rows if a != i)
        inner = [math.log(math.exp(unit[i] @ unit[p] / temperature) / everyone) for p in positives]
        terms.append(-sum(inner) / len(positives))
    return sum(terms) / len(terms) if terms else 0.0


def slow_batch_hard(embeddings: torch.Tensor, labels: torch.Tensor, margin: float) -> float:
    unit = embeddings.double() / embeddings.double().norm(dim=1, keepdim=True)
    rows, terms = range(len(unit)), []
    for i in rows:
        same = [(unit[i] - unit[j]).norm() for j in rows if j != i and labels[j] == labels[i]]
        other = [(unit[i] - unit[j]).norm() for j in rows if labels[j] != labels[i]]
        if same and other:
            terms.append(max(0.0, float(max(same) - min(other) + margin)))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_supcon_is_the_paper_and_pytorch_metric_learning(case, dtype, temperature):
    embeddings, labels = batch(*case, dtype)
    loss = supervised_contrastive_loss(embeddings, labels, temperature=temperature)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(slow_supcon(embeddings, labels, temperature), abs=1e-5)
    theirs = reference.SupConLoss(temperature=temperature)(embeddings.float(), labels)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("images", [2, 9, 32])
def test_nt_xent_is_the_paper_and_pytorch_metric_learning(images, dtype):
    embeddings, _ = batch(2 * images, 16, 2, dtype)
    instances = torch.arange(images).repeat(2)
    loss = nt_xent_loss(embeddings, instances, temperature=0.2)
    unit = torch.nn.functional.normalize(embeddings.double(), dim=1)
    terms = []
    for i in range(2 * images):
        similar = math.exp(unit[i] @ unit[(i + images) % (2 * images)] / 0.2)
        everyone = sum(math.exp(unit[i] @ unit[k] / 0.2) for k in range(2 * images) if k != i)
        terms.append(-math.log(similar / everyone))
    assert loss.item() == pytest.approx(sum(terms) / len(terms), abs=1e-5)
    theirs = reference.NTXentLoss(temperature=0.2)(embeddings.float(), instances)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_batch_hard_triplet_is_the_paper_and_pytorch_metric_learning(case, dtype):
    embeddings, labels = batch(*case, dtype)
    loss = batch_hard_triplet_loss(embeddings, labels, margin=0.3)
    assert loss.item() == pytest.approx(slow_batch_hard(embeddings, labels, 0.3), abs=1e-5)
    theirs = reference.TripletMarginLoss(margin=0.3, reducer=MeanReducer())
    mined = BatchHardMiner()(embeddings.float(), labels)
    assert loss.item() == pytest.approx(theirs(embeddings.float(), labels, mined).item(), abs=1e-5)


def test_supcon_on_a_circle_by_hand():
    # Two pairs, each 0° apart and 180° from the other: -log(e / (e + 2 / e)) with temperature 1.
    loss = supervised_contrastive_loss(
        circle([0, 0, 180, 180]), torch.tensor([0, 0, 1, 1]), temperature=1
    )
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + 2 / math.e)), abs=1e-6)


def test_triplet_on_a_circle_by_hand():
    # 0° and 60° are one chord of 1 apart, 180° is a chord of 2 from 0° and √3 from 60°.
    embeddings, labels = circle([0, 60, 180]), torch.tensor([0, 0, 1])
    assert batch_hard_triplet_loss(embeddings, labels, margin=0.5).item() == 0
    expected = ((1 - 2 + 1.2) + (1 - math.sqrt(3) + 1.2)) / 2
    assert batch_hard_triplet_loss(embeddings, labels, margin=1.2).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, batch_hard_triplet_loss])
def test_invariant_to_scale_and_order(loss):
    embeddings, labels = batch(20, 8, 3)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(embeddings, labels), loss(7 * embeddings, labels))
    torch.testing.assert_close(
        loss(embeddings, labels), loss(embeddings[shuffled], labels[shuffled])
    )


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, batch_hard_triplet_loss])
@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_no_positives_means_no_loss_and_no_gradient(loss, labels):
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    value = loss(embeddings, torch.tensor(labels))
    value.backward()
    assert value.item() == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, batch_hard_triplet_loss])
def test_gradient_of_identical_rows_is_finite(loss):
    embeddings = torch.ones(4, 3, requires_grad=True)
    loss(embeddings, torch.tensor([0, 0, 1, 1])).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, batch_hard_triplet_loss])
def test_shapes_that_do_not_fit_are_refused(loss):
    with refuses("losses.labels", embeddings_shape=[3, 4], labels_shape=[2]):
        loss(torch.ones(3, 4), torch.zeros(2, dtype=torch.long))


def test_supcon_of_unmixed_shares_is_supcon_of_labels():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 5, generator=generator)
    labels = torch.randint(0, 4, (12,), generator=generator)
    shares = torch.nn.functional.one_hot(labels, 4).float()
    torch.testing.assert_close(
        supervised_contrastive_loss(embeddings, shares),
        supervised_contrastive_loss(embeddings, labels),
    )


def test_mixed_rows_are_positives_to_the_extent_they_share_labels():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(6, 5, generator=generator)
    shares = torch.rand(6, 3, generator=generator).softmax(dim=1)
    shares[5] = 0  # alike to nothing, so no anchor
    found = supervised_contrastive_loss(embeddings, shares, temperature=0.5)
    unit = torch.nn.functional.normalize(embeddings)
    terms = []
    for i in range(5):
        others = [j for j in range(6) if j != i]
        log_p = torch.log_softmax(unit[others] @ unit[i] / 0.5, dim=0)
        alike = torch.stack([shares[i] @ shares[j] for j in others])
        terms.append(-(alike * log_p).sum() / alike.sum())
    torch.testing.assert_close(found, torch.stack(terms).mean())


def test_nt_xent_needs_two_views_of_each():
    with refuses("losses.two_views"):
        nt_xent_loss(torch.ones(3, 4), torch.tensor([0, 0, 1]))


def slow_focal(logits, shares, gamma, weight, smoothing) -> float:
    total = 0.0
    for row, wanted in zip(logits.double().tolist(), shares.double().tolist(), strict=True):
        scale = sum(math.exp(value) for value in row)
        for value, share, worth in zip(row, wanted, weight, strict=True):
            probability = math.exp(value) / scale
            share = share * (1 - smoothing) + smoothing / len(row)
            total -= worth * share * (1 - probability) ** gamma * math.log(probability)
    return total / len(logits)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_follows_its_formula(gamma, smoothing):
    logits, labels = batch(12, 7, 7)
    weight = torch.linspace(0.5, 2, 7)
    shares = torch.softmax(batch(13, 7, 7)[0][:12], dim=1)
    for target, full in [(labels, torch.eye(7)[labels]), (shares, shares)]:
        loss = focal_loss(logits, target, gamma=gamma, weight=weight, label_smoothing=smoothing)
        expected = slow_focal(logits, full, gamma, weight.tolist(), smoothing)
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_without_focus_is_torch_cross_entropy():
    logits, labels = batch(12, 7, 7)
    ours = focal_loss(logits, labels, label_smoothing=0.1)
    torchs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(ours, torchs)


def test_a_focus_counts_what_is_known_less():
    sure, unsure = torch.tensor([[6.0, 0.0]]), torch.tensor([[0.5, 0.0]])
    label = torch.tensor([0])
    ratios = [focal_loss(x, label, gamma=2.0) / focal_loss(x, label) for x in (sure, unsure)]
    assert ratios[0] < ratios[1] / 100


def test_distillation_is_the_softened_divergence():
    student, teacher = batch(6, 7, 7)[0], batch(7, 7, 7)[0][:6]
    p, q = torch.softmax(teacher.double() / 3, 1), torch.softmax(student.double() / 3, 1)
    expected = (p * (p / q).log()).sum(dim=1).mean() * 9
    ours = distillation_loss(student, teacher, temperature=3.0)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)
    assert distillation_loss(teacher + 4, teacher).item() == pytest.approx(0, abs=1e-6)


def test_similarity_distillation_compares_what_is_like_what():
    student, teacher = batch(6, 4, 2)[0], batch(7, 9, 2)[0][:6]
    unit_s, unit_t = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (student, teacher))
    expected = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        p = torch.softmax((unit_t[i] @ unit_t[others].T) / 0.2, 0)
        q = torch.softmax((unit_s[i] @ unit_s[others].T) / 0.2, 0)
        expected += (p * (p / q).log()).sum().item() / 6
    ours = similarity_distillation_loss(student, teacher, temperature=0.2)
    assert ours.item() == pytest.approx(expected, rel=1e-5)
    turned = teacher @ torch.linalg.qr(torch.randn(9, 9))[0]
    assert similarity_distillation_loss(turned, teacher).item() == pytest.approx(0, abs=1e-5)


def test_similarity_distillation_moves_only_the_pupil():
    student = batch(6, 4, 2)[0].requires_grad_()
    similarity_distillation_loss(student, batch(6, 8, 2)[0]).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad.abs().sum() > 0


def test_similarity_distillation_wants_the_same_rows():
    with refuses("losses.teacher", embeddings_count=3, teacher_embeddings_count=2):
        similarity_distillation_loss(torch.ones(3, 4), torch.ones(2, 4))


def _gradients(embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """A linear "network" under both losses: the gradient of its weights."""
    weights = torch.eye(embeddings.shape[1], dtype=torch.float64).requires_grad_()
    projected = gather_batch(embeddings @ weights)
    everyone = gather_batch(labels)
    loss = supervised_contrastive_loss(projected, everyone) + batch_hard_triplet_loss(
        projected, everyone
    )
    loss.backward()
    assert weights.grad is not None
    return weights.grad


def _one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    embeddings, labels = batch(16, 4, 3)
    gradient = _gradients(embeddings.double().chunk(2)[rank], labels.chunk(2)[rank])
    dist.all_reduce(gradient)  # what DistributedDataParallel does: the mean over processes
    torch.save(gradient / 2, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_gradient_of_one(tmp_path, free_port):
    mp.spawn(_one_of_two, args=(free_port, str(tmp_path)), nprocs=2)
    embeddings, labels = batch(16, 4, 3)
    alone = _gradients(embeddings.double(), labels)
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-7)


def test_one_process_gathers_nothing():
    tensor = torch.ones(2, 3)
    assert gather_batch(tensor) is tensor
