import numpy as np
import pytest
from PIL import Image
from refusals import refuses
from table_rows import row_of

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.metrics import class_auc
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000
from dermsim.evaluation.protocols import unfamiliar
from dermsim.evaluation.protocols.protocol_cases import encode_cases, select
from dermsim.evaluation.protocols.unfamiliar import (
    MEAN,
    Kind,
    draw_noise,
    evaluate_unfamiliar,
    load_pictures,
)
from dermsim.models.encoding import Encoding
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.detect.scores import SCORES


@pytest.fixture(scope="module")
def far_off(dataset):
    """Pretends that whatever is no row of the data set looks like nothing on earth."""

    def encode(model, processor, pictures):
        count = len(list(pictures))
        rng = np.random.default_rng(5)
        pooled = rng.uniform(20, 40, size=(count, 20)).astype(np.float32)
        return Encoding(np.abs(pooled[:, :8]), rng.normal(size=(count, 7)).astype("f4"), pooled)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfamiliar, "encode", encode)
        yield


@pytest.fixture(scope="module")
def table(engine, dataset, far_off):
    far = {"cats": [draw_lesion("nv", seed=seed, size=(20, 16)) for seed in range(9)]}
    return evaluate_unfamiliar([engine], dataset, far=far, resamples=30)


KINDS = [
    "akiec, held out",
    "df, held out",
    "vasc, held out",
    "cats, far",
    "noise, far",
    "familiar, test",
    MEAN,
]


def test_every_kind_is_asked_of_every_score(table):
    assert [(row.keys["pictures"], row.keys["score"]) for row in table.rows] == [
        (kind, score) for kind in KINDS for score in SCORES
    ]
    shipped = {row.keys["score"] for row in table.rows if row.notes["shipped"] == "yes"}
    assert shipped == {"embedding-mahalanobis"}
    for row in table.rows:
        for figure in row.figures.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_figures_by_hand(engine, dataset, table):
    known = ("bcc", "bkl", "mel", "nv")
    parts = {
        name: encode_cases(engine, select(dataset, known, split=name), purpose="", learned=True)
        for name in ("train", "validation", "test")
    }
    new = encode_cases(engine, select(dataset, ("df",)), purpose="")
    detector = OutlierDetector.fit(
        parts["train"].encoding,
        parts["train"].labels,
        validation=parts["validation"].encoding,
        method="mahalanobis",
    )
    familiar, strange = (detector.score(part.encoding) for part in (parts["test"], new))
    labels = np.repeat([False, True], [len(familiar), len(strange)])
    row = row_of(table, pictures="df, held out", score="mahalanobis").figures
    scores = np.concatenate([familiar, strange])
    assert row["AUROC"].value == pytest.approx(class_auc(labels, scores))
    assert row["AUROC"].n == len(scores)
    limit = np.sort(familiar)[int(np.ceil(0.95 * len(familiar))) - 1]
    assert row["FPR@95TPR"].value == pytest.approx((strange <= limit).mean())
    assert row["rejected"].value == pytest.approx((strange > detector.threshold).mean())
    assert row["rejected"].n == 60
    seen = row_of(table, pictures="familiar, test", score="mahalanobis").figures
    assert list(seen) == ["rejected"]
    assert seen["rejected"].value == pytest.approx((familiar > detector.threshold).mean())


def test_the_mean_is_over_the_held_out(table):
    for score in SCORES:
        parts = [row_of(table, pictures=kind, score=score).figures for kind in KINDS[:3]]
        mean = row_of(table, pictures=MEAN, score=score).figures
        for figure in ("AUROC", "FPR@95TPR"):
            expected = np.mean([part[figure].value for part in parts])
            assert mean[figure].value == pytest.approx(expected)
        assert "rejected" not in mean


def test_what_is_far_off_is_told_from_what_is_near(table):
    far = row_of(table, pictures="noise, far", score="mahalanobis").figures
    assert far["AUROC"].value > 0.99 and far["rejected"].value > 0.99
    near = row_of(table, pictures=MEAN, score="mahalanobis").figures["AUROC"].value
    assert 0.5 < near < 0.99


