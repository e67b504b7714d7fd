"""When the Hub is asked again, how long is waited, and what is said in the end."""

import errno
import importlib
import json
import os
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from refusals import refuses

from dermsim.core import downloads
from dermsim.core.downloads import ATTEMPTS, DamagedError, download, is_transient, persist

http = importlib.import_module(HTTPError.__module__.partition(".")[0])  # httpx, by some name
REQUEST = http.Request("GET", "http://127.0.0.1/")


def answer(status):
    return HfHubHTTPError("no", response=http.Response(status, request=REQUEST))


def behind(cause):
    """What huggingface_hub raises when the Hub did not answer and the cache is empty."""
    error = LocalEntryNotFoundError("not in the cache")
    error.__cause__ = cause
    return error


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, without waiting."""
    waited = []
    monkeypatch.setattr(downloads.time, "sleep", waited.append)
    return waited


class Failing:
    """Fails so many times."""

    def __init__(self, times, error):
        self.left, self.error, self.calls = times, error, 0

    def __call__(self, *_, **__):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        *[(answer(status), True) for status in (408, 429, 500, 502, 503, 504)],
        *[(answer(status), False) for status in (400, 401, 403, 404, 409, 501)],
        (behind(answer(503)), True),
        (behind(answer(404)), False),
        (behind(http.ConnectError("no network")), False),
        (behind(http.ReadTimeout("slow")), False),
        (behind(OfflineModeIsEnabled("offline")), False),
        (behind(None), False),
        (http.ReadError("reset"), True),
        (http.RemoteProtocolError("cut short"), True),
        (http.ConnectError("the storage is gone"), True),
        (json.JSONDecodeError("half", "", 0), True),
        (OSError("Consistency check failed: file should be of size 3"), True),
        (DamagedError("a hash"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (ValueError("anything"), False),
    ],
)
def test_what_may_help_to_try_again(error, transient):
    assert is_transient(error) is transient


def test_waits_double(waits):
    action = Failing(ATTEMPTS - 1, answer(500))
    assert persist(action) == "done"
    assert action.calls == ATTEMPTS
    assert waits == [1, 2, 4]


def test_what_goes_on_failing_is_raised(waits):
    action = Failing(ATTEMPTS, answer(500))
    with pytest.raises(HfHubHTTPError):
        persist(action)
    assert action.calls == ATTEMPTS


def test_what_will_not_pass_is_raised_at_once(waits):
    action = Failing(1, answer(404))
    with pytest.raises(HfHubHTTPError):
        persist(action)
    assert (action.calls, waits) == (1, [])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_one_sentence(monkeypatch, waits, number):
    reason = os.strerror(number)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Failing(1, OSError(number, reason)))
    with refuses("downloads.cache_not_writable", OSError, name="a/b", reason=reason):
        download("a/b")
    assert waits == []


def test_without_a_network_nobody_waits(online):
    outcome = online.run(download, "alice/demo", endpoint="http://127.0.0.1:9")
    assert outcome.kinds[0] == "ConnectionError"
    said = "There is no folder alice/demo, and the Hub could not be asked for a model of that name"
    assert outcome.sentence.startswith(said)
    assert "\n" not in outcome.sentence


def test_a_data_set_is_called_so(online, hub):
    outcome = online.run(download, "alice/demo", repo_type="dataset")
    assert outcome.kinds[0] == "FileNotFoundError"
    assert "no such data set on the Hub that you may read" in outcome.sentence


# --- how much is fetched --------------------------------------------------------------------------


@pytest.fixture
def listed(monkeypatch):
    """A Hub that lists files and their sizes, and sends none."""
    import huggingface_hub

    siblings = [
        SimpleNamespace(rfilename=name, size=size)
        for name, size in (("config.json", 10), ("model.safetensors", 90), ("big.bin", 10**12))
    ]

    def repo_info(self, name, *, files_metadata, **_):
        assert files_metadata
        return SimpleNamespace(siblings=siblings)

    def snapshot_download(*_, **__):
        raise AssertionError("it was fetched")

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return ["config.json", "*.safetensors"]


def test_more_than_the_limit_is_not_fetched(listed):
    with refuses("downloads.too_large", name="a/b", size=100, largest=99):
        download("a/b", largest=99, allow_patterns=listed)
    with refuses("downloads.too_large", name="a/b", size=1000000000100):
        download("a/b", largest=10**11)


def test_what_is_not_fetched_does_not_count(listed):
    with pytest.raises(AssertionError, match="it was fetched"):
        download("a/b", largest=100, allow_patterns=listed)
