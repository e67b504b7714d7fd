"""Serve dermsim's page: ``python app.py``, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.engine import DermSim

# Before they load: Gradio must not phone home; idle threads of torch and FAISS must not spin.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

CHECKPOINT = Path(__file__).with_name("hub") / "dermsim-ham10000"


def main(arguments: list[str] | None = None) -> None:
    """Serve the page, load the checkpoint behind it, and go on until interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if all(Path(source).exists() for source in (options.model, options.dataset) if source):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")

    from dermsim.checkpoint import local_folder
    from dermsim.traffic import show_access
    from dermsim.ui.app import build_app, launch
    from dermsim.ui.callbacks import dataset_pictures

    if options.access_log:
        show_access()
    engine: Future[DermSim] = Future()
    try:
        folder = local_folder(options.model)
        pictures = dataset_pictures(options.dataset) if options.dataset else None
        app = build_app(engine.result, pictures=pictures)
        launch(app, host=options.host, port=options.port, share=options.share)
        # The page is up; torch and the weights take as long again, and a visitor's click waits.
        from dermsim.engine import DermSim

        engine.set_result(DermSim.from_pretrained(folder))
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    app.block_thread()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve dermsim's page.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--dataset", help="where the past cases' pictures are: folder or Hub id")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on")
    parser.add_argument("--access-log", action="store_true", help="log sizes and times of requests")
    parser.add_argument("--share", action="store_true", help="open a public tunnel through Gradio")
    return parser


if __name__ == "__main__":
    main()
