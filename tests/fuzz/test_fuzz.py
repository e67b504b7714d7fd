"""A small part of what `python -m fuzz` sends, and whether its own counting works."""

import pytest
from refusals import refuses

from fuzz.mutations import CHANGES, hostile_pictures, seeds
from fuzz.running import Tally, send_pictures, send_requests
from fuzz.tables import hostile_tables, read_tables, table_seeds

KINDS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "JPEG2000", "JXL", "DICOM"),
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged TIFF


def test_every_seed_is_read_or_refused_for_its_mode(engine):
    from dermsim.data.images import read_image

    for name, data in seeds().items():
        if name.endswith(" F"):
            with refuses("pixels.out_of_range"):
                read_image(data)
        else:
            assert read_image(data).mode == "RGB", name


def test_the_pictures_are_the_same_each_time_and_of_every_kind():
    first = list(hostile_pictures(300, seed=1))
    assert first == list(hostile_pictures(300, seed=1))
    assert first != list(hostile_pictures(300, seed=2))
    names = " ".join(name for name, _ in first)
    assert all(change.__name__ in names for change in CHANGES)
    assert all(kind in names for kind in KINDS)


def test_hostile_pictures_are_answered(engine):
    tally = send_pictures(engine, 200, seed=1)
    assert not tally.faults
    assert tally.statuses.total() == 200
    assert set(tally.statuses) == {200, 422}  # some changes do no harm


def test_tables_are_read_or_refused_in_a_sentence(engine):
    tally = read_tables(engine, 120, seed=1)
    assert not tally.faults
    assert tally.statuses["read"] > 5 and tally.statuses["refused"] > 20
    assert tally.statuses[422] == 12
    assert len({name for name, _ in hostile_tables(20, seed=1)}) == len(table_seeds()) == 6


def test_malformed_requests_are_answered(engine):
    pytest.importorskip("schemathesis", reason="it comes with the extra dev")
    tally = send_requests(engine, 100, seed=1)
    assert not tally.faults
    assert tally.statuses.total() >= 100
    assert tally.statuses[422] > 50


def test_a_fault_would_be_counted(engine, monkeypatch):
    def fail(*values, **options):
        raise RuntimeError("broken")

    monkeypatch.setattr(type(engine), "predict_and_vote", fail)
    tally = send_pictures(engine, 60, seed=1)
    assert len(tally.faults) == tally.statuses[500] > 0


def test_growth_is_measured_after_the_warm_up():
    assert Tally(memory=[100.0, 200.0, 210.0]).growth == pytest.approx(0.05)


@pytest.mark.slow
def test_all_of_them(engine):
    """As `make fuzz`: takes most of half an hour."""
    pictures = send_pictures(engine, 10_000)
    assert not pictures.faults
    requests = send_requests(engine, 5_000)
    assert not requests.faults
    tables = read_tables(engine, 5_000)
    assert not tables.faults
    assert max(pictures.growth, requests.growth, tables.growth) < 0.05
