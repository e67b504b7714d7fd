import numpy as np
import pytest
import torch
from refusals import refuses
from torch.utils.data import DataLoader

from dermsim.training.sampler import BalancedSampler

LABELS = [0] * 90 + [1] * 9 + [2]


def test_an_epoch_has_as_many_draws_as_images():
    assert len(list(BalancedSampler(LABELS))) == len(BalancedSampler(LABELS)) == 100


def test_no_balance_draws_every_image_once():
    assert sorted(BalancedSampler(LABELS, balance=0)) == list(range(100))


def test_full_balance_draws_classes_equally_often():
    drawn = np.bincount(np.array(LABELS)[list(BalancedSampler(LABELS, balance=1))])
    np.testing.assert_allclose(drawn, 100 / 3, atol=1)


def test_square_root_balance_follows_the_formula():
    weights = np.array([90, 9, 1]) ** 0.5
    drawn = np.bincount(np.array(LABELS)[list(BalancedSampler(LABELS, balance=0.5))])
    np.testing.assert_allclose(drawn, 100 * weights / weights.sum(), atol=1)


def test_each_image_comes_as_often_as_expected_give_or_take_one():
    sampler = BalancedSampler(LABELS, balance=0.5)
    drawn = np.bincount(list(sampler), minlength=100)
    expected = sampler.expected.numpy()
    assert (drawn >= np.floor(expected)).all()
    assert (drawn <= np.ceil(expected)).all()


def test_seed_and_epoch_alone_fix_the_order():
    first, second = BalancedSampler(LABELS, seed=3), BalancedSampler(LABELS, seed=3)
    torch.rand(7)  # the global generator has no say
    assert list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(BalancedSampler(LABELS, seed=4))


def test_works_under_a_dataloader():
    loader = DataLoader(range(100), 10, sampler=BalancedSampler(LABELS), drop_last=True)
    assert torch.cat(list(loader)).shape == (100,)


def test_no_images_is_an_error():
    with refuses("sampler.no_images"):
        BalancedSampler([])


def test_balance_outside_its_range_is_an_error():
    with refuses("sampler.balance", balance=2):
        BalancedSampler(LABELS, balance=2)


def test_class_counts_are_what_an_epoch_draws():
    labels = [0] * 90 + [1] * 10 + [2] * 20
    sampler = BalancedSampler(labels, balance=0.5, seed=0)
    drawn = torch.zeros(3)
    for epoch in range(50):
        sampler.set_epoch(epoch)
        drawn += torch.bincount(torch.tensor(labels)[list(sampler)], minlength=3)
    torch.testing.assert_close(sampler.class_counts(3).float(), drawn / 50, rtol=0.02, atol=0)


def test_class_counts_leave_out_later_labels_and_keep_absent_ones():
    assert BalancedSampler([0, 0, 3, 5], balance=0).class_counts(4).tolist() == [2, 0, 0, 1]


FURTHER = [False] * 100 + [True] * 60
ALSO = [*LABELS, *[0] * 20, *[1] * 39, 3]


def test_other_sources_get_their_share_of_every_diagnosis():
    """So that no diagnosis is known by its clinic."""
    sampler = BalancedSampler(ALSO, also=FURTHER, also_share=0.4)
    expected, labels, further = sampler.expected, sampler.labels, torch.tensor(FURTHER)
    assert expected.sum() == pytest.approx(len(ALSO))
    for label in (0, 1):
        rows = labels == label
        assert (expected[rows & further].sum() / expected[rows].sum()).item() == pytest.approx(0.4)
    for label in (2, 3):  # one kind of source alone has it
        assert expected[labels == label].sum() > 0


def test_other_sources_do_not_change_how_often_diagnoses_come():
    alone = BalancedSampler(LABELS, balance=0.5).class_counts(3)
    both = BalancedSampler([*LABELS, *[1] * 50], also=FURTHER[:150], also_share=0.4).class_counts(3)
    np.testing.assert_allclose(both / both.sum(), alone / alone.sum())


def test_a_share_outside_its_range_is_an_error():
    with refuses("sampler.also_share", also_share=1):
        BalancedSampler(LABELS, also_share=1)
