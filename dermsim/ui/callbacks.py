"""What happens when the visitor acts: plain functions of an engine and plain values.

Each returns HTML, a picture, a `ClassBank` or JSON-able values, and refuses bad input with a
`ValueError` of one sentence. None of them knows Gradio; `tabs` and `app` bind them to the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dermsim.core.labels import CODES, DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import answers
from dermsim.engine.concept_answers import concept_conditions, with_concepts
from dermsim.tasks.classify import POINTS, parse_point
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import (
    cards,
    explain_callbacks,
    filters,
    notices,
    operating_slider,
    opinions,
    render,
    summary,
)
from dermsim.ui.i18n import say

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.engine.results import SimilarCases
    from dermsim.tasks.retrieve import Neighbor

Report = Callable[[float, str], object]
"""Told how far long work has come: the share done in [0, 1] and what is being done."""

MAX_NEIGHBORS = 24
MAX_PICTURES = 50
BANK_BYTES = 16_000_000
"""Of a file of classes, as over REST."""

BANK_NAME = "dermsim-classes.safetensors"


def nothing_similar(language: str = "en") -> str:
    """Return what *Similar cases* says while there is no picture."""
    return render.empty(say("similar.nothing", language), say("similar.nothing_how", language))


def nothing_compared(language: str = "en") -> str:
    """Return what *Enrol a class* says while there is no picture."""
    return render.empty(say("enroll.nothing", language), say("enroll.nothing_how", language))


@dataclass(frozen=True)
class CaseView:
    """What is said of one picture wherever the visitor looks, from a single look of the model.

    Attributes:
        notice: What must be read before any label, or nothing.
        summary: The answer in short; empty while there is no picture.
        verdict: What *Classify* shows.
        neighbors: The past cases most like it, most similar first.
    """

    notice: str
    summary: str
    verdict: str
    neighbors: tuple[Neighbor, ...] = ()


def classify(
    engine: DermSim,
    image: str | None,
    stop: int = operating_slider.USUAL,
    bank: ClassBank | None = None,
    *,
    language: str = "en",
) -> CaseView:
    """Say what a picture may be, for what stands above all tabs and for *Classify*.

    While there is no picture, the verdict is the seven diagnoses in words.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture, or None while there is none.
        stop: Where malignant begins, of `operating.stops`.
        bank: What this visitor has taught; the picture is compared with those classes, too.
        language: The visitor's.

    Raises:
        ValueError: If the picture cannot be read or there is no such stop.
    """
    if image is None:
        return CaseView("", "", render.legend(language))
    own = own_classes(bank)
    asked = bank if own else None
    found = engine.analyze(image, k=explain_callbacks.CASES, explain=None, bank=asked)
    prediction, calibration = found.prediction, engine.calibration
    # whose answer is not to be relied on is not also called ambiguous
    notice = notices.notices(prediction, language=language)
    if not prediction.withheld:
        notice += opinions.undecided(prediction, found.vote, language=language)
    meaning = operating_slider.meaning(prediction, calibration, stop, language=language)
    return CaseView(
        notice=notice,
        summary=summary.summary(engine, found, stop, language=language),
        verdict=render.verdict(
            prediction,
            calibration,
            vote=found.vote,
            meaning=meaning,
            enrolled=found.enrolled,
            own=own,
            language=language,
        ),
        neighbors=found.neighbors,
    )


def points(
    engine: DermSim, kept: str = "", *, language: str = "en"
) -> tuple[int, int, str, dict[str, str]]:
    """Return how many operating points there are, the one to begin with, its figures, and names.

    Args:
        engine: The loaded checkpoint.
        kept: The threshold that this visitor had chosen, as text; the usual point where the
            checkpoint has none such.
        language: The visitor's.
    """
    thresholds = [point.threshold for point in operating_slider.stops(engine.calibration)]
    usual = operating_slider.presets(engine.calibration)[POINTS[0]]
    known = {str(threshold): stop for stop, threshold in enumerate(thresholds)}
    first = known.get(kept, usual)
    html = operating_slider.panel(engine, first, language=language)
    names = operating_slider.preset_names(engine, language=language)
    return len(thresholds), first, html, names


def similar(
    engine: DermSim,
    image: str | None,
    k: int,
    one_per_lesion: bool = True,
    *facts: Any,
    concepts: Sequence[str] | None = None,
    exclude_lesion: str = "",
    pictures: render.Pictures | None = None,
    language: str = "en",
) -> str:
    """Return the past cases most like a picture as cards, and how they vote.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture, or None while there is none.
        k: How many cases, 1 to `MAX_NEIGHBORS`.
        one_per_lesion: Whether to hide further photographs of a lesion that is shown.
        facts: What cases must have: the values of `filters.MENUS`, in this order, then the lowest
            and the highest age in years. Nothing for all cases.
        concepts: States of concepts that cases must have, such as ``"streaks=present"``.
        exclude_lesion: A lesion to leave out; nothing for none.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        language: The visitor's.

    Raises:
        ValueError: If the picture cannot be read, `k` is out of range or the filter is bad.
    """
    if image is None:
        return nothing_similar(language)
    found, where = _similar(engine, image, k, one_per_lesion, facts, concepts, exclude_lesion)
    records = engine.gallery.records
    total = len(records) if (rows := records.matching(where)) is None else len(rows)
    above = ""
    if found.neighbors:
        key = "similar.vote_these" if where else "similar.vote"
        title = say(key, language, count=min(VOTERS, total))
        vote = opinions.vote_line(found.vote, language=language)
        above = f'<h3 class="ds-sub">{title}</h3>{vote}'
    if found.recognised is not None:
        above = notices.recognised(found.recognised, language=language) + above
    return cards.neighbors(found.neighbors, pictures, total, above=above, language=language)


def compare(
    engine: DermSim, bank: ClassBank | None, image: str | None, *, language: str = "en"
) -> str:
    """Return a picture's probabilities against old and enrolled classes.

    Raises:
        ValueError: If the picture cannot be read.
    """
    if image is None:
        return nothing_compared(language)
    known = engine.class_bank() if bank is None else bank
    found = engine.analyze(image, k=1, explain=None, bank=known)
    draw = render.compared_anyway if found.prediction.withheld else render.comparison
    return draw(found.enrolled or {}, own_classes(bank), language=language)


def enroll(
    engine: DermSim,
    bank: ClassBank | None,
    name: str,
    pictures: Sequence[str],
    *,
    report: Report | None = None,
    language: str = "en",
) -> ClassBank:
    """Return a new bank that also knows a class shown in a few pictures; the old one is unchanged.

    Args:
        engine: The loaded checkpoint.
        bank: What this visitor has taught so far; None for nothing.
        name: Of the new class.
        pictures: Paths of 1 to `MAX_PICTURES` pictures of it.
        report: Told before each picture is read.
        language: In which it is told.

    Raises:
        ValueError: If the name is empty or taken, there are no or too many pictures, or one
            cannot be read.
    """
    if not isinstance(name, str) or not name.strip():
        raise Refused("callbacks.no_name")
    if not pictures:
        raise Refused("callbacks.no_pictures", name=name.strip())
    if len(pictures) > MAX_PICTURES:
        raise Refused("callbacks.too_many", count=len(pictures), most=MAX_PICTURES)

    def reported() -> Iterator[str]:
        for done, picture in enumerate(pictures):
            if report:
                counts = {"done": done + 1, "count": len(pictures)}
                report(done / len(pictures), say("enroll.reading", language, **counts))
            yield picture

    return answers.teach(engine, reported(), name=name.strip(), bank=bank)


def remove(bank: ClassBank | None, name: str | None) -> ClassBank:
    """Return a new bank without one enrolled class.

    Raises:
        ValueError: If no class was chosen or this visitor has not enrolled it.
    """
    if bank is None or name is None or name not in own_classes(bank):
        raise Refused("callbacks.nothing_to_remove")
    return bank.remove(name)


def own_classes(bank: ClassBank | None) -> dict[str, int]:
    """Return the classes that a visitor enrolled, with the number of pictures of each."""
    if bank is None:
        return {}
    taught = {new.name for new in bank.enrolled}
    counts = zip(bank.names, bank.counts, strict=True)
    return {name: n for name, n in counts if name in taught or name not in CODES}


def load_bank(engine: DermSim, path: str) -> ClassBank:
    """Read a bank that a visitor saved earlier.

    Raises:
        ValueError: If the file is too large, not a bank or was made with another model.
    """
    if Path(path).stat().st_size > BANK_BYTES:
        raise Refused("callbacks.bank_too_large", name=Path(path).name, most=BANK_BYTES // 10**6)
    return ClassBank.load(path, fingerprint=engine.fingerprint)


def save_bank(bank: ClassBank, folder: str | Path) -> Path:
    """Write a bank into a folder under the name the visitor's download gets."""
    path = Path(folder) / BANK_NAME
    bank.save(path)
    return path


