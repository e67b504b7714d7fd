"""May this token do what is asked? Found out before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dermsim.core.refused import Phrase, Refused, RefusedPermissionError
from dermsim.hub.asking import ask
from dermsim.hub.difference import Difference

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WRITE = "repo.write"
"""The permission that a fine-grained token needs."""


def check_rights(
    api: HfApi, differences: Sequence[Difference], *, create_pr: bool, private: bool = False
) -> None:
    """Refuse a push that the token does not allow.

    A repository that exists is asked about; for one that does not, the token must be allowed to
    make some in the namespace of its name.

    Args:
        api: The Hub.
        differences: What would be sent.
        create_pr: Whether pull requests are opened, which need no right to the repository itself.
        private: Whether nobody else shall see what is sent.

    Raises:
        ValueError: If it shall be private and goes to a repository that is public.
        PermissionError: If there is no token, it may only read, or not there.
        ConnectionError: If the Hub cannot be asked.
    """
    account = ask(Phrase("asking.whose_token"), api.whoami)
    token = account.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise RefusedPermissionError("rights.read_only", name=account["name"])
    for difference in differences:
        parcel = difference.parcel
        owner = parcel.repo_id.split("/")[0]
        if private and difference.private is False:
            raise Refused("rights.public", repo_id=parcel.repo_id)
        if difference.head is None:
            if not _may_create(account, token, owner):
                raise RefusedPermissionError(
                    "rights.no_right", name=account["name"], repo_id=parcel.repo_id, owner=owner
                )
        elif not create_pr:
            check = partial(api.auth_check, parcel.repo_id, repo_type=parcel.kind, write=True)
            let = Phrase("asking.let_write", account=account["name"], repo_id=parcel.repo_id)
            ask(let, check)


def _may_create(account: dict[str, Any], token: dict[str, Any], owner: str) -> bool:
    members = {item["name"]: item.get("roleInOrg", "write") for item in account.get("orgs", [])}
    if owner != account["name"] and members.get(owner, "read") == "read":
        return False
    if token.get("role") != "fineGrained":
        return True
    scopes = token.get("fineGrained", {}).get("scoped", [])
    return any(
        WRITE in scope.get("permissions", []) and scope.get("entity", {}).get("name") == owner
        for scope in scopes
    )
