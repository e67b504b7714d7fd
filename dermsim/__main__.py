"""``python -m dermsim``: the command, for launchers that start modules (accelerate, torchrun)."""

import sys

from dermsim.cli.main import main

sys.exit(main())
