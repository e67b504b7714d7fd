"""Serve dermsim's page and REST: ``python app.py``, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
from pathlib import Path

CHECKPOINT = Path(__file__).with_name("hub") / "dermsim-ham10000"


def main(arguments: list[str] | None = None) -> None:
    """Serve the page, load the checkpoint behind it, and go on until interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    from dermsim.data.label_mapping import parse_mapping
    from dermsim.serve.page_server import serve_page

    try:
        serve_page(
            options.model,
            dataset=options.dataset,
            label_column=options.label_column,
            mapping=parse_mapping(options.map),
            host=options.host,
            port=options.port,
            share=options.share,
            tools=options.mcp,
            access_log=options.access_log,
        )
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve dermsim's page and, at /api, REST. The variable DERMSIM_TOKEN closes "
        "both to whoever does not know it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--dataset", help="where the past cases' pictures are: folder or Hub id")
    parser.add_argument("--label-column", help="of the data set, that holds the diagnoses")
    parser.add_argument(
        "--map", nargs="+", default=[], metavar="WORD=CODE", help="what words of the data set mean"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on")
    parser.add_argument("--access-log", action="store_true", help="log sizes and times of requests")
    parser.add_argument("--share", action="store_true", help="open a public tunnel through Gradio")
    parser.add_argument("--mcp", action="store_true", help="serve tools for assistants as well")
    return parser


if __name__ == "__main__":
    main()
