"""How much of a start the stand-ins of `dermsim.models.compiler` save.

Each timing is of a fresh process that loads a checkpoint, as the server and the command line do it
and as a library user does. They take turns. What counts is the processor's time, which depends
little on what else the machine does.

    python benchmarks/bench_import.py [--model FOLDER] [--repetitions 7]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

from dermsim.core.released import default_model

ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
LIBRARY = "import sys; from dermsim import DermSim; DermSim.from_pretrained(sys.argv[1])"
PROGRAM = "import sys; from dermsim.cli.command import load_engine; load_engine(sys.argv[1])"
TORCH = "import torch"
HELP = "from dermsim.cli.main import main; main(['--help'])"
DERMSIM = "import dermsim"


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=default_model(), help="checkpoint folder")
    parser.add_argument("--repetitions", type=int, default=7, help="starts of each")
    options = parser.parse_args()
    scripts = (LIBRARY, PROGRAM, TORCH, HELP, DERMSIM)
    rounds = [
        {script: seconds(script, options.model) for script in scripts}
        for _ in range(options.repetitions + 1)
    ][1:]  # the first reads the libraries from the disk
    print("| ratio | median | quartiles |")
    print("|---|---|---|")
    for name, over, under in (
        ("a checkpoint loaded with the stand-ins, over without", PROGRAM, LIBRARY),
        ("a checkpoint loaded with the stand-ins, over `import torch`", PROGRAM, TORCH),
        ("a checkpoint loaded without, over `import torch`", LIBRARY, TORCH),
        ("`dermsim --help`, over `import torch`", HELP, TORCH),
        ("`import dermsim`, over `import torch`", DERMSIM, TORCH),
    ):
        ratios = [timed[over] / timed[under] for timed in rounds]
        low, median, high = statistics.quantiles(ratios, n=4)
        print(f"| {name} | {median:.2f} | {low:.2f} to {high:.2f} |")


def seconds(script: str, model: str) -> float:
    """Return the processor's time that a fresh process takes."""
    command = [sys.executable, "-c", script, model]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{script!r} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
