"""Send the released checkpoint, its gallery and its Space to the Hub: `dermsim push`, as a script.

python hub/push.py --data <source>                   # shows what would be sent
python hub/push.py --data <source> --no-dry-run      # sends it
"""

from __future__ import annotations

import sys

from dermsim.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["push", *sys.argv[1:]]))
