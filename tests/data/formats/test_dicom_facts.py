"""Age, sex and site from DICOM: only when asked for, and nothing else."""

import numpy as np
import pydicom
import pytest
from dicom_files import as_file, elements
from refusals import refuses

from dermsim.core.vocabulary import SITES
from dermsim.data.facts import Facts
from dermsim.data.formats.dicom_facts import parse_age, read_dicom_facts
from dermsim.data.formats.dicom_sites import known_codes, site_of
from dermsim.data.synthetic import draw_lesion

RGB = np.asarray(draw_lesion("mel", seed=1, size=(48, 40)))


def region(value, scheme="SCT", meaning="whatever was typed") -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def facts(**others) -> Facts:
    return read_dicom_facts(as_file(elements(RGB, **others)))


def test_what_is_known():
    known = facts(PatientAge="045Y", PatientSex="F", AnatomicRegionSequence=[region("75093004")])
    assert known == Facts(45, "female", "abdomen")
    assert facts() == Facts()


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("045Y", 45),
        ("018M", 1.5),
        ("052W", pytest.approx(0.9966, abs=1e-3)),
        ("010D", pytest.approx(0.0274, abs=1e-3)),
        ("45Y", 45),
        ("000Y", 0),
        ("120Y", 120),
        ("121Y", None),
        ("999Y", None),
        ("45", None),
        ("045", None),
        ("forty", None),
        ("-45Y", None),
        ("", None),
    ],
)
def test_ages_with_their_units(text, years):
    assert parse_age(text) == years


@pytest.mark.parametrize(
    ("sex", "known"), [("M", "male"), ("F", "female"), ("O", None), ("", None)]
)
def test_sexes(sex, known):
    assert facts(PatientSex=sex).sex == known


@pytest.mark.parametrize(
    ("value", "scheme", "site"),
    [
        ("66643007", "SCT", "back"),
        ("70887009", "SCT", "acral"),
        ("79951008", "SCT", "scalp"),
        ("1902009", "SCT", "ear"),
        ("36141000", "SCT", "face"),
        ("43081002", "SCT", "neck"),
        ("244106003", "SCT", "chest"),
        ("60496002", "SCT", "foot"),
        ("33712006", "SCT", "hand"),
        ("35900000", "SCT", "genital"),
        ("61248009", "SCT", "lower extremity"),
        ("70559009", "SCT", "upper extremity"),
        ("22180002", "SCT", "trunk"),
        ("89545001", "SCT", "face"),
        ("T-D2100", "SRT", "back"),
        ("T-D8700", "SNM3", "hand"),
        ("T-D9700", "99SDM", "foot"),
        ("39937001", "SCT", None),  # skin
        ("113277000", "SCT", None),  # mucosa of the mouth
        ("54735007", "SCT", None),  # a bone
        ("66643007", "99LOCAL", None),
        ("0", "SCT", None),
    ],
)
def test_codes_of_sites(value, scheme, site):
    assert site_of(value, scheme) == site
    assert facts(AnatomicRegionSequence=[region(value, scheme)]).localization == site


def test_every_code_of_the_standard_tells_a_site_or_none():
    found = [site_of(value, scheme) for scheme, value in known_codes()]
    assert set(found) - {None} == set(SITES)
    assert found.count(None) < 0.45 * len(found)


def test_a_site_by_the_name_of_a_body_part_where_there_is_no_code():
    assert facts(BodyPartExamined="FOOT").localization == "foot"
    assert facts(BodyPartExamined="SKULL").localization is None
    other = facts(BodyPartExamined="FOOT", AnatomicRegionSequence=[region("66643007")])
    assert other.localization == "back"


def test_what_the_file_says_that_a_code_means_is_not_believed():
    item = region("66643007", meaning="Skin of face")
    assert facts(AnatomicRegionSequence=[item]).localization == "back"


def test_other_files_know_nothing_and_broken_ones_are_refused():
    assert read_dicom_facts(b"\xff\xd8\xff") == Facts()
    broken = as_file(elements(RGB))[:140]
    with refuses("dicom.damaged", name="lesion.dcm"):
        read_dicom_facts(broken[:132] + b"\x02\x00" + b"\xff" * 7, name="lesion.dcm")
