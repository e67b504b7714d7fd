"""The checkpoint over HTTP for programs, and as tools for assistants, in the page's own process.

`limits` bounds what a request may ask for, `errors` says how one is refused, `schemas` what the
answers are. `documents` makes them from an engine and knows nothing of HTTP; `routes` gives them
over REST, `tools` to assistants, by `mcp_server`. `rest` puts REST together, `beside` puts all of
it next to the page, `page_server` serves that, and `workers` serves REST alone from several
processes; `memory` bounds what all of them keep.
"""

from dermsim.serve.beside import beside_page
from dermsim.serve.limits import Limits
from dermsim.serve.rest import build_rest
from dermsim.serve.routes import Desk

__all__ = ["Desk", "Limits", "beside_page", "build_rest"]
