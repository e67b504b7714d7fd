import copy

import numpy as np
import pytest

from dermsim.storage import save_arrays
from dermsim.tasks.enroll import ClassBank, fit_prototype_temperature
from dermsim.vectors import centroids, l2_normalize

FACTS = {"names": ["a"], "counts": [3], "temperature": 0.1, "fingerprint": "f"}


def on_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def old_bank(temperature=0.1):
    return ClassBank.from_classes(["a", "b"], on_circle(0, 90), [100, 20], temperature, "f")


def test_predict_against_the_formula():
    bank = old_bank(0.5).enroll("new", on_circle(175, 185))
    [found] = bank.predict(on_circle(30) * 3)
    powers = {
        name: np.exp(np.cos(np.deg2rad(d - 30)) / 0.5)
        for name, d in [("a", 0), ("b", 90), ("new", 180)]
    }
    total = sum(powers.values())
    assert found == pytest.approx({name: power / total for name, power in powers.items()}, rel=1e-5)
    assert list(found) == ["a", "b", "new"]
    assert sum(found.values()) == pytest.approx(1)


def test_one_query_gets_what_it_gets_in_a_batch():
    bank = old_bank()
    queries = on_circle(0, 20, 45, 200)
    batch = bank.predict(queries)
    for i in range(4):
        assert bank.predict(queries[i : i + 1])[0] == pytest.approx(batch[i], rel=1e-6)


def test_enrolling_makes_a_new_bank_and_leaves_the_old_one():
    empty = ClassBank()
    bank = empty.enroll("  scar ", on_circle(10, 30))
    assert (len(empty), empty.names) == (0, ())
    assert (bank.names, bank.counts) == (("scar",), (2,))
    np.testing.assert_allclose(bank.prototypes, on_circle(20), atol=1e-6)
    assert bank.predict(on_circle(5)) == [{"scar": 1.0}]


def test_the_prototype_is_the_nearest_class_mean():
    support = np.random.default_rng(0).normal(size=(5, 8))
    bank = ClassBank().enroll("new", support)
    expected = centroids(support, np.zeros(5, dtype=int), 1)
    np.testing.assert_allclose(bank.prototypes, expected, atol=1e-6)


def test_removing_undoes_enrolling():
    bank = old_bank()
    again = bank.enroll("new", on_circle(45)).remove("new")
    assert (again.names, again.counts, again.temperature) == (bank.names, bank.counts, 0.1)
    np.testing.assert_array_equal(again.prototypes, bank.prototypes)
    assert len(bank.remove("a").remove("b")) == 0
    assert len(bank.remove("a").remove("b").enroll("c", np.ones((1, 5)))) == 1
    with pytest.raises(ValueError, match="there is no class 'c'"):
        bank.remove("c")


def test_a_bank_is_a_value_that_copies_and_does_not_change():
    bank = old_bank()
    twin = copy.deepcopy(bank)
    assert twin.predict(on_circle(10)) == bank.predict(on_circle(10))
    with pytest.raises(ValueError, match="read-only"):
        bank.prototypes[0, 0] = 5
    with pytest.raises(AttributeError):
        bank.names = ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needs a name"),
        ("   ", "needs a name"),
        ("A", "already a class 'A'"),
        ("x" * 81, "at most 80 characters"),
        ("two\nlines", "one line"),
    ],
)
def test_enroll_refuses_names(name, words):
    with pytest.raises(ValueError, match=words):
        old_bank().enroll(name, on_circle(1))


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [
        (np.zeros((0, 2)), "'new' needs at least one picture"),
        (np.ones((2, 3)), "have 3 dimensions, expected 2"),
        (np.full((1, 2), np.nan), "NaN"),
        (on_circle(0, 180), "cancel out"),
    ],
)
def test_enroll_refuses_pictures(embeddings, words):
    with pytest.raises(ValueError, match=words):
        old_bank().enroll("new", embeddings)


def test_predict_and_save_need_a_class(tmp_path):
    with pytest.raises(ValueError, match="holds no class yet"):
        ClassBank().predict(np.ones((1, 2)))
    with pytest.raises(ValueError, match="nothing to save"):
        ClassBank().save(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="have 5 dimensions, expected 2"):
        old_bank().predict(np.ones((1, 5)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a"], on_circle(0, 1), [1, 1], 0.1, "f"), "as many names, prototypes and counts"),
        ((["a", "a"], on_circle(0, 1), [1, 1], 0.1, "f"), "already a class 'a'"),
        ((["a"], on_circle(0), [0], 0.1, "f"), "at least one picture"),
        ((["a"], on_circle(0), [1], 0.0, "f"), "temperature must be positive"),
        ((["a"], on_circle(0)[0], [1], 0.1, "f"), r"prototypes must have shape \(N, D\)"),
    ],
)
def test_from_classes_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        ClassBank.from_classes(*arguments)


