"""Write what the released checkpoint's own files say: its card, README.md and docs/results.md.

The package's sources that travel with the checkpoint are written again, too.

python hub/readme.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from dermsim.core.markdown import markdown_table
from dermsim.core.released import HUB_MODEL
from dermsim.evaluation.report import Report
from dermsim.hub.release import Names, card_of
from dermsim.models.shipped_sources import write_sources

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "hub" / "dermsim-ham10000"
START = "<!-- written by `python hub/readme.py` from the checkpoint's own files -->"
END = "<!-- end of what is written by hub/readme.py -->"

SIX = (
    "balanced_accuracy",
    "recall_mel",
    "melanoma_auc",
    "sensitivity_at_sensitivity_95",
    "majority_vote_at_5",
    "shift_melanoma_auc",
)
"""The figures that the README shows; all others are in docs/results.md and on the card."""


def with_part(text: str, part: str) -> str:
    """Return a page with what is written by this script put between its two marks.

    Args:
        text: The page as it is.
        part: What to put there.

    Raises:
        ValueError: If the marks are not there.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"The page lacks the marks {START} and {END}.")
    return f"{before}{START}\n\n{part.strip()}\n\n{END}{after}"


def readme_part(checkpoint: Path) -> str:
    """Return the six figures of the README, and what a doctor must know.

    Args:
        checkpoint: Folder with ``evaluation.json``.
    """
    report = Report.load(checkpoint / "evaluation.json")
    shift = report.shift
    if shift is None:
        raise ValueError("The evaluation lacks photographs of another origin.")
    rows = []
    for name in SIX:
        value, low, high, n = report.metrics[name].to_dict().values()
        rows.append([report.title(name), f"{value:.3f}", f"{low:.3f} to {high:.3f}", f"{n:,}"])
    recall, here, there = (
        report.metrics[name] for name in ("recall_mel", "melanoma_auc", "shift_melanoma_auc")
    )
    found, low, high = (f"{100 * share:.0f}" for share in (recall.value, recall.low, recall.high))
    told = (
        f"**What a doctor must know:** the most probable label is melanoma for {found} % ({low} to "
        f"{high} %) of {recall.n:,} photographs of melanomas, so it misses "
        f"{100 - round(100 * recall.value)} % of them, and in other clinics ({shift.dataset}) the "
        f"melanoma AUC is {there.value:.3f} in place of {here.value:.3f}."
    )
    where = (
        f"{report.dataset}, {report.split}: {report.n_images:,} photographs of "
        f"{report.n_lesions:,} lesions that no training saw. Intervals are 95 %, from "
        f"{report.resamples:,} resamples of whole lesions; n counts photographs."
    )
    table = markdown_table(["figure", "value", "95 % interval", "n"], rows)
    return "\n".join([told, "", where, "", *table])


def results_part(checkpoint: Path) -> str:
    """Return how the checkpoint was made, and its table of main figures.

    Args:
        checkpoint: Folder with ``training.json`` and ``evaluation.json``.
    """
    training = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    figures = Report.load(checkpoint / "evaluation.json").digest().strip()
    begun = training.get("started from")
    imagenet = "ImageNet" in json.dumps(training)
    began = (
        "ImageNet weights" if imagenet else "an encoder of our own" if begun else "random weights"
    )
    members = sum(name.startswith("member ") for name in training)
    made = (
        f"The encoder has {training['parameters'] / 1e6:.1f} million parameters. It began with "
        f"{began} and was trained in {training['minutes']} minutes on {training['hardware']} by\n\n"
        f"```bash\n{training['command']}\n```\n"
    )
    if begun:
        made += f"\nThe encoder it began with was made by {begun}.\n"
    if members:
        made += (
            f"\nThe commands of its {members} members are on its card, and "
            "`hub/train.sh` runs them all.\n"
        )
    rest = (
        "Each corruption, sex, age and site, and the rest of what was measured of explanations are "
        "on the card, `hub/dermsim-ham10000/README.md`."
    )
    return f"{made}\n{figures}\n\n{rest}"


PARTS: Mapping[str, Callable[[Path], str]] = {
    "README.md": readme_part,
    "docs/results.md": results_part,
}
"""By the path of each page: what its part is made by."""


def hub_card(checkpoint: Path) -> str:
    """Return the card that the checkpoint has on the Hub, where its gallery lies beside it.

    Args:
        checkpoint: A finished checkpoint folder.
    """
    names = Names(HUB_MODEL, gallery=f"{HUB_MODEL}-gallery")
    return card_of(checkpoint, Report.load(checkpoint / "evaluation.json"), names)


if __name__ == "__main__":
    write_sources(CHECKPOINT)
    (CHECKPOINT / "README.md").write_text(hub_card(CHECKPOINT), encoding="utf-8")
    for name, part in PARTS.items():
        page = ROOT / name
        text = with_part(page.read_text(encoding="utf-8"), part(CHECKPOINT))
        page.write_text(text, encoding="utf-8")
