"""Write what the released checkpoint's own files say: its card, and its part of the README.

The package's sources that travel with it are written anew, too.

python hub/readme.py
"""

from __future__ import annotations

import json
from pathlib import Path

from dermsim.cli.command import HUB_MODEL
from dermsim.evaluation.report import Report
from dermsim.hub.release import Names, card_of
from dermsim.models.shipped_sources import write_sources

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "hub" / "dermsim-ham10000"
START = "<!-- written by `python hub/readme.py` from the checkpoint's own files -->"
END = "<!-- end of what is written by hub/readme.py -->"


def with_figures(readme: str, checkpoint: Path) -> str:
    """Return the README with the checkpoint's making and figures between the two marks.

    Args:
        readme: The README as it is.
        checkpoint: Folder with ``training.json`` and ``evaluation.json``.

    Raises:
        ValueError: If the marks are not there.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"The README lacks the marks {START} and {END}.")
    training = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    figures = Report.load(checkpoint / "evaluation.json").digest().strip()
    begun = training.get("started from")
    told = "ImageNet" in json.dumps(training)
    began = "ImageNet weights" if told else "an encoder of our own" if begun else "random weights"
    members = sum(name.startswith("member ") for name in training)
    made = (
        f"{training['parameters'] / 1e6:.1f} million parameters from "
        f"{began}, trained in "
        f"{training['minutes']} minutes on {training['hardware']} by\n\n"
        f"```bash\n{training['command']}\n```\n"
    )
    if begun:
        made += f"\nThe encoder it began with came of {begun}.\n"
    if members:
        made += (
            f"\nThe commands of its {members} members are on its card, and "
            "[hub/train.sh](hub/train.sh) runs them all.\n"
        )
    rest = (
        "Each corruption, sex, age and site, and the rest of what was measured of explanations are "
        f"on [its card]({(checkpoint / 'README.md').relative_to(ROOT).as_posix()})."
    )
    return f"{before}{START}\n\n{made}\n{figures}\n\n{rest}\n\n{END}{after}"


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
    path = ROOT / "README.md"
    path.write_text(with_figures(path.read_text(encoding="utf-8"), CHECKPOINT), encoding="utf-8")
