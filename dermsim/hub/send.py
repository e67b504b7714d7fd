"""Sends parcels: all large files first, which nobody sees, then one commit for each repository.

A commit is the only thing that moves main, and it is pinned to the state that was compared.
Whatever breaks before it leaves main as it was.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dermsim.core.downloads import ATTEMPTS, WAIT, is_transient
from dermsim.core.refused import Keyed, Phrase, Refused, RefusedConnectionError, RefusedOSError
from dermsim.hub.asking import ask, explained
from dermsim.hub.difference import Difference, compare, look

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi


@dataclass(frozen=True)
class Sent:
    """One commit that was made.

    Attributes:
        kind: What the repository is.
        repo_id: Its name.
        oid: The commit.
        url: Page of the commit, or of the pull request.
    """

    kind: str
    repo_id: str
    oid: str
    url: str

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)


def send(
    api: HfApi,
    differences: Sequence[Difference],
    *,
    message: str,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
) -> list[Sent]:
    """Make every repository hold its parcel.

    Args:
        api: The Hub.
        differences: What `compare` found, in the order in which the commits shall appear.
        message: Of the commits.
        private: Make repositories that do not exist yet private.
        revision: Branch to commit to; made from main where it does not exist.
        create_pr: Open pull requests instead of moving main.

    Returns:
        The commits made; a repository that holds its parcel already gets none.

    Raises:
        ValueError: If both `revision` and `create_pr` are given, or the Hub finds a card invalid.
        PermissionError: If the token has not the right after all.
        ConnectionError: If the Hub fails; the message names the commits that were made before.
    """
    check_target(revision=revision, create_pr=create_pr)
    branch = None if revision == "main" else revision
    jobs = [_prepare(api, d, private=private, branch=branch) for d in differences if not d.empty]
    for job in jobs:
        upload = partial(
            api.preupload_lfs_files,
            job.repo_id,
            additions=job.additions,
            repo_type=job.kind,
            revision=branch,
            create_pr=create_pr,
            free_memory=False,
        )
        ask(Phrase("asking.take", repo_id=job.repo_id), upload)
    sent: list[Sent] = []
    for job in jobs:
        try:
            sent.append(job.commit(api, message=message, branch=branch, create_pr=create_pr))
        except (OSError, ValueError) as error:
            if not sent:
                raise
            done = [f"{one.kind} {one.repo_id}" for one in sent]
            other = Refused if isinstance(error, ValueError) else RefusedOSError
            kind: Any = type(error) if isinstance(error, Keyed) else other
            raise kind("send.partly", error=error, done=done) from error
    return sent


def check_target(*, revision: str | None, create_pr: bool) -> None:
    """Refuse a branch and a pull request at once.

    Raises:
        ValueError: If both are asked for.
    """
    if create_pr and revision not in (None, "main"):
        raise Refused("send.revision", revision=revision)


def _prepare(api: HfApi, difference: Difference, *, private: bool, branch: str | None) -> _Job:
    """Make repository and branch where they are missing; both leave main as it is."""
    parcel = difference.parcel
    where: dict[str, Any] = {"repo_id": parcel.repo_id, "repo_type": parcel.kind}
    head = difference.head
    what = Phrase("asking.make", repo_id=parcel.repo_id)
    if head is None:
        sdk = "gradio" if parcel.kind == "space" else None
        new: dict[str, Any] = {"private": private, "space_sdk": sdk, "exist_ok": True}
        ask(what, partial(api.create_repo, **where, **new))
        head, _ = ask(what, lambda: look(api, parcel))
    if branch is not None and not branch.startswith("refs/"):
        new = {"branch": branch, "revision": "main", "exist_ok": True}
        ask(what, partial(api.create_branch, **where, **new))
    return _Job(difference, head)


class _Job:
    """One repository's commit."""

    def __init__(self, difference: Difference, head: str | None) -> None:
        from huggingface_hub import CommitOperationAdd

        self.difference = difference
        self.parcel = difference.parcel
        self.kind, self.repo_id = self.parcel.kind, self.parcel.repo_id
        self.head = head
        files = self.parcel.files
        self.additions = [
            CommitOperationAdd(path_in_repo=change.path, path_or_fileobj=files[change.path])
            for change in difference.changes
            if change.status in ("new", "changed")
        ]

    def commit(self, api: HfApi, *, message: str, branch: str | None, create_pr: bool) -> Sent:
        """Make the commit, and see that it holds what was sent."""
        made = self._commit(api, message=message, branch=branch, create_pr=create_pr)
        found = compare(api, self.parcel, revision=made.oid, texts=False)
        if not found.empty:
            wrong = [change.path for change in found.changes if change.status != "same"]
            raise RefusedConnectionError("send.changed", repo_id=self.repo_id, wrong=wrong[0])
        return Sent(self.kind, self.repo_id, made.oid, made.pr_url or str(made.commit_url))

    def _commit(
        self, api: HfApi, *, message: str, branch: str | None, create_pr: bool
    ) -> CommitInfo:
        from huggingface_hub import CommitOperationDelete
        from huggingface_hub.errors import HTTPError

        what, wait = Phrase("asking.commit", repo_id=self.repo_id), WAIT
        removed = [CommitOperationDelete(path_in_repo=path) for path in self.difference.removed]
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(wait)
                wait *= 2
            try:
                with _quiet():
                    return api.create_commit(
                        self.repo_id,
                        [*self.additions, *removed],
                        commit_message=message,
                        repo_type=self.kind,
                        revision=branch,
                        create_pr=create_pr,
                        parent_commit=self.head,
                    )
            except (HTTPError, OSError, RuntimeError, ValueError) as error:
                # a pull request whose reply was lost would be opened twice
                if create_pr or attempt == ATTEMPTS - 1 or not is_transient(error):
                    raise explained(error, what) from error
                if (made := self._made(api, branch)) is not None:
                    return made
        raise AssertionError("the last attempt returns or raises")

    def _made(self, api: HfApi, branch: str | None) -> CommitInfo | None:
        """Return the commit whose reply was lost, if it was made."""
        from huggingface_hub import CommitInfo

        try:
            found = compare(api, self.parcel, revision=branch, texts=False)
        except ConnectionError:  # still busy: the next attempt will tell
            return None
        if found.head is None or not found.empty:
            return None
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[self.kind]
        page = f"{api.endpoint}/{prefix}{self.repo_id}/commit/{found.head}"
        return CommitInfo(commit_url=page, commit_message="", commit_description="", oid=found.head)


def _quiet() -> warnings.catch_warnings[None]:
    """Silence the warning that a checkpoint's Parquet files were meant for a data set."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