def classify_data(
    engine: DermSim, image: str | None, operating_point: str | float = POINTS[0]
) -> dict[str, object]:
    """Return the prediction for one picture as JSON-able values: the ``/classify`` endpoint.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture.
        operating_point: Where malignant begins: a name, or a threshold, as for `DermSim.predict`.

    Raises:
        ValueError: If there is no picture, it cannot be read, or the point is unknown.
    """
    path = _required(image)
    point = parse_point(operating_point)
    (found,) = answers.classify(engine, [path], operating_point=point)
    return {
        **found.to_dict(),
        "operating_point": answers.point(engine, point),
        "disclaimer": DISCLAIMER,
    }


def similar_data(
    engine: DermSim,
    image: str | None,
    k: int,
    one_per_lesion: bool = True,
    *facts: Any,
    concepts: Sequence[str] | None = None,
    exclude_lesion: str = "",
) -> list[dict[str, object]]:
    """Return the most similar past cases as JSON-able values: the ``/similar`` endpoint."""
    path = _required(image)
    found, _ = _similar(engine, path, k, one_per_lesion, facts, concepts, exclude_lesion)
    return [neighbor.to_dict() for neighbor in found.neighbors]


def offers(engine: DermSim, *, language: str = "en") -> dict[str, filters.Offer]:
    """Return the choices in the menus of facts: the facts that past cases have."""
    return filters.offers(engine.gallery.records, language=language)


