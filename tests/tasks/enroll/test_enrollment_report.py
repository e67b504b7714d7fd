import json

import numpy as np
import pytest
from refusals import refuses

from dermsim.tasks.enroll import ClassBank, before_and_after
from dermsim.tasks.enroll.heads import LOGISTIC_FROM

OLD = ("akiec", "bcc", "mel", "nv")


@pytest.fixture(scope="module")
def taught(world, bank):
    return bank.enroll("like mel", world.draw(4, 30)).enroll("apart", world.draw(5, 5))


def test_shares_by_counting(world, bank, taught):
    queries, labels = world.sample(range(4), 150, seed=6)
    names = [OLD[c] for c in labels]
    found = before_and_after(taught, queries, names, source="fresh images", resamples=50)
    before = np.array([max(p, key=p.get) for p in bank.predict(queries)])
    after = np.array([max(p, key=p.get) for p in taught.predict(queries)])
    assert found.source == "fresh images"
    for change, name in zip(found.old, OLD, strict=True):
        own = np.array(names) == name
        right = (before == name) & own
        assert (change.name, change.images) == (name, 150)
        assert change.before == pytest.approx((before == name)[own].mean())
        assert change.after == pytest.approx((after == name)[own].mean())
        for new in ("like mel", "apart"):
            assert change.taken[new] == pytest.approx((right & (after == new)).sum() / 150)
        # nothing moves from one old class to another
        assert change.before - change.after == pytest.approx(sum(change.taken.values()))
    assert found.before.value == pytest.approx(np.mean([c.before for c in found.old]))
    assert found.after.value == pytest.approx(np.mean([c.after for c in found.old]))
    assert found.after.low < found.after.value < found.after.high
    assert max(change.taken["like mel"] for change in found.old) > 0


def test_on_the_images_in_the_bank_no_class_loses_more_than_its_limit(taught):
    found = before_and_after(taught, resamples=50)
    assert [change.images for change in found.old] == [80] * 4
    assert all(share <= 0.1 for change in found.old for share in change.taken.values())
    json.dumps(found.to_dict())
    assert found.to_dict()["after"]["n"] == 320


def test_new_classes_are_asked_about_pictures_they_were_not_shown(world, bank):
    taught = (
        bank.enroll("apart", world.draw(5, 10))
        .enroll("noise", np.float32(world.shift + world.scale * np.eye(24)[:10] * 9))
        .enroll("single", world.draw(4, 1))
    )
    apart, noise, single = before_and_after(taught, resamples=10).new
    assert (apart.name, apart.pictures, apart.head) == ("apart", 10, "mean")
    assert apart.recognised > 0.8
    assert noise.recognised < 0.5  # each lies in a direction of its own
    assert single.recognised is None


def test_what_is_asked_has_the_head_that_is_reported(world, bank):
    taught = bank.enroll("apart", world.draw(5, LOGISTIC_FROM))
    assert taught.kinds == {"apart": "logistic"}
    fewer = taught.with_shots("apart", taught.enrolled[0].shots[:-4])
    assert (len(fewer.enrolled[0].shots), fewer.kinds) == (LOGISTIC_FROM - 4, taught.kinds)


def test_lesions_are_resampled_whole(world, taught):
    queries, labels = world.sample(range(4), 60, seed=6)
    repeated, names = np.repeat(queries, 8, axis=0), [OLD[c] for c in np.repeat(labels, 8)]
    lesions = [f"L{i}" for i in np.repeat(np.arange(240), 8)]
    as_images = before_and_after(taught, repeated, names, resamples=200).after
    as_lesions = before_and_after(taught, repeated, names, lesion_ids=lesions, resamples=200).after
    assert as_lesions.value == as_images.value
    assert as_lesions.high - as_lesions.low > 1.8 * (as_images.high - as_images.low)


def test_refuses(world, bank, taught):
    with refuses("enrollment_report.no_classes"):
        before_and_after(bank)
    with refuses("enrollment_report.no_classes"):
        before_and_after(bank.blank().enroll("x", world.draw(5, 3)))
    bare = ClassBank.from_classes(["a"], np.eye(1, 3), [1], 0.1, "f").enroll("b", np.ones((1, 3)))
    with refuses("enrollment_report.no_images"):
        before_and_after(bare)
    with refuses("enrollment_report.no_old_class", unknown="apart"):
        before_and_after(taught, world.draw(0, 1), ["apart"])
    with refuses("enrollment_report.no_image"):
        before_and_after(taught, world.draw(0, 1)[:0], [])
    with refuses("vectors.labels_shape"):
        before_and_after(taught, world.draw(0, 3), ["mel"])
