import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.storage import read_arrays, save_arrays
from dermsim.tasks.enroll import ClassBank


@pytest.fixture
def taught(world, bank):
    return bank.enroll("cicatriz é", world.draw(5, 25)).enroll(
        "oak", world.draw(4, 2), head="neighbors"
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bank.safetensors"


def test_loads_what_was_saved_to_the_last_digit(world, taught, path):
    taught.save(path)
    loaded = ClassBank.load(path, fingerprint="f")
    for attribute in ("names", "counts", "temperature", "fingerprint", "kinds", "dim"):
        assert getattr(loaded, attribute) == getattr(taught, attribute)
    queries, _ = world.sample(range(6), 20, seed=9)
    assert loaded.predict(queries) == taught.predict(queries)


def test_what_was_loaded_can_be_taught_and_untaught(world, taught, path):
    taught.save(path)
    more = ClassBank.load(path).enroll("ash", world.draw(5, 3, seed=8)).remove("oak")
    assert more.names == ("akiec", "bcc", "mel", "nv", "cicatriz é", "ash")
    more.save(path)
    assert ClassBank.load(path).names == more.names


def test_a_bank_of_nothing_but_new_classes(world, bank, path):
    own = bank.blank().enroll("clover", world.draw(5, 3)).enroll("oak", world.draw(4, 25))
    own.save(path)
    queries = world.draw(5, 4, seed=9)
    assert ClassBank.load(path).predict(queries) == own.predict(queries)
    ClassBank().enroll("plain", np.eye(2)).save(path)
    assert ClassBank.load(path).space.center is None
    with refuses("files.empty"):
        bank.blank().save(path)


def test_a_file_is_small(taught, path):
    taught.save(path)
    assert path.stat().st_size < 320 * 24 * 2 + 27 * 24 * 4 + 5000


def test_another_encoder_is_refused(taught, path):
    taught.save(path)
    with refuses("files.other_encoder", theirs="f", ours="g"):
        ClassBank.load(path, fingerprint="g")


@pytest.mark.parametrize(
    ("facts", "arrays", "words"),
    [
        (
            {"old_names": "akiec"},
            {},
            Phrase("files.no_bank_because", error=Phrase("files.not_a_list", name="old_names")),
        ),
        (
            {"old_names": [3, "bcc", "mel", "nv"]},
            {},
            Phrase("files.no_bank_because", error="bank.no_name"),
        ),
        (
            {"old_names": ["a", "b", "c"]},
            {},
            Phrase("files.no_bank_because", error=Phrase("vectors.label_outside", label=3)),
        ),
        ({"old_counts": [1, 2]}, {}, Phrase("files.no_bank_because", error="bank.lengths")),
        ({"old_counts": [0.5, 1, 1, 1]}, {}, Phrase("files.no_bank_because", error="bank.counts")),
        ({"enrolled": [3]}, {}, Phrase("files.no_bank_because", error="storage.not_an_object")),
        (
            {"enrolled": [{"name": "x", "pictures": 27}]},
            {},
            Phrase("files.no_bank_because", error="storage.keys"),
        ),
        (
            {"enrolled": [{"name": "x", "pictures": 27, "head": "forest"}]},
            {},
            Phrase("files.no_bank_because", error="files.plain"),
        ),
        (
            {"enrolled": [{"name": "x", "pictures": -1, "head": "auto"}]},
            {},
            Phrase("files.no_bank_because", error="files.plain"),
        ),
        (
            {"enrolled": [{"name": "x", "pictures": 3, "head": "auto"}]},
            {},
            Phrase("files.no_bank_because", error=Phrase("files.pictures", count=27)),
        ),
        (
            {"enrolled": [{"name": "mel", "pictures": 27, "head": "auto"}]},
            {},
            Phrase("files.no_bank_because", error="bank.class_exists"),
        ),
        (
            {"temperature": None},
            {},
            Phrase("files.no_bank_because", error="calibration.temperature"),
        ),
        ({"space": "pixels"}, {}, Phrase("files.no_bank_because", error="feature_space.space")),
        (
            {},
            {"prototypes": np.ones(24, "f4")},
            Phrase("files.no_bank_because", error=Phrase("vectors.shape", name="prototypes")),
        ),
        (
            {},
            {"prototypes": np.full((4, 24), np.nan, "f4")},
            Phrase("files.no_bank_because", error="vectors.not_finite"),
        ),
        ({"space": []}, {}, "files.no_bank_because"),
        (
            {},
            {"scale": np.zeros(24, "f4")},
            Phrase("files.no_bank_because", error="feature_space.shape"),
        ),
        (
            {},
            {"scale": np.zeros(0, "f4")},
            Phrase("files.no_bank_because", error="feature_space.shape"),
        ),
        (
            {},
            {"center": np.zeros(9, "f4")},
            Phrase("files.no_bank_because", error="feature_space.shape"),
        ),
        (
            {},
            {"reference": np.zeros((320, 24), "f2")},
            Phrase("files.no_bank_because", error="bank.length"),
        ),
        (
            {},
            {"reference": np.full((320, 24), np.nan, "f2")},
            Phrase("files.no_bank_because", error="vectors.not_finite"),
        ),
        (
            {},
            {"reference_labels": np.zeros(3, "i2")},
            Phrase("files.no_bank_because", error=Phrase("vectors.labels_shape", rows=320)),
        ),
        (
            {},
            {"shots": np.eye(27, 9, dtype="f4") + np.eye(27, 9, -9, "f4")},
            "files.no_bank_because",
        ),
    ],
)
def test_a_file_from_a_stranger_is_checked(taught, path, facts, arrays, words):
    taught.save(path)
    kept, header = read_arrays(path)
    save_arrays(path, {**kept, **arrays}, facts={**header, **facts})
    with refuses(words):
        ClassBank.load(path)


def test_a_file_with_more_or_less_in_it_is_refused(taught, path):
    taught.save(path)
    kept, header = read_arrays(path)
    save_arrays(path, {**kept, "more": np.zeros(1)}, facts=header)
    with refuses("storage.keys", name="bank.safetensors"):
        ClassBank.load(path)
    save_arrays(path, kept, facts={**header, "more": 1})
    with refuses("storage.keys", name="the header of bank.safetensors"):
        ClassBank.load(path)


def test_a_truncated_file_is_refused_and_left_alone(taught, path):
    taught.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    before = path.read_bytes()
    with refuses("storage.not_safetensors"):
        ClassBank.load(path)
    assert path.read_bytes() == before
    path.write_text("not a bank")
    with refuses("storage.not_safetensors"):
        ClassBank.load(path)
    with refuses("storage.no_file", FileNotFoundError):
        ClassBank.load(path.with_name("other.safetensors"))
