"""The `dermsim` command: what the app does, on files and folders, in a terminal or a script.

Every command is a frozen dataclass whose fields are its options and whose `run` is its work. The
answer goes to stdout, as a table or with ``--json`` as one JSON document; a sentence about each bad
input goes to stderr and makes the exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from dermsim.cli.atlas import atlas_app
from dermsim.cli.audit import Audit, detector_app
from dermsim.cli.calibrate import Calibrate
from dermsim.cli.classify import Classify, Similar
from dermsim.cli.command import Command
from dermsim.cli.concepts import concepts_app
from dermsim.cli.convert import Convert
from dermsim.cli.describe import Describe
from dermsim.cli.duplicates import Duplicates
from dermsim.cli.enroll import Enroll, bank_app
from dermsim.cli.ensemble import Ensemble
from dermsim.cli.evaluate import Evaluate
from dermsim.cli.explain import Explain
from dermsim.cli.explore import Explore
from dermsim.cli.export import Export
from dermsim.cli.gallery import gallery_app
from dermsim.cli.prompt_protocol import protocol_app
from dermsim.cli.push import Push, PushDataset
from dermsim.cli.quality import quality_app
from dermsim.cli.report import CaseReportCommand
from dermsim.cli.serve import Serve
from dermsim.cli.terminal import INTERRUPTED, notes_as_sentences, print_anything, sentence
from dermsim.core.labels import DISCLAIMER

app = tyro.extras.SubcommandApp()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of this process when None.

    Returns:
        Exit status: 0, 2 after a sentence on stderr about each bad input, or `INTERRUPTED`.
    """
    command: Command | Serve = app.cli(
        prog="dermsim",
        description=f"Look into dermatoscopic photographs. {DISCLAIMER}",
        args=argv,
    )
    print_anything(sys.stdout)
    try:
        with notes_as_sentences():
            return command.run()
    except (ImportError, OSError, ValueError) as error:
        print(f"dermsim: {sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dermsim: interrupted", file=sys.stderr)
        return INTERRUPTED


app.command(name="classify")(Classify)
app.command(name="similar")(Similar)
app.command(name="explain")(Explain)
app.command(name="describe")(Describe)
app.command(name="report")(CaseReportCommand)
app.command(name="explore")(Explore)
app.command(name="evaluate")(Evaluate)
app.command(name="ensemble")(Ensemble)
app.command(name="convert")(Convert)


app.command(
    gallery_app, name="gallery", help="Look into galleries of past cases, build and change them."
)
app.command(name="enroll")(Enroll)
app.command(bank_app, name="bank", help="Look into files of enrolled classes, and change them.")
app.command(
    atlas_app, name="atlas", help="Look at the map of cases: clusters, outliers, export; redraw it."
)
app.command(name="audit")(Audit)
app.command(name="duplicates")(Duplicates)
app.command(quality_app, name="quality", help="Fit the gate that tells pictures not to be judged.")
app.command(
    detector_app, name="detector", help="Look at what tells unfamiliar images, or refit it."
)
app.command(
    concepts_app, name="concepts", help="Dermoscopic concepts: list and fit heads, sort, audit."
)
app.command(name="calibrate")(Calibrate)
app.command(protocol_app, name="protocol", help="Measure a checkpoint by one of the protocols.")
app.command(name="export")(Export)
app.command(name="serve")(Serve)
app.command(name="push")(Push)
app.command(name="push-dataset")(PushDataset)
