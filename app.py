"""Serve dermsim's page and REST: `dermsim serve`, as a script.

python app.py                    # then open http://127.0.0.1:7860
python app.py --help             # what can be chosen
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dermsim.cli.main import main as dermsim


def main(arguments: Sequence[str]) -> int:
    """Run `dermsim serve` with these options, and return its exit status."""
    return dermsim(["serve", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
