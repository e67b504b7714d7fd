"""A Hub on this machine, for tests: what huggingface_hub's own clients say to it, it understands.

It speaks the endpoints that huggingface_hub 2.4, transformers 5.23 and datasets 5.2 use, keeps
repositories on disk, and sends clients on to a second server for large files, as the real one does.
Its rules are the real one's: a token that may only read is refused with 403, an unknown name looks
the same as a private one, ``parent_commit`` must be the head, an object whose SHA-256 is wrong is
not kept, main changes in one step or not at all. What no endpoint answers gets 404 and is noted.

With the fixtures of ``tests/conftest.py``::

    def test_push(hub, hub_token, online):
        outcome = online.run(push, hub.url, hub_token)   # `push` at the top of a module
        assert outcome.value == ...                      # or outcome.sentence, when it raised
        files = hub.repository("alice/demo").head.files  # what is on disk now

`hub` is a fresh, empty server; at the end of a test it fails the test if an unknown endpoint was
asked for. `hub_token` is that of its user alice, who may write. `online` is another process, in
which ``HF_ENDPOINT`` is that server's address from the start: huggingface_hub reads it once. Waits
between retries take no time there, and nothing else about the clients is changed. `stranger` is
the same where dermsim cannot be imported. Both start once per session, so that they cost little,
and both ask the same server, whatever the test: the fixture empties it.

In the test's own process ``HfApi(endpoint=hub.url, token=hub_token)`` works only with
``HF_HUB_OFFLINE=0``, which this test suite sets to 1; use `online`.

Uploads: huggingface_hub does not ask the Hub how large files are to come. Where the hf_xet package
is installed they come by Xet, and by git-lfs with ``HF_HUB_DISABLE_XET=1``. This Hub takes both; it
stores them alike. `online` and `stranger` have that variable set, since waits and faults of git-lfs
can be steered, and ``hub_clients.by_xet`` lifts it for one call. Downloads follow what the Hub
says: it names no Xet hash, so they are plain HTTP.

Faults::

    hub.inject(Fault("GET", "/lfs/", CutShort(0.5), host="storage"))     # once, half-way
    hub.inject(Fault("POST", "/commit/", Refuse(500), times=None))       # from now on
    hub.inject(Fault("HEAD", r"config\\.json", header("ETag", None), skip=2))
"""

from .exchange import Account
from .faults import (
    Alter,
    CutShort,
    Fault,
    HangUp,
    LoseReply,
    Mangle,
    Refuse,
    body,
    flipped,
    header,
    truncated,
)
from .process import ClientProcess, Outcome
from .server import LoopbackHub

__all__ = [
    "Account",
    "Alter",
    "ClientProcess",
    "CutShort",
    "Fault",
    "HangUp",
    "LoopbackHub",
    "LoseReply",
    "Mangle",
    "Outcome",
    "Refuse",
    "body",
    "flipped",
    "header",
    "truncated",
]