def test_saves_and_loads_what_it_was(tmp_path):
    bank = old_bank(0.07).enroll("cicatriz é", on_circle(45, 50))
    bank.save(tmp_path / "bank.safetensors")
    loaded = ClassBank.load(tmp_path / "bank.safetensors", fingerprint="f")
    for attribute in ("names", "counts", "temperature", "fingerprint"):
        assert getattr(loaded, attribute) == getattr(bank, attribute)
    np.testing.assert_allclose(loaded.prototypes, bank.prototypes, atol=1e-7)


def test_load_refuses_another_encoder(tmp_path):
    old_bank().save(tmp_path / "bank.safetensors")
    assert len(ClassBank.load(tmp_path / "bank.safetensors")) == 2
    with pytest.raises(ValueError, match="made by encoder 'f', this one is 'g'"):
        ClassBank.load(tmp_path / "bank.safetensors", fingerprint="g")


@pytest.mark.parametrize(
    ("facts", "array", "words"),
    [
        ({"names": "a"}, np.ones((1, 2)), "is not a class bank"),
        ({"names": [3]}, np.ones((1, 2)), "needs a name"),
        ({"names": ["a", "b"]}, np.ones((1, 2)), "as many names"),
        ({"counts": [0.5]}, np.ones((1, 2)), "at least one picture"),
        ({"temperature": "hot"}, np.ones((1, 2)), "temperature must be positive"),
        ({}, np.ones(2), r"prototypes must have shape"),
        ({}, np.full((1, 2), np.nan), "NaN"),
        ({}, np.zeros((1, 2)), "zero vector"),
    ],
)
def test_load_checks_a_file_from_a_stranger(tmp_path, facts, array, words):
    path = tmp_path / "bank.safetensors"
    save_arrays(path, {"prototypes": array.astype(np.float32)}, facts={**FACTS, **facts})
    with pytest.raises(ValueError, match=words):
        ClassBank.load(path)


def test_load_refuses_a_damaged_file(tmp_path):
    path = tmp_path / "bank.safetensors"
    path.write_text("not a bank")
    with pytest.raises(ValueError, match="damaged"):
        ClassBank.load(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        ClassBank.load(tmp_path / "other.safetensors")


def test_the_fitted_temperature_gives_the_least_balanced_loss():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=400, p=[0.8, 0.15, 0.05])
    prototypes = l2_normalize(rng.normal(size=(3, 8)))
    embeddings = l2_normalize(prototypes[labels] + 0.5 * rng.normal(size=(400, 8)))

    def loss(temperature):
        names = ["0", "1", "2"]
        bank = ClassBank.from_classes(names, prototypes, [1, 1, 1], temperature, "f")
        logs = [-np.log(p[str(c)]) for p, c in zip(bank.predict(embeddings), labels, strict=True)]
        return np.mean([np.mean(np.array(logs)[labels == c]) for c in range(3)])

    grid = np.geomspace(0.02, 2, 120)
    best = grid[np.argmin([loss(t) for t in grid])]
    assert fit_prototype_temperature(embeddings, labels, prototypes) == pytest.approx(
        best, rel=0.05
    )


def test_a_new_class_is_neither_swallowed_nor_swallows():
    """Five pictures of one class serve as well as hundreds, with a temperature from the others."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 32))

    def draw(c, n):
        return centers[c] + 0.6 * rng.normal(size=(n, 32))

    old = np.concatenate([draw(c, 300) for c in range(4)])
    labels = np.repeat(np.arange(4), 300)
    prototypes = centroids(old[::2], labels[::2], 4)
    temperature = fit_prototype_temperature(old[1::2], labels[1::2], prototypes)
    bank = ClassBank.from_classes(list("abcd"), prototypes, [150] * 4, temperature, "f")
    bank = bank.enroll("new", draw(4, 5))
    right_new = np.mean([p["new"] for p in bank.predict(draw(4, 200))])
    kept_old = np.mean([p["a"] for p in bank.predict(draw(0, 200))])
    assert right_new > 0.9
    assert kept_old > 0.9