def compare_data(engine: DermSim, bank: ClassBank | None, image: str | None) -> dict[str, float]:
    """Return probabilities against old and enrolled classes: the ``/compare`` endpoint."""
    return answers.compare(engine, [_required(image)], bank=bank)[0]


EXAMPLES = {"akiec": 22, "bcc": 102, "bkl": 5, "df": 3, "mel": 10, "nv": 45, "vasc": 9}
"""Seeds of the drawings that are offered to click: the released model takes each for what it is
drawn as. Of all drawings it does not, least of all dermatofibromas and naevi."""


def draw_examples(folder: str | Path) -> list[str]:
    """Draw one synthetic lesion of each diagnosis; return the PNG files in label order."""
    paths = [Path(folder) / f"synthetic-{code}.png" for code in CODES]

    def draw(code: str, path: Path) -> None:
        # they are on show while the page is up: whoever waits for it gains more than the disk loses
        draw_lesion(code, seed=EXAMPLES[code], size=(400, 300)).save(path, compress_level=1)

    with ThreadPoolExecutor() as pool:  # NumPy and PIL let others at the interpreter
        list(pool.map(draw, CODES, paths))
    return [str(path) for path in paths]


def dataset_pictures(dataset: Dataset) -> render.Pictures:
    """Return a look-up of the past cases' pictures in a data set at hand.

    Args:
        dataset: With ``image`` and ``image_id``, as `dermsim.data.dataset.load_dataset` returns it.
    """
    rows = {image_id: row for row, image_id in enumerate(dataset["image_id"])}

    def picture(image_id: str) -> Image.Image | None:
        return dataset[rows[image_id]]["image"] if image_id in rows else None

    return picture


def _required(image: str | None) -> str:
    if image is None:
        raise Refused("callbacks.no_picture")
    return image


def _similar(
    engine: DermSim,
    image: str,
    k: int,
    one_per_lesion: bool,
    facts: Sequence[Any],
    concepts: Sequence[str] | None,
    lesion: str,
) -> tuple[SimilarCases, Mapping[str, object]]:
    """Return the nearest cases that match, and the filter made of `facts` and `concepts`."""
    asked = filters.where(facts[:-2], *facts[-2:]) if facts else {}
    asked |= concept_conditions(concepts or ())
    (found,) = answers.similar(
        engine,
        [image],
        k=k,
        where=asked,
        one_per_lesion=bool(one_per_lesion),
        exclude_lesion_ids=[lesion.strip()] if lesion and lesion.strip() else [],
        most=MAX_NEIGHBORS,
    )
    return found, with_concepts(engine.concept_part, asked) or {}
