"""The loopback Hub is what it claims: huggingface_hub, unmodified, can do its work with it."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from loopback_hub import ClientProcess, CutShort, Fault, Refuse

NAME = "alice/demo"
LARGE = bytes(range(256)) * 40


# --- what runs in the other process --------------------------------------------------------------


def api(hub, token=None):
    """Return a client; in the process `online` only."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub, token=token or False)


def code_of_models() -> list[str]:
    return [place for place in sys.path if Path(place, "transformers_modules").is_dir()]


def push(hub, token, folder, *, kind="model", **options):
    client = api(hub, token)
    client.create_repo(NAME, repo_type=kind, exist_ok=True)
    done = client.upload_folder(
        repo_id=NAME, repo_type=kind, folder_path=folder, commit_message="Push", **options
    )
    return {"oid": done.oid, "url": done.commit_url, "pr": done.pr_url}


def call(hub, token, method, *args, **options):
    """Call a method of HfApi and return its answer as plain values."""
    answer = getattr(api(hub, token), method)(*args, **options)
    return answer if isinstance(answer, str | dict | bool | None) else repr(answer)


def fetch(hub, token, cache, **options):
    from huggingface_hub import snapshot_download

    options = {"repo_id": NAME, **options}
    place = Path(snapshot_download(endpoint=hub, token=token or False, cache_dir=cache, **options))
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


# -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags: [derm]\n---\n# Demo\n")
    (source / "notes.txt").write_text("small\n" * 30)
    (source / "model.safetensors").write_bytes(LARGE)
    (source / "inner" / "empty.txt").write_text("")
    (source / "inner" / "é ü.txt").write_text("odd name")
    return source


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_what_is_pushed_comes_back(hub, hub_token, online, folder, tmp_path, kind):
    options = {"space_sdk": "gradio"} if kind == "space" else {}
    (folder / "README.md").write_text("---\nsdk: gradio\n---\n" if options else "# Demo\n")
    made = online.run(call, hub.url, hub_token, "create_repo", NAME, repo_type=kind, **options)
    assert NAME in made.unwrap()
    given = {"repo_id": NAME, "repo_type": kind, "folder_path": folder}
    online.run(call, hub.url, hub_token, "upload_folder", **given).unwrap()
    back = online.run(fetch, hub.url, None, tmp_path / "cache", repo_type=kind).unwrap()
    assert back.pop(".gitattributes").startswith(b"*.arrow filter=lfs")
    assert back == contents(folder)


def test_large_files_take_their_own_way(hub, hub_token, online, folder, tmp_path):
    online.run(push, hub.url, hub_token, folder).unwrap()
    oid = hashlib.sha256(LARGE).hexdigest()
    assert hub.storage.lfs_path(oid).read_bytes() == LARGE
    online.run(fetch, hub.url, hub_token, tmp_path / "cache").unwrap()
    (sent,) = [n for n in hub.requests if (n.host, n.method) == ("storage", "PUT")]
    (got,) = [n for n in hub.requests if (n.host, n.method) == ("storage", "GET")]
    assert (sent.target, sent.account, sent.status) == (f"/upload/{oid}", None, 200)
    assert (got.account, got.status) == (None, 200)
    blobs = tmp_path / "cache" / "models--alice--demo" / "blobs"
    assert oid in os.listdir(blobs)


def test_large_uploads_come_in_parts(hub, hub_token, online, folder, monkeypatch):
    monkeypatch.setattr(hub, "part_size", 3000)
    online.run(push, hub.url, hub_token, folder).unwrap()
    entry = hub.repository(NAME).head.files["model.safetensors"]
    assert hub.storage.content(entry) == LARGE
    assert len(hub.seen("PUT", "/upload/")) == 4


