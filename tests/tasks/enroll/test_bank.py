import copy

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.vectors import centroids, l2_normalize
from dermsim.tasks.enroll import ClassBank, EnrolledClass, Space, fit_prototype_temperature
from dermsim.tasks.enroll.heads import OldClasses

OLD = ("akiec", "bcc", "mel", "nv")


def on_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def two_classes(temperature=0.1):
    return ClassBank.from_classes(["a", "b"], on_circle(0, 90), [100, 20], temperature, "f")


class TestPredict:
    def test_against_the_formula(self):
        bank = two_classes(0.5).enroll("new", on_circle(175, 185))
        [found] = bank.predict(on_circle(30) * 3)
        powers = {
            name: np.exp(np.cos(np.deg2rad(d - 30)) / 0.5)
            for name, d in [("a", 0), ("b", 90), ("new", 180)]
        }
        total = sum(powers.values())
        assert found == pytest.approx({n: p / total for n, p in powers.items()}, rel=1e-5)
        assert list(found) == ["a", "b", "new"]
        assert sum(found.values()) == pytest.approx(1)

    def test_one_query_gets_what_it_gets_in_a_batch(self, world, bank):
        taught = bank.enroll("clover", world.draw(5, 30)).enroll("oak", world.draw(4, 3))
        queries, _ = world.sample(range(6), 3, seed=9)
        batch = taught.predict(queries)
        for i in range(len(queries)):
            assert taught.predict(queries[i : i + 1])[0] == pytest.approx(batch[i], rel=1e-5)

    def test_what_is_fitted_does_not_depend_on_units(self, world, bank):
        train, labels = world.sample(range(4), 300)
        held_out, asked = world.sample(range(4), 80, seed=1)
        other = ClassBank.fit(
            50 * train + 3,
            labels,
            names=OLD,
            validation=50 * held_out + 3,
            validation_labels=asked,
            fingerprint="f",
        )
        queries, _ = world.sample(range(6), 5, seed=9)
        np.testing.assert_allclose(other.scores(50 * queries + 3), bank.scores(queries), atol=0.01)


