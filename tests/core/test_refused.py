"""Every refusal has a sentence in every language, and is given what the sentence speaks of."""

import ast
import copy
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from refusals import refuses

import dermsim
from dermsim.core.language import ENGLISH, LANGUAGES
from dermsim.core.refused import (
    Phrase,
    Refused,
    RefusedFileNotFoundError,
    RefusedOSError,
    renamed,
    say,
    sentences,
)

PACKAGE = Path(dermsim.__file__).parent
MAKERS = ("Phrase", "Refused", "UnreadableError", "DamagedError", "Overloaded", "BusyError")
LISTS = ("list", "and", "or", "quoted", "clauses")


def placeholders(sentence: str) -> dict[str, str]:
    return {name: spec or "" for _, name, spec, _ in string.Formatter().parse(sentence) if name}


def calls() -> Iterator[tuple[str, str, set[str] | None]]:
    """Yield where a refusal is made, its key and what it is given; None if that is spread out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            name = node.func.id.strip("_")
            key = node.args[0]
            made = name.startswith("Refused") or name in MAKERS or name.endswith("RefusedError")
            if made and isinstance(key, ast.Constant) and isinstance(key.value, str):
                given = [word.arg for word in node.keywords]
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield where, key.value, None if None in given else set(given)


def test_every_refusal_has_a_sentence_and_what_it_speaks_of():
    wrong = []
    for where, key, given in calls():
        if key not in sentences(ENGLISH):
            wrong.append(f"{where}: {key} has no sentence")
        elif given is not None and given != (asked := set(placeholders(sentences(ENGLISH)[key]))):
            wrong.append(f"{where}: {key} is given {sorted(given)} and asks for {sorted(asked)}")
    assert wrong == []


def test_every_sentence_is_said_somewhere():
    """By its key in the sources, or by one that is put together there."""
    sources = "\n".join(p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py")))
    built = ("words.", "foreign.", "foreign_tables.", "pixels.", "config.", "delimited.")
    unsaid = [
        key for key in sentences(ENGLISH) if f'"{key}"' not in sources and not key.startswith(built)
    ]
    assert unsaid == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language):
    for key, sentence in sentences(language).items():
        values = {}
        for name, spec in placeholders(sentence).items():
            values[name] = ["a", "b"] if spec in LISTS else 3 if spec else f"<{name}>"
        said = say(Phrase(key, **values), language)
        assert said.strip(), key
        for name, spec in placeholders(sentence).items():
            if not spec:
                assert f"<{name}>" in said, key


def test_a_refusal_says_its_english_sentence_and_stays_the_built_in_error():
    error = Refused("images.too_small", name="a.png", width=3, height=3, least=8)
    assert isinstance(error, ValueError)
    assert str(error) == "a.png is 3 x 3 pixels, too small to analyse: at least 8 x 8 are needed"
    assert error.values["width"] == 3
    missing = RefusedFileNotFoundError("images.no_file", path="a.png")
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "no image at a.png: check the path"


def test_a_language_writes_numbers_and_lists_in_its_way():
    error = Refused("archives.too_many", count=12_345, most=500)
    assert str(error).startswith("12,345 pictures")
    assert say(error, "es").startswith("12.345 imágenes")
    assert say(Phrase("images.too_large", name="a", width=1, height=2, most=1.5), "es").count("1,5")
    lacking = Refused("columns.lacks", source="t.csv", missing=["age", "dx"], columns=["a", "b"])
    assert str(lacking) == "t.csv lacks the column age and dx, it has a, b"
    assert "age y dx; tiene a, b" in say(lacking, "es")
    assert str(Phrase("part.no_head", name="x", known=[])).endswith("there are: none.")


def test_what_a_refusal_quotes_is_translated_too():
    reason = Refused("rows.missing", column="dx")
    row = Refused("tables.row", row=3, image_id="ISIC_1", reason=reason)
    assert str(row) == "row 3 (image_id ISIC_1): dx is missing"
    assert say(row, "es") == "Fila 3 (image_id ISIC_1): falta dx"


def test_an_error_without_a_key_says_the_same_in_one_line_and_is_not_kept_alive():
    error = Refused("storage.not_json", name="a.json", error=ValueError("broken\n  off"))
    assert error.values["error"] == "broken off"
    assert say(error, "es") == "a.json no es JSON válido: broken off."


@pytest.mark.parametrize("kind", [Refused, RefusedOSError, RefusedFileNotFoundError])
def test_a_refusal_passes_to_another_process_whole(kind):
    reason = Phrase("downloads.no_answer")
    error = kind("downloads.hub_not_asked", name="a", kind="model", reason=reason)
    for other in (copy.copy(error), copy.deepcopy(error)):  # as pickle does it
        assert type(other) is kind
        assert (other.key, other.values, str(other)) == (error.key, error.values, str(error))


def test_what_a_worker_of_torch_raises_anew_says_its_traceback():
    assert str(Refused("Caught ValueError in worker process 0.")).startswith("Caught ValueError")


def test_a_refusal_of_something_else_keeps_its_kind():
    error = Refused("images.empty", name="the image")
    other = renamed(error, name="a.png", width=3)
    assert type(other) is Refused
    assert (other.key, other.values) == ("images.empty", {"name": "a.png"})
    assert error.values == {"name": "the image"}


def test_phrases_are_equal_by_what_they_say():
    assert Phrase("images.empty", name="a") == Phrase("images.empty", name="a")
    assert Phrase("images.empty", name="a") != Phrase("images.empty", name="b")
    assert repr(Phrase("images.empty", name="a")) == "Phrase('images.empty', {'name': 'a'})"


def test_sources_that_ship_with_weights_say_what_the_files_of_sentences_say():
    """They must stand alone, so that their sentences are written twice."""
    found = {}
    for path in sorted(PACKAGE.glob("data/*_dermsim.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found |= dict(pixel_errors(node))
    table = "pixels."
    own = {k.removeprefix(table): s for k, s in sentences(ENGLISH).items() if k.startswith(table)}
    assert found == own


def pixel_errors(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield the kind and the sentence of what a function refuses, in the order of its lines."""
    sentence = None
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.Call)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            sentence = node.value.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PixelsError":
            yield node.args[0].value, sentence


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("images.folder", {}),
        ("images.empty", {"name": "b.png"}),
        (("images.folder", "images.type"), {}),
        (Phrase("images.empty", name="a.png"), {"name": "b.png"}),
    ],
)
def test_a_test_fails_where_something_else_is_refused(expected, values):
    with pytest.raises(AssertionError), refuses(expected, **values):
        raise Refused("images.empty", name="a.png")


def test_a_test_looks_into_what_a_refusal_quotes():
    def refuse():
        reason = Refused("rows.age", text="200", max_age=120)
        raise Refused("tables.row", row=3, image_id="a", reason=reason)

    with refuses("tables.row", row=3, reason="rows.age"):
        refuse()
    with refuses("tables.row", reason=Phrase("rows.age", text="200")):
        refuse()
    for wrong in ("rows.missing", Phrase("rows.age", text="201"), Phrase("rows.missing")):
        with pytest.raises(AssertionError), refuses("tables.row", reason=wrong):
            refuse()
    with pytest.raises(AssertionError, match="has no key"), refuses("tables.row"):
        raise ValueError("row 3")