def test_one_push_is_one_commit_and_the_same_push_is_none(hub, hub_token, online, folder):
    first = online.run(push, hub.url, hub_token, folder).unwrap()
    repository = hub.repository(NAME)
    assert [c.title for c in repository.history(repository.head)] == ["Push", "initial commit"]
    assert first["oid"] == repository.head.oid
    assert first["url"] == f"{hub.url}/{NAME}/commit/{first['oid']}"
    online.run(push, hub.url, hub_token, folder).unwrap()
    assert hub.repository(NAME).head.oid == first["oid"]
    (folder / "notes.txt").unlink()
    online.run(push, hub.url, hub_token, folder, delete_patterns="*.txt").unwrap()
    assert "notes.txt" not in hub.repository(NAME).head.files
    assert "inner/empty.txt" in hub.repository(NAME).head.files


def test_revisions_of_every_kind(hub, hub_token, online, folder, tmp_path):
    first = online.run(push, hub.url, hub_token, folder).unwrap()["oid"]
    for method, options in [("create_tag", {"tag": "v1"}), ("create_branch", {"branch": "try/it"})]:
        online.run(call, hub.url, hub_token, method, NAME, **options).unwrap()
    (folder / "notes.txt").write_text("second")
    second = online.run(push, hub.url, hub_token, folder).unwrap()["oid"]
    (folder / "notes.txt").write_text("third")
    online.run(push, hub.url, hub_token, folder, revision="try/it").unwrap()
    (folder / "notes.txt").write_text("proposed")
    proposed = online.run(push, hub.url, hub_token, folder, create_pr=True).unwrap()
    assert proposed["pr"] == f"{hub.url}/{NAME}/discussions/1"
    assert hub.repository(NAME).head.oid == second

    def notes(revision):
        back = online.run(fetch, hub.url, None, tmp_path / "cache", revision=revision)
        return back.unwrap()["notes.txt"].decode()

    assert notes("v1") == notes(first) == "small\n" * 30
    assert notes("main") == notes(None) == "second"
    assert (notes("try/it"), notes("refs/pr/1")) == ("third", "proposed")
    listed = online.run(call, hub.url, None, "list_repo_refs", NAME, include_pull_requests=True)
    for label in ("'v1'", "'try/it'", "'main'", "refs/pr/1"):
        assert label in listed.unwrap()
    missing = online.run(fetch, hub.url, None, tmp_path / "cache", revision="v2")
    assert "RevisionNotFoundError" in missing.kinds


def test_trees_come_in_pages(hub, hub_token, online, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "page_size", 2)
    online.run(push, hub.url, hub_token, folder).unwrap()
    assert len(online.run(fetch, hub.url, None, tmp_path / "cache").unwrap()) == 6
    assert len(hub.seen("GET", "/tree/")) == 4  # six files and a folder


def test_a_commit_on_what_is_no_longer_the_head_is_refused(hub, hub_token, online, folder):
    first = online.run(push, hub.url, hub_token, folder).unwrap()["oid"]
    (folder / "notes.txt").write_text("second")
    second = online.run(push, hub.url, hub_token, folder, parent_commit=first).unwrap()["oid"]
    (folder / "notes.txt").write_text("third")
    late = online.run(push, hub.url, hub_token, folder, parent_commit=first)
    assert "A commit has happened since" in late.sentence
    assert hub.repository(NAME).head.oid == second


def test_a_large_download_goes_on_where_it_broke_off(hub, online, tmp_path):
    (tmp_path / "source").mkdir()
    data = os.urandom(1000) * 24_000  # the client writes ten megabytes at a time
    (tmp_path / "source" / "large.bin").write_bytes(data)
    hub.publish(NAME, tmp_path / "source")
    hub.inject(Fault("GET", "/lfs/", CutShort(0.9), host="storage"))
    assert online.run(fetch, hub.url, None, tmp_path / "cache").unwrap()["large.bin"] == data
    assert [n.status for n in hub.seen("GET", "/lfs/")] == [200, 206]


# --- who may do what -----------------------------------------------------------------------------


def test_whoami(hub, online):
    token = hub.add_account("bob", role="fineGrained", permissions=("repo.content.read",))
    said = online.run(call, hub.url, token, "whoami").unwrap()
    assert said["name"] == "bob"
    assert said["auth"]["accessToken"]["role"] == "fineGrained"
    assert "Invalid user token" in online.run(call, hub.url, "hf_nobody", "whoami").sentence