class TestFit:
    def test_prototypes_are_the_standardised_class_means(self, world, bank):
        train, labels = world.sample(range(4), 300)
        standard = (train - train.mean(axis=0)) / train.std(axis=0)
        deviation = train.std(axis=0)
        wide = deviation > 0.1 * deviation.mean()
        assert wide.sum() >= 15
        np.testing.assert_allclose(bank.space.scale[wide], deviation[wide], rtol=1e-5)
        np.testing.assert_allclose(bank.space.scale[~wide], 0.1 * deviation.mean(), rtol=1e-5)
        standard = (train - train.mean(axis=0)) / bank.space.scale
        np.testing.assert_allclose(bank.old.prototypes, centroids(standard, labels, 4), atol=1e-5)
        assert (bank.names, bank.counts) == (OLD, (300,) * 4)
        assert bank.space.name == "pooled_features"

    def test_the_images_kept_are_those_of_validation(self, world, bank):
        held_out, labels = world.sample(range(4), 80, seed=1)
        np.testing.assert_array_equal(bank.old.labels, labels)
        np.testing.assert_allclose(bank.old.vectors, bank.space.unit(held_out), atol=1e-3)

    def test_few_images_are_kept_of_many(self, world):
        train, labels = world.sample(range(3), 50)
        held_out, asked = world.sample(range(3), 500, seed=1)
        few = np.concatenate([np.arange(510), np.arange(1000, 1500)])  # ten of the middle class
        found = ClassBank.fit(
            train,
            labels,
            names="abc",
            validation=held_out[few],
            validation_labels=asked[few],
            fingerprint="f",
        )
        assert np.bincount(found.old.labels).tolist() == [295, 10, 295]

    def test_classes_that_were_left_out_are_not_known(self, world):
        train, labels = world.sample((0, 2, 5), 50)
        held_out, asked = world.sample(range(6), 20, seed=1)
        found = ClassBank.fit(
            train,
            labels,
            names="abcdef",
            validation=held_out,
            validation_labels=asked,
            fingerprint="f",
        )
        assert found.names == ("a", "c", "f")
        assert np.bincount(found.old.labels).tolist() == [20, 20, 20]
        queries, true = world.sample((0, 2, 5), 50, seed=2)
        right = found.scores(queries).argmax(axis=1) == np.searchsorted([0, 2, 5], true)
        assert right.mean() > 0.9

    def test_refuses(self, world):
        train, labels = world.sample(range(2), 20)

        def fit(train=train, labels=labels, held_out=train, asked=labels, **options):
            ClassBank.fit(
                train,
                labels,
                names="ab",
                validation=held_out,
                validation_labels=asked,
                fingerprint="f",
                **options,
            )

        with refuses("bank.no_validation", names="b"):
            fit(held_out=train[:20], asked=labels[:20])
        with refuses("feature_space.no_difference"):
            fit(train=np.ones((40, 3)))
        with refuses("feature_space.dimensions", label="pooled features", dimensions=3, dim=24):
            fit(held_out=train[:, :3])
        with refuses("vectors.label_outside", label=2):
            fit(labels=labels + 1)
        with refuses("feature_space.space", name="pixels"):
            fit(space="pixels")

    def test_the_fitted_temperature_gives_the_least_balanced_loss(self):
        rng = np.random.default_rng(0)
        labels = rng.choice(3, size=400, p=[0.8, 0.15, 0.05])
        prototypes = l2_normalize(rng.normal(size=(3, 8)))
        embeddings = l2_normalize(prototypes[labels] + 0.5 * rng.normal(size=(400, 8)))

        def loss(temperature):
            bank = ClassBank.from_classes(["0", "1", "2"], prototypes, [1] * 3, temperature, "f")
            asked = zip(bank.predict(embeddings), labels, strict=True)
            logs = np.array([-np.log(p[str(c)]) for p, c in asked])
            return np.mean([np.mean(logs[labels == c]) for c in range(3)])

        grid = np.geomspace(0.02, 2, 120)
        best = grid[np.argmin([loss(float(t)) for t in grid])]
        found = fit_prototype_temperature(embeddings, labels, prototypes)
        assert found == pytest.approx(best, rel=0.05)


