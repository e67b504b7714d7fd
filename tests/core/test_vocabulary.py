"""Words of tables in every spelling that people and spreadsheets give them."""

import unicodedata

import pytest
from refusals import refuses

from dermsim.core.labels import fold, parse_dx
from dermsim.core.vocabulary import (
    BROAD_SITES,
    SITES,
    is_missing,
    meaning_of_m,
    parse_sex,
    parse_site,
)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "NaN", "nan", "NA", "N/A", "n.a.", "#N/A", "<NA>", "NaT", "null", "NULL"),
        *("None", "unknown", "Unknown", "UNK", "-", "--", "?", ".", "not known", "Desconocido"),
        *("sin datos",),
        *("unbekannt", "keine Angabe", "k. A.", "inconnu"),
    ],
)
def test_missing(text):
    assert is_missing(text)


@pytest.mark.parametrize("text", ["0", "no", "other", "nav", "HAM_0000118", "normal", "1", "nan1"])
def test_not_missing(text):
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        *(("Male", "male"), ("F", "female"), ("FEMALE", "female"), ("m", "male")),
        *(("mujer", "female"), ("Hombre", "male"), ("varón", "male"), ("varon", "male")),
        *(("männlich", "male"), ("maennlich", "male"), ("weiblich", "female"), (" w ", "female")),
        ("femme", "female"),
    ],
)
def test_sexes(text, sex):
    assert parse_sex(text) == sex


@pytest.mark.parametrize("text", ["x", "1", "diverse", "femail"])
def test_a_word_for_neither_is_refused(text):
    with refuses("core_vocabulary.sex", text=text):
        parse_sex(text)


@pytest.mark.parametrize(
    ("column", "m"),
    [
        (["M", "F"], "male"),
        (["m", "w"], "male"),
        (["M", "H"], "female"),
        (["Hombre", "M", "M"], "female"),
        (["V", "M"], "female"),
        (["H", "F"], "male"),
        (["M"], "male"),
        ([], "male"),
    ],
)
def test_m_is_mujer_beside_spanish_words_for_male(column, m):
    assert meaning_of_m(column) == m


def test_m_beside_words_for_both_is_refused():
    with refuses("core_vocabulary.sex_m", word="H", other="F"):
        meaning_of_m(["H", "F", "M"])


@pytest.mark.parametrize(
    ("text", "site"),
    [
        *(("Back", "back"), ("Espalda", "back"), ("Rücken", "back"), ("RUCKEN", "back")),
        *(("lower_extremity", "lower extremity"), ("Lower Extremity", "lower extremity")),
        *(("left forearm", "upper extremity"), ("Abdomen, right", "abdomen")),
        *(("posterior torso", "back"), ("palms/soles", "acral"), ("head/neck", "head/neck")),
        *(("head_neck_face", "head/neck"), ("NOSE", "face"), ("Fuß", "foot")),
        *(("pie izquierdo", "foot"), ("abdomén", "abdomen")),
        *(("tórax", "chest"), ("Pescoço", "neck")),
    ],
)
def test_sites(text, site):
    assert parse_site(text) == site


def test_every_site_names_itself():
    assert [parse_site(site.upper()) for site in (*SITES, *BROAD_SITES)] == [*SITES, *BROAD_SITES]


@pytest.mark.parametrize("text", ["left", "Vienna", "R\ufffdcken", "extremity"])
def test_a_site_that_is_not_known_is_refused(text):
    with refuses(
        "core_vocabulary.localization",
        sites=[*SITES, *BROAD_SITES],
    ):
        parse_site(text)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Nevo melanocítico", "nv"),
        ("queratosis actínica", "akiec"),
        ("Léntigo solar", "bkl"),
        ("Hämangiom", "vasc"),
        ("NÄVUS", "nv"),
    ],
)
def test_accents_are_composed_decomposed_or_lost(text, code, form):
    lost = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    assert parse_dx(unicodedata.normalize(form, text)) == parse_dx(lost) == code


def test_fold_keeps_letters_of_other_scripts():
    assert fold("男") == "男" and fold("Straße") == fold("STRASSE")


@pytest.mark.parametrize(
    "text",
    [
        *("#N/A", "#NV", "#N/D", "#REF!", "#BEZUG!", "#DIV/0!", "#NAME?", "#¡VALOR!", "<NA>"),
        *("s/d", "n. b.", "ninguno", "nicht bekannt", "non renseigné", "non noto", "não informado"),
    ],
)
def test_errors_of_spreadsheets_and_words_of_six_languages_mean_nothing(text):
    assert is_missing(text)


@pytest.mark.parametrize("text", ["nv", "#12", "#A", "SD", "NB", "REF", "NV"])
def test_what_may_be_somebodys_initials_or_a_naevus_is_something(text):
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "site"),
    [
        *(("left shoulder", "upper extremity"), ("Schulter rechts", "upper extremity")),
        *(("épaule", "upper extremity"), ("buttock", "trunk"), ("Gesäß", "trunk")),
        *(("ingle izq.", "trunk"), ("hip", "lower extremity"), ("Hüfte", "lower extremity")),
        *(("Schläfe", "face"), ("tempia", "face"), ("sobrancelha", "face"), ("cheville", "foot")),
        *(("polso", "hand"), ("décolleté", "chest")),
    ],
)
def test_sites_that_the_topography_of_icd_o_settles(text, site):
    assert parse_site(text) == site


@pytest.mark.parametrize(("text", "sex"), [("donna", "female"), ("uomo", "male")])
def test_sexes_in_italian(text, sex):
    assert parse_sex(text) == sex
