"""Write what the protocols found: ``python hub/measured.py`` makes docs/measured.md.

Each file of docs/measured/ is what one ``dermsim protocol ... --output`` wrote; its figures are not
touched by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dermsim.evaluation.protocols.protocol_tables import Table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "measured.md"
SMALL = "--preset supcon --encoder.image-size 64 --encoder.test-image-size 80 --augment.cooldown 0"
WHOLE = "--preset release --split validation --no-corruptions"
QUARTER = f"{WHOLE} \\\n    --encoder.image-size 96 --encoder.test-image-size 112 --optim.epochs 5"

SECTIONS: Mapping[str, tuple[str, str]] = {
    "retrieval": (
        "Similar cases",
        "dermsim protocol retrieval hub/dermsim-ham10000 --data <source> --shift <ISIC 2017>",
    ),
    "retrieval-left-out": (
        "Similar cases of diagnoses never trained on",
        "dermsim protocol retrieval runs/four/checkpoint --data <source>",
    ),
    "ambiguity": (
        "Ambiguity",
        "dermsim protocol ambiguity hub/dermsim-ham10000 --data <source>",
    ),
    "quality": (
        "Pictures not to be judged",
        "dermsim protocol quality hub/dermsim-ham10000 --data <source> --masks <outlines> \\\n"
        "    --shift <ISIC 2017> --far <everyday pictures> --far <PAD-UFES-20>",
    ),
    "concepts": (
        "Concepts",
        "dermsim protocol concepts hub/dermsim-ham10000 --data <ISIC 2018 Task 2> \\\n"
        "    --learned <ISIC 2019>",
    ),
    "captions": (
        "Descriptions",
        "dermsim protocol captions hub/dermsim-ham10000 --data <ISIC 2018 Task 2> \\\n"
        "    --learned <ISIC 2019>",
    ),
    "explanations": (
        "What heatmaps are worth",
        "dermsim protocol explanations hub/dermsim-ham10000 --data <source> --masks <outlines> \\\n"
        "    --choosing 6 --photographs 16 --removed 5 --into",
    ),
    "unfamiliar": (
        "Unfamiliar images",
        "dermsim protocol unfamiliar hub/dermsim-ham10000 --data <source> \\\n"
        "    --also runs/no-akiec/checkpoint --also ... \\\n"
        "    --shift <ISIC 2017> --far <pictures of anything>\n"
        "# each of the seven others:\n"
        f"accelerate launch train_accelerate.py --data <source> {SMALL} \\\n"
        "    --encoder.backbone densenet121 --optim.epochs 4 --leave-out akiec",
    ),
    "few-shot": (
        "Few shots",
        "dermsim protocol few-shot runs/four/checkpoint --data <source>\n"
        "# which was made by\n"
        f"accelerate launch train_accelerate.py --data <source> {SMALL} \\\n"
        "    --encoder.backbone densenet121 --optim.epochs 6 --leave-out akiec vasc df",
    ),
    "incremental": (
        "Class-incremental learning",
        "dermsim protocol incremental runs/four/checkpoint --data <source> --classes akiec vasc df",
    ),
    "comparison-release": (
        "The release against the one before, on validation",
        "dermsim protocol comparison runs/B --against hub/dermsim-ham10000 --data <source> \\\n"
        "    --split validation",
    ),
    "comparison-ensemble": (
        "A stacked ensemble, its members, and one of them taught by it",
        "dermsim protocol comparison runs/ensemble --against runs/resnet \\\n"
        "    --against runs/efficientnet --against runs/densenet --against runs/distilled \\\n"
        "    --data <source>\n"
        "# the members, with --encoder.backbone efficientnet_b0 and densenet121 for two of them:\n"
        f"accelerate launch train_accelerate.py --data <source> {SMALL} --optim.epochs 4\n"
        "# the ensemble, and the ResNet-18 that it taught:\n"
        "dermsim ensemble runs/resnet runs/efficientnet runs/densenet --data <source> \\\n"
        "    --output runs/ensemble\n"
        f"accelerate launch train_accelerate.py --data <source> {SMALL} \\\n"
        "    --optim.epochs 4 --teacher runs/ensemble",
    ),
    "comparison-imagenet": (
        "What ImageNet's weights give",
        "dermsim protocol comparison runs/random --against runs/imagenet --data <source>\n"
        "# 5 epochs at 96 pixels, 37,440 views each:\n"
        f"accelerate launch train_accelerate.py --data <source> {QUARTER} --output runs/imagenet\n"
        f"accelerate launch train_accelerate.py --data <source> {QUARTER} \\\n"
        "    --encoder.pretrained no --optim.layer-decay 1.0 --optim.learning-rate 2e-3 \\\n"
        "    --output runs/random",
    ),
    "comparison-imagenet-isic2017": (
        "What ImageNet's weights give in other clinics",
        "dermsim protocol comparison runs/random --against runs/imagenet --data <ISIC 2017> \\\n"
        "    --split all",
    ),
    "comparison-clinics": (
        "What labels of other clinics give",
        "dermsim protocol comparison runs/ham/checkpoint --against runs/clinics/checkpoint \\\n"
        "    --data <source>\n"
        "# HAM10000 alone, and with 12,258 labelled photographs of other clinics, 84 pixels wide;\n"
        "# 37,555 views in 5 epochs against 39,538 in 2, one seed:\n"
        f"accelerate launch train_accelerate.py --data <source> {WHOLE} \\\n"
        "    --optim.epochs 5 --output runs/ham\n"
        f"accelerate launch train_accelerate.py --data <source> {WHOLE} \\\n"
        "    --also <isic2019_84> --output runs/clinics",
    ),
    "comparison-clinics-isic2017": (
        "What labels of other clinics give in other clinics",
        "dermsim protocol comparison runs/ham/checkpoint --against runs/clinics/checkpoint \\\n"
        "    --data <ISIC 2017> --split all",
    ),
}
"""By the name of each file: a heading, and the command that made it."""

INTRODUCTION = """# What the protocols found

These tables are about the held-out lesions of HAM10000, if nothing else is said.
[Protocols](protocols.md) says what each one asks.

- *Similar cases*, *Ambiguity*, *Concepts*, *Descriptions* and *What heatmaps are worth* are about
  the released encoder. The last one is about validation, on which its default method was chosen.
- *Unfamiliar images*, and the comparison with the release before, call `hub/dermsim-ham10000` the
  encoder that was released before it: a ResNet-18 from random weights.
- Encoders trained without a diagnosis had a small budget: 64 pixels, 4 or 6 epochs from random
  weights, minutes on two cores. So had the two that ask what ImageNet gives. Their figures say what
  a method is worth at that budget, not what the released encoder would reach.

`python hub/measured.py` writes this page from the files in `docs/measured/`.
"""


def page(folder: Path) -> str:
    """Return the page.

    Args:
        folder: With a file for each of `SECTIONS`.
    """
    parts = [INTRODUCTION]
    for name, (heading, command) in SECTIONS.items():
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        tables = [Table.from_dict(table) for table in found.get("tables", [found])]
        parts += [f"## {heading}\n", f"```\n{command}\n```\n"]
        parts += [table.markdown() for table in tables]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "docs" / "measured"), encoding="utf-8")
