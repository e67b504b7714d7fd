"""The `dermsim serve` command: the page, REST and the tools for assistants."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from dermsim.cli.command import DataOptions
from dermsim.core.refused import Refused
from dermsim.core.released import default_model


@dataclass(frozen=True, kw_only=True)
class Serve(DataOptions):
    """Serve the page, REST at /api and, with --mcp, tools for assistants, until interrupted."""

    model: str = field(default_factory=default_model)
    """Checkpoint folder or Hub id."""
    dataset: str | None = None
    """Where the past cases' pictures are, for the page: folder or Hub id."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine's."""
    port: int = 7860
    """Port to listen on."""
    page: bool = True
    """Serve the page; without it, REST alone."""
    workers: int = 1
    """Processes that answer. The page needs to be in one, so several need --no-page."""
    mcp: bool = False
    """Serve tools for assistants at /gradio_api/mcp/; needs pip install "dermsim[mcp]"."""
    share: bool = False
    """Open a public tunnel to the page through Gradio's servers."""
    access_log: bool = False
    """Log sizes and times of requests; never names, addresses or what was asked."""
    allow_host: tuple[str, ...] = ()
    """Names that the server answers to besides this machine's own, such as a proxy's before it:
    derm.example.org, or .example.org for all below. The variable DERMSIM_HOSTS adds to them."""
    embed: tuple[str, ...] = ()
    """Sites whose pages may show this one inside, such as https://clinic.example.org. A login is
    then sent from there as well."""
    grace: float = 8.0
    """Seconds in which answers under way are finished when the server is told to end. Docker kills
    after ten unless it is told otherwise."""
    token: str | None = None
    """What whoever asks must know: programs and assistants send it as a bearer token, visitors of
    the page log in with it. At least 16 characters. Better given as the variable DERMSIM_TOKEN,
    which other users of the machine do not see."""

    def run(self) -> int:
        """Serve until interrupted."""
        if self.token == "":
            raise Refused("cli_serve.empty_token")
        if self.page:
            if self.workers != 1:
                raise Refused("cli_serve.workers_with_page")
            from dermsim.serve.page_server import serve_page

            try:
                serve_page(
                    self.model,
                    dataset=self.dataset,
                    label_column=self.label_column,
                    mapping=self.mapping,
                    host=self.host,
                    port=self.port,
                    share=self.share,
                    token=self.token,
                    tools=self.mcp,
                    access_log=self.access_log,
                    allow_host=self.allow_host,
                    embed=self.embed,
                    grace=self.grace,
                )
            except ImportError as error:
                print(f"dermsim: {error}", file=sys.stderr)
                return 2
            return 0
        paged = self.mcp or self.share or self.embed or self.dataset is not None
        if paged or self.label_column or self.map:
            raise Refused("cli_serve.needs_page")
        from dermsim.serve.workers import serve_rest

        serve_rest(
            self.model,
            host=self.host,
            port=self.port,
            workers=self.workers,
            token=self.token,
            access_log=self.access_log,
            allow_host=self.allow_host,
            grace=self.grace,
        )
        return 0
