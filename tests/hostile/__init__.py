"""What a stranger, a signal or a second program may try, and how much of it got through.

`make hostile`, or `python -m hostile` from the folder ``tests``, runs every module of this package
that has a function ``run``. It takes nothing and returns a list of `Count`, one for each kind of
attempt: what was tried, how often, and how often it got through, which must be never. A module
states in ``AT_LEAST`` how many attempts its counts must sum to. All that is sent is harmless: a
pickle makes an empty file, an address is one of this machine.
"""

from __future__ import annotations

from typing import NamedTuple


class Count(NamedTuple):
    """How a kind of attempt went.

    Attributes:
        what: The kind, in a few words.
        tried: How often it was tried.
        got_through: How often the house did not keep its promise.
    """

    what: str
    tried: int
    got_through: int
