"""What the Hub refuses or fails to answer, said in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from dermsim.core.downloads import persist
from dermsim.core.refused import (
    Phrase,
    Refused,
    RefusedConnectionError,
    RefusedFileNotFoundError,
    RefusedPermissionError,
)

T = TypeVar("T")


def ask(what: Phrase, action: Callable[[], T]) -> T:
    """Ask the Hub for something that may be asked for twice, again when it is busy for a moment.

    Args:
        what: What is being done, to follow "The Hub could not", one of ``asking`` among refusals.
        action: Does it through huggingface_hub.

    Returns:
        What `action` returned.

    Raises:
        FileNotFoundError: If what is asked for is not there.
        PermissionError: If there is no token, or it has not the right.
        ConnectionError: If the Hub cannot be reached, or fails.
        ValueError: If the Hub finds a card invalid.
    """
    from huggingface_hub.errors import HTTPError

    try:
        return persist(action)
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise explained(error, what) from error


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, if the Hub sent one."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None


def explained(error: Exception, what: Phrase) -> Exception:
    """Return what is raised in place of an error of huggingface_hub: one sentence.

    Args:
        error: What the library raised.
        what: As for `ask`.
    """
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    # a failed upload only says so, and why is behind it
    told = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    reason: Phrase | str = " ".join(str(told).split()) or type(told).__name__
    if isinstance(error, LocalTokenNotFoundError):
        return RefusedPermissionError("asking.no_token")
    if isinstance(error, OfflineModeIsEnabled):
        return RefusedConnectionError("asking.offline", what=what)
    status = status_of(error)
    if status in (401, 403):
        return RefusedPermissionError("asking.no_right", what=what, reason=reason)
    if status in (409, 412):
        return RefusedConnectionError("asking.changed", what=what, reason=reason)
    if status == 404:
        return RefusedFileNotFoundError("asking.not_there", what=what, reason=reason)
    if isinstance(error, json.JSONDecodeError):
        reason = Phrase("downloads.no_answer")
    elif isinstance(error, ValueError) and status in (None, 400):
        return Refused("asking.would_not", what=what, reason=reason)
    return RefusedConnectionError("asking.could_not", what=what, reason=reason)
