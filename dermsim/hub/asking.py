"""What the Hub refuses or fails to answer, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

TRANSIENT = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of a Hub that may answer in a moment."""


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub inside the block into built-in ones of one sentence.

    Args:
        what: What is being done, to follow "The Hub", such as ``"take the files of alice/demo"``.

    Raises:
        PermissionError: If there is no token, or it has not the right.
        ConnectionError: If the Hub cannot be reached, or fails.
        ValueError: If the Hub finds a card invalid.
    """
    from huggingface_hub.errors import HTTPError

    try:
        yield
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


def is_transient(error: BaseException) -> bool:
    """Say whether trying again may help: the Hub is busy, or an answer broke off."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return False
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HTTPError):
            return True
        seen = seen.__cause__
    return False


def explained(error: Exception, what: str) -> Exception:
    """Return what is raised in place of an error of huggingface_hub: one sentence.

    Args:
        error: What the library raised.
        what: What was being done, to follow "The Hub".
    """
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    # a failed upload only says so, and why is behind it
    told = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    reason = " ".join(str(told).split()) or type(told).__name__
    if isinstance(error, LocalTokenNotFoundError):
        return PermissionError(
            "There is no token for the Hub: log in with `hf auth login`, or set HF_TOKEN to a "
            "token that may write."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return ConnectionError(f"The Hub could not {what}, for HF_HUB_OFFLINE is set: unset it.")
    status = status_of(error)
    if status in (401, 403):
        return PermissionError(f"The Hub would not {what}: the token has not the right ({reason})")
    if status in (409, 412):
        return ConnectionError(
            f"The Hub would not {what}, which has changed since it was compared: begin again "
            f"({reason})"
        )
    if status == 404:
        return FileNotFoundError(f"The Hub could not {what}: it is not there ({reason})")
    if isinstance(error, ValueError) and status in (None, 400):
        return ValueError(f"The Hub would not {what}: {reason}")
    return ConnectionError(f"The Hub could not {what}: {reason}")