class TestEnroll:
    def test_makes_a_new_bank_and_leaves_the_old_one(self):
        empty = ClassBank()
        bank = empty.enroll("  scar ", on_circle(10, 30))
        assert (len(empty), empty.names) == (0, ())
        assert (bank.names, bank.counts, bank.kinds) == (("scar",), (2,), {"scar": "mean"})
        assert bank.predict(on_circle(5)) == [{"scar": 1.0}]

    def test_the_old_classes_are_judged_among_themselves_as_before(self, world, bank):
        queries, _ = world.sample(range(6), 20, seed=9)
        for head in ("mean", "neighbors", "logistic"):
            taught = bank.enroll("clover", world.draw(5, 30), head=head)
            np.testing.assert_array_equal(taught.scores(queries)[:, :4], bank.scores(queries))
            [before], [after] = bank.predict(queries[:1]), taught.predict(queries[:1])
            odds = [p["mel"] / p["nv"] for p in (before, after)]
            assert odds[0] == pytest.approx(odds[1])

    def test_the_head_follows_the_number_of_pictures(self, world, bank):
        taught = bank.enroll("few", world.draw(4, 19)).enroll("many", world.draw(5, 20))
        assert taught.kinds == {"few": "mean", "many": "logistic"}
        assert bank.enroll("x", world.draw(5, 3), head="neighbors").kinds == {"x": "neighbors"}

    def test_a_head_with_nothing_to_learn_against_is_the_mean(self, world, bank):
        alone = two_classes().enroll("new", on_circle(*range(40)), head="logistic")
        assert alone.kinds == {"new": "mean"}
        first = bank.blank().enroll("one", world.draw(4, 20))
        assert first.kinds == {"one": "mean"}
        both = first.enroll("two", world.draw(5, 20))
        assert both.kinds == {"one": "logistic", "two": "logistic"}

    def test_the_order_does_not_matter(self, world, bank):
        shots = {
            "oak": world.draw(4, 25),
            "elm": world.draw(5, 5),
            "ash": world.draw(5, 30, seed=3),
        }
        queries, _ = world.sample(range(6), 10, seed=9)
        banks = []
        for names in (["oak", "elm", "ash"], ["ash", "elm", "oak"]):
            taught = bank
            for name in names:
                taught = taught.enroll(name, shots[name])
            banks.append(taught.predict(queries))
        for one, other in zip(*banks, strict=True):
            assert one == pytest.approx({name: other[name] for name in one}, abs=1e-3)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("", "bank.no_name"),
            ("   ", "bank.no_name"),
            ("MEL", Phrase("bank.class_exists_as", name="MEL", other="mel")),
            ("Melanoma", Phrase("bank.class_exists_as", name="Melanoma", other="mel")),
            ("nevus", Phrase("bank.class_exists_as", name="nevus", other="nv")),
            ("mel", Phrase("bank.class_exists", name="mel")),
            ("x" * 81, Phrase("bank.long_name", most=80)),
            ("two\nlines", "bank.long_name"),
        ],
    )
    def test_refuses_names(self, world, bank, name, words):
        with refuses(words):
            bank.enroll(name, world.draw(5, 3))

    def test_a_diagnosis_that_is_not_known_may_be_enrolled_once(self, world, bank):
        taught = bank.enroll("vasc", world.draw(5, 3))
        with refuses("bank.class_exists_as", name="Angioma", other="vasc"):
            taught.enroll("Angioma", world.draw(4, 3))
        with refuses("bank.class_exists_as", name="VASC"):
            taught.enroll("VASC", world.draw(4, 3))

    @pytest.mark.parametrize(
        ("vectors", "words"),
        [
            (np.zeros((0, 2)), Phrase("bank.no_picture", cleaned="new")),
            ([], Phrase("bank.no_picture", cleaned="new")),
            (
                np.ones((2, 3)),
                Phrase("feature_space.dimensions", label="embeddings", dimensions=3, dim=2),
            ),
            (np.ones(2), "vectors.shape"),
            (np.full((1, 2), np.nan), "vectors.not_finite"),
            (on_circle(0, 180), "vectors.cancelled"),
        ],
    )
    def test_refuses_pictures(self, vectors, words):
        with refuses(words):
            two_classes().enroll("new", vectors)

    def test_refuses_a_head_that_does_not_exist(self):
        with refuses("bank.head", head="forest", heads=["mean", "neighbors", "logistic"]):
            two_classes().enroll("new", on_circle(1), head="forest")


class TestRemove:
    def test_undoes_enrolling(self, world, bank):
        taught = bank.enroll("clover", world.draw(5, 25)).enroll("oak", world.draw(4, 25))
        only = bank.enroll("oak", world.draw(4, 25))
        queries, _ = world.sample(range(6), 5, seed=9)
        np.testing.assert_array_equal(taught.remove("clover").scores(queries), only.scores(queries))
        np.testing.assert_array_equal(
            taught.remove("oak").remove("clover").scores(queries), bank.scores(queries)
        )

    def test_an_old_class_goes_with_its_images(self, world, bank):
        fewer = bank.remove("bcc")
        assert (fewer.names, fewer.counts) == (("akiec", "mel", "nv"), (300,) * 3)
        np.testing.assert_array_equal(np.bincount(fewer.old.labels), [80, 80, 80])
        queries, _ = world.sample(range(4), 5, seed=9)
        np.testing.assert_allclose(
            fewer.scores(queries), bank.scores(queries)[:, [0, 2, 3]], rtol=1e-9
        )
        assert (fewer.scores(world.draw(2, 50, seed=9)).argmax(axis=1) == 1).mean() > 0.8

    def test_down_to_nothing_and_up_again(self):
        nothing = two_classes().remove("a").remove("b")
        assert len(nothing) == 0
        assert len(nothing.enroll("c", np.ones((1, 5)))) == 1
        with refuses("bank.no_class", name="c"):
            nothing.remove("c")


