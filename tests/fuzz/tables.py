"""Tables as nobody should save them, read through the door for data, and shown to REST."""

import io
import random
import tempfile
import warnings
from pathlib import Path

import openpyxl
from starlette.testclient import TestClient

from dermsim.data.dataset import open_source
from dermsim.data.synthetic import draw_lesion
from fuzz.mutations import CHANGES
from fuzz.running import WARM_UP, Tally, application

NAMES = ("a", "b", "c")
COLUMNS = ("image_id", "dx", "lesion_id", "age", "sex", "localization")
ROWS = (
    ("a.png", "mel", "L1", "61", "female", "back"),
    ("b", "Nävus", "L2", "40,5", "m", "left forearm"),
    ("c", "bcc", "NaN", "", "unknown", "#N/A"),
)
WORDS = (
    *("NaN", "#NV", "2.4E+11", "-1", "999", "01.02.1960", "=1+1", "\u202e", "é", "e\u0301", "\x00"),
    *(
        "9" * 400,
        "1e999",
        "../../etc/passwd",
        "C:\\a.png",
        '"',
        "\n",
        ";",
        "sep=|",
        "ﬁ",
        "٤٥",
        "𝟜𝟝",
    ),
)
"""Cells that mean something, or nothing, to one reader or another."""


def table_seeds() -> dict[str, bytes]:
    """Return whole tables, by the name that a folder has them under."""
    found = {}
    for separator, encoding in ((",", "utf-8"), (";", "cp1252"), ("\t", "utf-16"), ("|", "utf-8")):
        cells = [[f'"{c}"' if separator in c else c for c in row] for row in (COLUMNS, *ROWS)]
        text = "\r\n".join(separator.join(row) for row in cells)
        head = f"sep={separator}\r\n" if encoding == "cp1252" else ""
        found[f"{encoding}{len(found)}.csv"] = (head + text).encode(encoding)
    book = openpyxl.Workbook()
    for row in (COLUMNS, *ROWS):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    found["book.xlsx"] = stream.getvalue()
    quoted = (
        "{" + ", ".join(f'"{c}": "{v}"' for c, v in zip(COLUMNS, row, strict=True)) + "}"
        for row in ROWS
    )
    found["lines.jsonl"] = "\n".join(quoted).encode()
    return found


def another_word(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Put a word of `WORDS` where another stood."""
    old = rng.choice([cell for row in (COLUMNS, *ROWS) for cell in row if cell])
    return data.replace(old.encode(), rng.choice(WORDS).encode(), 1)


def hostile_tables(count: int, *, seed: int):
    """Yield the name and the bytes of `count` tables, half of them with other words alone."""
    rng = random.Random(seed)
    files = table_seeds()
    names = list(files)
    for number in range(count):
        name = names[number % len(names)]
        data, changes = files[name], (another_word,) if number % 2 else CHANGES
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = rng.choice(changes)(data, rng, files[rng.choice(names)])
        yield name, data


def read_tables(engine, count: int, *, seed: int = 0) -> Tally:
    """Read hostile tables beside three pictures: each is read, or refused in a sentence.

    Args:
        engine: Is shown every tenth of them as if it were a picture.
        count: How many.
        seed: Of the changes.
    """
    tally = Tally()
    tally.note_memory()
    with tempfile.TemporaryDirectory() as place, TestClient(application(engine)) as client:
        folder = Path(place)
        for number, name in enumerate(NAMES):
            draw_lesion("nv", seed=number, size=(24, 16)).save(folder / f"{name}.png")
        for number, (name, data) in enumerate(hostile_tables(count, seed=seed)):
            if number == int(count * WARM_UP):
                tally.note_memory()
            table = folder / name
            table.write_bytes(data)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    open_source(table if number % 3 else folder)
                tally.statuses["read"] += 1
            except (ValueError, OSError) as error:
                tally.statuses["refused"] += 1
                if "\n" in str(error).strip() or not str(error):
                    tally.faults.append(f"{number} {name}: no sentence: {str(error)[:200]!r}")
            except Exception as error:  # what a fuzzer looks for
                tally.faults.append(f"{number} {name}: {type(error).__name__}: {error}"[:300])
            table.unlink()
            if number % 10 == 0:
                answer = client.post("/api/v1/predict", files={"images": (name, data)})
                tally.statuses[answer.status_code] += 1
                if answer.status_code != 422:
                    tally.faults.append(f"{answer.status_code} for {name}: {answer.text[:200]}")
    tally.note_memory()
    return tally
