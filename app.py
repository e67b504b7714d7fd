"""Serve dermsim's page: ``python app.py``, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# Before anything loads them: Gradio must not phone home, and the idle threads of torch and FAISS
# must not spin in each other's way, which costs a hundredfold.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

CHECKPOINT = Path(__file__).with_name("hub") / "dermsim-ham10000"


def main(arguments: list[str] | None = None) -> None:
    """Load the checkpoint, build the page and serve it until interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if all(Path(source).exists() for source in (options.model, options.dataset) if source):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")

    from dermsim.engine import DermSim
    from dermsim.ui.app import build_app, launch
    from dermsim.ui.callbacks import dataset_pictures

    try:
        engine = DermSim.from_pretrained(options.model)
        pictures = dataset_pictures(options.dataset) if options.dataset else None
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    app = build_app(engine, pictures=pictures)
    launch(app, host=options.host, port=options.port, share=options.share)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve dermsim's page.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--dataset", help="where the past cases' pictures are: folder or Hub id")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on")
    parser.add_argument("--share", action="store_true", help="open a public tunnel through Gradio")
    return parser


if __name__ == "__main__":
    main()
