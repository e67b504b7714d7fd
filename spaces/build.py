"""Write the folder of a Space, ready to run and to be sent to the Hub.

python spaces/build.py OUTPUT [--checkpoint FOLDER] [--model ID] [--gallery ID] [--hardware KIND]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dermsim.core.released import HUB_MODEL, default_model
from dermsim.hub.space_repository import build_space


def main(arguments: list[str] | None = None) -> None:
    """Build it, or say in a sentence why not."""
    parser = argparse.ArgumentParser(
        description="Write the folder of a Space.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("output", type=Path, help="folder to write; an older one is replaced")
    parser.add_argument("--checkpoint", default=default_model(), help="checkpoint to fall back on")
    parser.add_argument("--model", default=HUB_MODEL, help="model on the Hub that the page runs")
    parser.add_argument("--gallery", help="data set on the Hub with the past cases")
    parser.add_argument(
        "--hardware", choices=("cpu-basic", "zero-a10g"), default="cpu-basic", help="to run on"
    )
    parser.add_argument("--private", action="store_true", help="the repositories are private")
    options = parser.parse_args(arguments)
    try:
        build_space(
            options.output,
            checkpoint=options.checkpoint,
            model_id=options.model,
            gallery_id=options.gallery,
            private=options.private,
            hardware=options.hardware,
        )
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"{options.output} is a Space: try it with python {options.output}/app.py")


if __name__ == "__main__":
    sys.exit(main())