@pytest.mark.parametrize(
    ("role", "status"), [("read", "403"), ("fineGrained", "403"), (None, "401"), ("bob", "403")]
)
def test_who_may_not_write_changes_nothing(hub, hub_token, online, folder, role, status):
    before = online.run(push, hub.url, hub_token, folder).unwrap()["oid"]
    (folder / "notes.txt").write_text("changed")
    token = None
    if role == "bob":
        token = hub.add_account("bob")
    elif role:
        token = hub.add_account("alice", role=role)
    refused = online.run(push, hub.url, token, folder)
    assert status in refused.sentence
    assert "HfHubHTTPError" in refused.kinds
    assert hub.repository(NAME).head.oid == before


def test_private_and_gated_repositories(hub, hub_token, online, folder, tmp_path):
    online.run(call, hub.url, hub_token, "create_repo", NAME, private=True).unwrap()
    online.run(push, hub.url, hub_token, folder).unwrap()
    bob, reader = hub.add_account("bob"), hub.add_account("alice", role="read")
    assert online.run(fetch, hub.url, reader, tmp_path / "a").ok
    assert "401" in online.run(fetch, hub.url, None, tmp_path / "b").sentence
    assert "RepositoryNotFoundError" in online.run(fetch, hub.url, bob, tmp_path / "c").kinds
    assert not online.run(call, hub.url, bob, "repo_exists", NAME).unwrap()
    settings = {"private": False, "gated": "manual"}
    online.run(call, hub.url, hub_token, "update_repo_settings", NAME, **settings).unwrap()
    assert "GatedRepoError" in online.run(fetch, hub.url, bob, tmp_path / "d").kinds
    assert online.run(fetch, hub.url, hub_token, tmp_path / "e").ok


def test_a_repository_that_exists_or_is_gone(hub, hub_token, online, folder):
    online.run(push, hub.url, hub_token, folder).unwrap()
    again = online.run(call, hub.url, hub_token, "create_repo", NAME)
    assert "409" in again.sentence
    online.run(call, hub.url, hub_token, "delete_repo", NAME).unwrap()
    assert not online.run(call, hub.url, hub_token, "repo_exists", NAME).unwrap()


# --- strictness ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        ("---\nlicense: [a\n---\n", "YAML is invalid"),
        ("---\ntags: derm\n---\n", '"tags" must be an array'),
        ("---\nmodel-index:\n- results: []\n---\n", '"model-index[0].name" is required'),
    ],
)
def test_a_card_with_wrong_metadata_is_refused(hub, hub_token, online, folder, card, complaint):
    (folder / "README.md").write_text(card)
    refused = online.run(push, hub.url, hub_token, folder)
    assert "ValueError" in refused.kinds
    assert complaint in refused.sentence
    assert "model.safetensors" not in hub.repository(NAME).head.files


def test_an_unknown_endpoint_is_noted(_hub, online):
    _hub.reset()
    assert "404" in online.run(call, _hub.url, None, "get_user_overview", "alice").sentence
    assert [str(note) for note in _hub.unknown] == ["hub GET /api/users/alice/overview -> 404"]
    _hub.reset()


def test_what_is_asked_of_it_is_noted(hub, hub_token, online, folder):
    hub.inject(Fault("GET", "/refs", Refuse(500)))
    online.run(push, hub.url, hub_token, folder).unwrap()
    assert "500" in online.run(call, hub.url, None, "list_repo_refs", NAME).sentence
    assert online.run(call, hub.url, None, "list_repo_refs", NAME).ok
    assert [note.status for note in hub.seen("GET", "/refs")] == [500, 200]
    (made,) = hub.seen("POST", "/api/repos/create")
    assert (made.account, made.status) == ("alice", 200)


def test_another_process_does_not_find_the_code_that_this_one_keeps_of_models(
    hub, tmp_path, monkeypatch
):
    (tmp_path / "modules" / "transformers_modules").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    assert code_of_models()
    process = ClientProcess(hub.url, tmp_path / "home")
    assert process.run(code_of_models).unwrap() == []
    process.close()
