import re
import unicodedata

import pytest
from refusals import refuses

from dermsim.core.labels import (
    CODES,
    DISCLAIMER,
    ID2LABEL,
    LABEL2ID,
    LABELS,
    MALIGNANT,
    diagnosis,
    parse_dx,
)
from dermsim.core.language import LANGUAGES


def test_order_is_the_published_one():
    assert CODES == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert [LABEL2ID[code] for code in CODES] == list(range(7))
    assert [ID2LABEL[index] for index in range(7)] == [item.code for item in LABELS]


def test_malignant_codes():
    assert MALIGNANT == ("akiec", "bcc", "mel")


@pytest.mark.parametrize("item", LABELS, ids=CODES)
def test_every_diagnosis_is_complete(item):
    assert item.name == item.named("en") and item.description == item.described("en")
    assert all(item.named(language) for language in LANGUAGES)
    assert all(item.described(language).endswith(".") for language in LANGUAGES)
    assert re.fullmatch(r"#[0-9A-F]{6}", item.color)


def test_colors_differ():
    assert len({item.color for item in LABELS}) == 7


def test_disclaimer_is_one_sentence():
    assert DISCLAIMER.count(".") == 1 and "not a medical device" in DISCLAIMER


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # the Hub copy's spellings, capital and all
        ("actinic_keratoses", "akiec"),
        ("basal_cell_carcinoma", "bcc"),
        ("benign_keratosis-like_lesions", "bkl"),
        ("dermatofibroma", "df"),
        ("melanoma", "mel"),
        ("melanocytic_Nevi", "nv"),
        ("vascular_lesions", "vasc"),
        # ISIC's and other people's
        ("MEL", "mel"),
        (" Nevus ", "nv"),
        ("Seborrheic Keratosis", "bkl"),
        ("solar-lentigo", "bkl"),
        ("Bowen's disease", "akiec"),
        ("Nevo melanocítico", "nv"),
    ],
)
def test_parse_dx_knows_the_spellings(text, code):
    assert parse_dx(text) == code


@pytest.mark.parametrize("item", LABELS, ids=CODES)
def test_parse_dx_knows_its_own_names(item):
    assert {parse_dx(text) for text in (item.code, *map(item.named, LANGUAGES))} == {item.code}


@pytest.mark.parametrize("text", ["", "4", "carcinoma", "squamous cell carcinoma", "melan"])
def test_parse_dx_refuses_the_unknown(text):
    with refuses("labels.unknown_dx", codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]):
        parse_dx(text)


def test_diagnosis_looks_up_by_code():
    assert diagnosis("mel").name == "Melanoma"
    with refuses("labels.unknown_code", code="melanoma"):
        diagnosis("melanoma")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("mélanome malin", "mel"), ("carcinome basocellulaire", "bcc")),
        *(("kératose séborrhéique", "bkl"), ("kératose actinique", "akiec")),
        *(("nævus mélanocytaire", "nv"), ("NAEVUS", "nv"), ("lésion vasculaire", "vasc")),
        *(("melanoma maligno", "mel"), ("carcinoma basocellulare", "bcc")),
        *(("cheratosi seborroica", "bkl"), ("cheratosi attinica", "akiec")),
        *(("nevo melanocitico", "nv"), ("lesione vascolare", "vasc")),
        *(("ceratose seborreica", "bkl"), ("queratose actínica", "akiec")),
        *(("lesão vascular", "vasc"), ("nevo melanocítico", "nv")),
        *(("malignes Melanom", "mel"), ("Nävuszellnävus", "nv"), ("Gefäßläsion", "vasc")),
        *(("lesión vascular", "vasc"), ("nevus melanocítico", "nv"), ("dermatofibrome", "df")),
    ],
)
def test_parse_dx_knows_six_languages(text, code, form):
    assert parse_dx(unicodedata.normalize(form, text)) == code
    assert parse_dx(text.upper()) == code