class TestValue:
    def test_it_does_not_change_and_needs_no_copy(self, world, bank):
        taught = bank.enroll("clover", world.draw(5, 3))
        assert copy.deepcopy(taught) is taught
        assert copy.deepcopy({"bank": taught})["bank"] is taught
        for array in (taught.old.prototypes, taught.old.vectors, taught.enrolled[0].shots):
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 5
        with pytest.raises(AttributeError):
            bank.old_names = ()

    def test_what_was_given_is_not_held_on_to(self, world, bank):
        shots = world.draw(5, 3)
        taught = bank.enroll("clover", shots)
        before = taught.scores(world.draw(5, 2, seed=9))
        shots[:] = 0
        np.testing.assert_array_equal(taught.scores(world.draw(5, 2, seed=9)), before)

    def test_predict_needs_a_class_and_its_dimensions(self):
        with refuses("bank.empty"):
            ClassBank().predict(np.ones((1, 2)))
        with refuses("feature_space.dimensions", dimensions=5, dim=2, name="embeddings"):
            two_classes().predict(np.ones((1, 5)))

    def test_blank_keeps_the_measure_and_no_class(self, world, bank):
        blank = bank.enroll("clover", world.draw(5, 3)).blank()
        assert (len(blank), blank.space, blank.temperature) == (0, bank.space, bank.temperature)
        assert blank.dim == 24
        with refuses("feature_space.dimensions", dimensions=3, dim=24):
            blank.enroll("clover", np.ones((1, 3)))

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((["a"], on_circle(0, 1), [1, 1], 0.1, "f"), "bank.lengths"),
            (
                (["a", "A"], on_circle(0, 1), [1, 1], 0.1, "f"),
                Phrase("bank.class_exists_as", name="A"),
            ),
            ((["a"], on_circle(0), [0], 0.1, "f"), "bank.counts"),
            ((["a"], on_circle(0), [1], 0.0, "f"), "calibration.temperature"),
            ((["a"], on_circle(0), [1], True, "f"), "calibration.temperature"),
            ((["a"], on_circle(0)[0], [1], 0.1, "f"), Phrase("vectors.shape", name="prototypes")),
            (([3], on_circle(0), [1], 0.1, "f"), "bank.no_name"),
        ],
    )
    def test_from_classes_refuses(self, arguments, words):
        with refuses(words):
            ClassBank.from_classes(*arguments)

    def test_parts_that_do_not_fit_are_refused(self):
        old = two_classes().old
        with refuses("bank.widths"):
            ClassBank(("a", "b"), (1, 1), old, (EnrolledClass("c", np.eye(1, 3, dtype="f4")),))
        longer = OldClasses(2 * old.prototypes, 0.1, old.vectors, old.labels)
        with refuses("bank.length"):
            ClassBank(("a", "b"), (1, 1), longer)

    @pytest.mark.parametrize(
        ("name", "center", "scale", "words"),
        [
            ("pixels", None, None, Phrase("feature_space.space", name="pixels")),
            ("embeddings", np.zeros(2), None, "feature_space.half"),
            ("embeddings", np.zeros(2), np.zeros(2), "feature_space.shape"),
            ("embeddings", np.zeros(2), np.ones(3), "feature_space.shape"),
        ],
    )
    def test_a_space_that_makes_no_sense_is_refused(self, name, center, scale, words):
        with refuses(words):
            Space(name, center, scale)
