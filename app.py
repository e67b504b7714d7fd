"""Serve dermsim's page and REST: `dermsim serve`, as a script.

python app.py                    # then open http://127.0.0.1:7860
python app.py --help             # what can be chosen
"""

from __future__ import annotations

import sys

from dermsim.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