def test_a_lesion_counts_as_one_and_is_drawn_for_all_kinds_at_once():
    """The same pictures under two names: their mean is no surer than either."""
    rng = np.random.default_rng(0)
    lesions = [f"F{i // 4}" for i in range(200)] + [f"S{i // 4}" for i in range(120)]
    scores = rng.normal(size=80)[np.unique(lesions, return_inverse=True)[1]]
    scores[200:] += 1
    parts = {"energy": scores[:200]}, {"energy": scores[200:]}
    kind = Kind("x, held out", True, *parts, {"energy": 1.0}, lesions, "energy")
    alone = unfamiliar._mean_row([kind], "energy", Bootstrap(lesions, 300)).figures["AUROC"]
    both = Bootstrap([*lesions, *lesions], 300)
    twice = unfamiliar._mean_row([kind, kind], "energy", both).figures["AUROC"]
    assert (twice.value, twice.low, twice.high) == (alone.value, alone.low, alone.high)


def test_shift_is_asked_of_known_diagnoses_only(engine, dataset, far_off, monkeypatch):
    asked = []
    rows = synthetic_ham10000(14, seed=9, size=(20, 16)).map(
        lambda row: {"image_id": f"X{row['image_id']}", "lesion_id": f"X{row['lesion_id']}"}
    )

    def spy(engine, given, *, purpose, learned=False):
        if purpose == "shift":
            asked.append(set(given["dx"]))
            given = select(dataset, ("mel", "nv"), split="test")
        return encode_cases(engine, given, purpose=purpose, learned=learned)

    monkeypatch.setattr(unfamiliar, "encode_cases", spy)
    table = evaluate_unfamiliar([engine], dataset, shift=rows, shift_name="ISIC 2017", resamples=5)
    assert asked == [{1, 2, 4, 5}]
    row = row_of(table, pictures="ISIC 2017, shift", score="mahalanobis").figures
    assert row["AUROC"].value == pytest.approx(0.5, abs=0.2)


def test_an_encoder_of_all_seven_has_nothing_held_out(whole_engine, engine, dataset, far_off):
    table = evaluate_unfamiliar([whole_engine], dataset, resamples=5)
    assert {row.keys["pictures"] for row in table.rows} == {"noise, far", "familiar, test"}
    both = evaluate_unfamiliar([whole_engine, engine], dataset, resamples=5)
    names = [row.keys["pictures"] for row in both.rows if row.keys["score"] == "vim"]
    assert names == ["noise, far", "familiar, test", *KINDS[:3], MEAN]


def test_refuses(engine, dataset):
    with refuses("unfamiliar.no_checkpoint"):
        evaluate_unfamiliar([], dataset)
    with refuses("incremental.split"):
        evaluate_unfamiliar([engine], dataset, split="all")


def test_noise_is_the_same_for_the_same_seed():
    one, same, other = (draw_noise(4, seed=seed) for seed in (0, 0, 1))
    assert [picture.tobytes() for picture in one] == [picture.tobytes() for picture in same]
    assert one[0].tobytes() != other[0].tobytes()
    fine, coarse = (np.asarray(picture, dtype=float) for picture in one[:2])
    steps = [np.abs(np.diff(picture, axis=1)).mean() for picture in (fine, coarse)]
    assert steps[0] > 10 * steps[1]
    assert one[0].size == (200, 150)


class TestLoadPictures:
    def test_parquet_with_a_column_of_images(self, tmp_path):
        synthetic_ham10000(3, size=(20, 16)).to_parquet(tmp_path / "part.parquet")
        found = load_pictures(tmp_path)
        assert len(found) == 6
        assert next(iter(found)).mode == "RGB"

    def test_a_folder_of_files(self, tmp_path):
        Image.new("L", (20, 20)).save(tmp_path / "a.png")
        assert list(load_pictures(tmp_path)) == [tmp_path / "a.png"]

    def test_refuses(self, tmp_path):
        with refuses("images.no_path", FileNotFoundError):
            load_pictures(tmp_path / "none")
        with refuses("images.empty_folder"):
            load_pictures(tmp_path)
        rows = synthetic_ham10000(3, size=(20, 16)).remove_columns("image")
        rows.to_parquet(tmp_path / "part.parquet")
        with refuses("images.empty_folder"):
            load_pictures(tmp_path)
