"""Small parcels over real HTTP: what differs, who may send, and what is left when it goes wrong."""

import base64
import re

import numpy as np
import pytest
from hub_client import MODEL
from loopback_hub import Fault, HangUp, LoseReply, Mangle, Refuse
from refusals import refuses
from safetensors.numpy import save_file

from dermsim.cli.push import describe
from dermsim.hub.difference import Change, Difference, compare
from dermsim.hub.parcel import Parcel, refuse_pictures
from dermsim.hub.rights import check_rights
from dermsim.hub.send import send

OTHER = "alice/other"
WEIGHTS = bytes(range(256)) * 40


# --- what runs in the other process --------------------------------------------------------------


def api(token):
    from huggingface_hub import HfApi

    return HfApi(token=token)


def look_at(token, parcel, **options):
    return compare(api(token), parcel, **options)


def deliver(token, parcels, *, private=False, create_pr=False, **options):
    """Do what `dermsim push --no-dry-run` does once everything is assembled."""
    client = api(token)
    branch = options.get("revision")
    differences = [compare(client, parcel, revision=branch) for parcel in parcels]
    check_rights(client, differences, create_pr=create_pr, private=private)
    return send(
        client, differences, message="Push", private=private, create_pr=create_pr, **options
    )


def call(token, method, *arguments, **options):
    getattr(api(token), method)(*arguments, **options)


def send_late(token, parcel):
    """Send what was compared before somebody else committed."""
    client = api(token)
    difference = compare(client, parcel)
    client.upload_file(
        path_or_fileobj=b"mine", path_in_repo="theirs.txt", repo_id=MODEL, commit_message="Theirs"
    )
    return send(client, [difference], message="Push")


# -------------------------------------------------------------------------------------------------


@pytest.fixture
def parcel(tmp_path):
    """A little model."""
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Little\n")
    (folder / "notes.txt").write_text("".join(f"line {i}\n" for i in range(20)))
    (folder / "inner" / "model.safetensors").write_bytes(WEIGHTS)
    return Parcel("model", MODEL, folder, "apache-2.0")


@pytest.fixture
def second(tmp_path):
    """A little data set."""
    folder = tmp_path / "second"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Second\n")
    return Parcel("dataset", OTHER, folder, "apache-2.0")


@pytest.fixture
def deliver_it(hub, hub_token, online, parcel):
    """Send the little model; return the outcome."""

    def run(*, token=hub_token, parcels=None, **options):
        return online.run(deliver, token, parcels or [parcel], **options)

    return run


def held(hub, name=MODEL, kind="models"):
    files = hub.repository(name, kind=kind).head.files
    return {p: hub.storage.content(entry) for p, entry in files.items() if p != ".gitattributes"}


def files_of(parcel):
    return {name: path.read_bytes() for name, path in parcel.files.items()}


def written(hub):
    answered = [n for n in hub.requests if n.method in ("POST", "PUT", "DELETE")]
    return [str(n) for n in answered if "validate-yaml" not in n.target]


def assert_refused(outcome, kind, *words):
    assert not outcome.ok, outcome.value
    assert outcome.kinds[0] == kind, outcome.trace
    assert "\n" not in outcome.sentence
    for word in words:
        assert word in outcome.sentence


# --- what differs --------------------------------------------------------------------------------


def test_everything_is_new_where_there_is_nothing(hub, online, parcel):
    found = online.run(look_at, None, parcel).unwrap()
    assert (found.head, found.private, found.empty) == (None, None, False)
    assert found.changes == tuple(
        Change(name, "new", len(data)) for name, data in files_of(parcel).items()
    )
    assert [change.path for change in found.changes] == [
        "README.md",
        "inner/model.safetensors",
        "notes.txt",
    ]
    assert found.lines == ()
    assert written(hub) == []


def test_nothing_differs_from_what_was_sent(hub, online, deliver_it, parcel):
    [sent] = deliver_it().unwrap()
    found = online.run(look_at, None, parcel).unwrap()
    assert found.empty
    assert (found.head, found.private) == (sent.oid, False)
    assert held(hub) == files_of(parcel)
    assert deliver_it().unwrap() == []


def test_lines_sizes_and_contents_are_told_apart(hub, hub_token, online, deliver_it, parcel):
    deliver_it().unwrap()
    weights = parcel.folder / "inner" / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"!")  # as long as before
    (parcel.folder / "notes.txt").write_text("".join(f"line {i}\n" for i in range(1, 20)))
    (parcel.folder / "README.md").rename(parcel.folder / "READ.md")
    found = online.run(look_at, None, parcel).unwrap()
    assert {change.path: change.status for change in found.changes} == {
        "READ.md": "new",
        "README.md": "removed",
        "inner/model.safetensors": "changed",
        "notes.txt": "changed",
    }
    assert found.lines == (
        f"--- {MODEL}/notes.txt on the Hub",
        f"+++ {MODEL}/notes.txt",
        "@@ -1,2 +1 @@",
        "-line 0",
        " line 1",
    )
    deliver_it().unwrap()
    assert held(hub) == files_of(parcel)


# --- the whole way -------------------------------------------------------------------------------


def test_each_repository_gets_one_commit(hub, deliver_it, parcel, second):
    sent = deliver_it(parcels=[second, parcel]).unwrap()
    assert [(one.kind, one.repo_id) for one in sent] == [("dataset", OTHER), ("model", MODEL)]
    for one, kind in zip(sent, ("datasets", "models"), strict=True):
        repository = hub.repository(one.repo_id, kind=kind)
        titles = [commit.title for commit in repository.history(repository.head)]
        assert titles == ["Push", "initial commit"]
        assert one.oid == repository.head.oid
        assert one.url.endswith(f"{one.repo_id}/commit/{one.oid}")


def test_large_files_are_all_there_before_the_first_commit(hub, deliver_it, parcel, second):
    deliver_it(parcels=[second, parcel]).unwrap()
    changes = [n for n in hub.requests if n.method in ("PUT", "POST")]
    order = [
        n.host if n.method == "PUT" else "commit"
        for n in changes
        if n.method == "PUT" or "/commit/" in n.target
    ]
    assert order == ["storage", "commit", "commit"]


def test_private_repositories_are_private(hub, deliver_it, second, parcel):
    deliver_it(parcels=[second, parcel], private=True).unwrap()
    assert hub.repository(MODEL).settings["private"] is True
    assert hub.repository(OTHER, kind="datasets").settings["private"] is True
    (parcel.folder / "notes.txt").write_text("again")
    deliver_it(private=True).unwrap()
    assert held(hub)["notes.txt"] == b"again"


def test_a_branch_takes_the_commit_and_main_stays(hub, deliver_it, parcel):
    deliver_it().unwrap()
    main = hub.repository(MODEL).head
    (parcel.folder / "notes.txt").write_text("second")
    [sent] = deliver_it(revision="v2").unwrap()
    repository = hub.repository(MODEL)
    assert repository.head == main
    assert repository.resolve("v2").oid == sent.oid
    (parcel.folder / "notes.txt").write_text("third")
    [third] = deliver_it(revision="v2").unwrap()
    assert repository.resolve("v2").oid == third.oid != sent.oid


def test_a_new_repository_keeps_main_empty_when_a_branch_is_meant(hub, deliver_it):
    deliver_it(revision="v2").unwrap()
    repository = hub.repository(MODEL)
    assert set(repository.head.files) == {".gitattributes"}
    assert "notes.txt" in repository.resolve("v2").files


def test_main_by_its_name_is_main(hub, deliver_it, parcel):
    deliver_it(revision="main").unwrap()
    assert held(hub) == files_of(parcel)


def test_a_pull_request_leaves_main_and_takes_more_commits(hub, deliver_it, parcel):
    deliver_it().unwrap()
    main = hub.repository(MODEL).head
    (parcel.folder / "notes.txt").write_text("second")
    [sent] = deliver_it(create_pr=True).unwrap()
    assert sent.url.endswith(f"/{MODEL}/discussions/1")
    repository = hub.repository(MODEL)
    assert repository.head == main
    assert repository.resolve("refs/pr/1").oid == sent.oid
    (parcel.folder / "notes.txt").write_text("third")
    [third] = deliver_it(revision="refs/pr/1").unwrap()
    assert repository.resolve("refs/pr/1").oid == third.oid


def test_who_may_only_read_may_still_propose(hub, deliver_it, parcel):
    deliver_it().unwrap()
    (parcel.folder / "notes.txt").write_text("a proposal")
    [sent] = deliver_it(token=hub.add_account("bob"), create_pr=True).unwrap()
    assert sent.url.endswith("/discussions/1")


# --- what is refused before anything is sent -----------------------------------------------------


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        (None, ("There is no token for the Hub", "hf auth login")),
        ({"name": "alice", "role": "read"}, ("The token of alice may only read",)),
        ({"name": "bob"}, ("The token of bob may not make", "no right to write as alice")),
        (
            {"name": "alice", "role": "fineGrained", "permissions": ("repo.content.read",)},
            ("no right to write as alice",),
        ),
    ],
)
def test_a_token_without_the_right_is_refused(hub, deliver_it, rights, words):
    token = hub.add_account(**rights) if rights else None
    assert_refused(deliver_it(token=token), "PermissionError", *words)
    assert written(hub) == []


@pytest.mark.parametrize(
    "rights",
    [
        {"name": "alice", "role": "fineGrained", "permissions": ("repo.write",)},
        {"name": "bob", "organizations": ("alice",)},
    ],
)
def test_a_token_with_just_the_right_will_do(hub, deliver_it, parcel, rights):
    deliver_it(token=hub.add_account(**rights)).unwrap()
    assert held(hub) == files_of(parcel)


def test_a_token_of_another_is_refused_where_the_repository_exists(hub, deliver_it, parcel):
    deliver_it().unwrap()
    (parcel.folder / "notes.txt").write_text("second")
    before = written(hub)
    outcome = deliver_it(token=hub.add_account("bob"))
    words = f"The Hub would not let bob write to {MODEL}: the token has not the right"
    assert_refused(outcome, "PermissionError", words)
    assert written(hub) == before


def test_an_invalid_token_is_refused(hub, deliver_it):
    assert_refused(deliver_it(token="hf_nobody"), "PermissionError", "the token has not the right")
    assert written(hub) == []


def test_private_is_not_pretended(hub, deliver_it, parcel):
    deliver_it().unwrap()
    before = written(hub)
    outcome = deliver_it(private=True)
    assert_refused(outcome, "ValueError", f"{MODEL} is public already", "settings page")
    assert written(hub) == before


def test_a_branch_and_a_pull_request_exclude_each_other(hub, deliver_it):
    outcome = deliver_it(revision="v2", create_pr=True)
    assert_refused(outcome, "ValueError", "leave out either --create-pr or --revision v2")
    assert written(hub) == []


def test_a_hub_that_is_down_is_one_sentence(hub, deliver_it):
    hub.inject(Fault("GET", "/api/", Refuse(500), times=None))
    assert_refused(deliver_it(), "ConnectionError", f"The Hub could not say what {MODEL} holds")
    assert written(hub) == []


# --- what goes wrong on the way ------------------------------------------------------------------


def test_an_interrupted_upload_leaves_main_as_it_was(hub, deliver_it, parcel):
    deliver_it().unwrap()
    before = hub.repository(MODEL).head
    new = WEIGHTS[::-1]
    (parcel.folder / "inner" / "model.safetensors").write_bytes(new)
    hub.inject(Fault("PUT", "/upload/", HangUp(0.5), times=None, host="storage"))
    outcome = deliver_it()
    assert_refused(outcome, "ConnectionError", f"The Hub could not take the files of {MODEL}")
    assert hub.repository(MODEL).head == before
    hub.clear_faults()
    deliver_it().unwrap()
    assert held(hub)["inner/model.safetensors"] == new


def test_a_first_upload_that_breaks_off_leaves_nothing_to_see(hub, deliver_it, parcel, second):
    hub.inject(Fault("PUT", "/upload/", HangUp(0.5), times=None, host="storage"))
    outcome = deliver_it(parcels=[second, parcel])
    assert_refused(outcome, "ConnectionError", "could not take the files of")
    assert held(hub) == held(hub, OTHER, "datasets") == {}


def test_an_upload_that_breaks_off_once_is_taken_up_again(hub, deliver_it, parcel):
    hub.inject(Fault("PUT", "/upload/", HangUp(0.5), times=1, host="storage"))
    deliver_it().unwrap()
    assert held(hub) == files_of(parcel)


def test_an_object_that_arrives_damaged_is_not_committed(hub, deliver_it):
    change = Mangle(lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    hub.inject(Fault("PUT", "/upload/", change, times=None, host="storage"))
    outcome = deliver_it()
    assert_refused(outcome, "ConnectionError", f"could not take the files of {MODEL}", "SHA-256")
    assert held(hub) == {}


def test_a_text_that_arrives_damaged_is_noticed(hub, deliver_it, parcel):
    sent = base64.b64encode((parcel.folder / "notes.txt").read_bytes())
    other = base64.b64encode(b"damaged" + (parcel.folder / "notes.txt").read_bytes()[7:])
    hub.inject(Fault("POST", "/commit/", Mangle(lambda data: data.replace(sent, other))))
    words = f"{MODEL} holds another notes.txt than was sent: push again"
    assert_refused(deliver_it(), "ConnectionError", words)
    deliver_it().unwrap()
    assert held(hub) == files_of(parcel)


@pytest.mark.parametrize("effect", [Refuse(503), Refuse(429), HangUp(0.3)])
def test_a_hub_that_is_busy_for_a_moment_is_asked_again(hub, deliver_it, parcel, effect):
    hub.inject(Fault("POST", "/commit/", effect, times=2))
    deliver_it().unwrap()
    repository = hub.repository(MODEL)
    assert len(repository.history(repository.head)) == 2
    assert held(hub) == files_of(parcel)


def test_a_commit_whose_answer_is_lost_is_made_once(hub, deliver_it):
    hub.inject(Fault("POST", "/commit/", LoseReply()))
    [sent] = deliver_it().unwrap()
    repository = hub.repository(MODEL)
    assert len(repository.history(repository.head)) == 2
    assert sent.oid == repository.head.oid
    assert re.fullmatch(rf"{hub.url}/{MODEL}/commit/[0-9a-f]{{40}}", sent.url)


def test_a_pull_request_whose_answer_is_lost_is_not_opened_twice(hub, deliver_it, parcel):
    deliver_it().unwrap()
    (parcel.folder / "notes.txt").write_text("second")
    hub.inject(Fault("POST", "/commit/", LoseReply()))
    assert_refused(deliver_it(create_pr=True), "ConnectionError", f"commit to {MODEL}")
    assert len(hub.seen("POST", "/commit/")) == 2


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, "ValueError", f"The Hub would not commit to {MODEL}"),
        (401, "PermissionError", f"The Hub would not commit to {MODEL}: the token has not"),
        (403, "PermissionError", f"The Hub would not commit to {MODEL}: the token has not"),
        (409, "ConnectionError", "has changed since it was compared: begin again"),
        (412, "ConnectionError", "has changed since it was compared: begin again"),
        (429, "ConnectionError", f"The Hub could not commit to {MODEL}"),
        (500, "ConnectionError", f"The Hub could not commit to {MODEL}"),
    ],
)
def test_a_commit_that_is_refused_is_one_sentence(hub, deliver_it, status, kind, words):
    hub.inject(Fault("POST", "/commit/", Refuse(status), times=None))
    assert_refused(deliver_it(), kind, words)
    assert held(hub) == {}


def test_what_somebody_else_committed_meanwhile_is_not_lost(
    hub, hub_token, online, deliver_it, parcel
):
    deliver_it().unwrap()
    (parcel.folder / "notes.txt").write_text("mine")
    outcome = online.run(send_late, hub_token, parcel)
    assert_refused(outcome, "ConnectionError", "has changed since it was compared: begin again")
    assert held(hub)["theirs.txt"] == b"mine"
    assert held(hub)["notes.txt"] != b"mine"


def test_what_was_sent_before_a_failure_is_said(hub, deliver_it, parcel, second):
    hub.inject(Fault("POST", "/api/models/.*/commit/", Refuse(403), times=None))
    outcome = deliver_it(parcels=[second, parcel])
    assert_refused(outcome, "PermissionError", f"commit to {MODEL}", f"there: dataset {OTHER}.")
    assert held(hub, OTHER, "datasets") == files_of(second)
    assert held(hub) == {}


def test_a_card_that_the_hub_refuses_stops_everything(hub, deliver_it, parcel):
    (parcel.folder / "README.md").write_text("---\ntags: derm\n---\n")
    outcome = deliver_it()
    assert_refused(outcome, "ValueError", f"The Hub would not commit to {MODEL}", '"tags" must be')
    assert held(hub) == {}


def test_long_differences_are_cut(parcel):
    changes = (Change("notes.txt", "changed", 150), Change("README.md", "same", 39))
    lines = tuple(f"+line {i}" for i in range(70))
    text = describe(Difference(parcel, "0" * 40, False, changes, lines))
    assert text.splitlines()[0].startswith(f"model {MODEL} (at commit 000000000000), licence apach")
    assert "Files that are the same: 1." in text
    assert text.endswith("+line 59\n... and 10 more lines")


# --- parcels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["derm", "a/b/c", "a/b--c", "a/b c", "/derm", "alice/"])
def test_a_name_that_the_hub_cannot_have_is_refused(tmp_path, name):
    with refuses(("parcel.no_owner", "parcel.repository_name"), repo_id=name):
        Parcel("model", name, tmp_path, "apache-2.0")


def test_pictures_are_found_whatever_they_are_called(parcel, photographs):
    with refuses(
        "parcel.pictures",
        name="inner/model.safetensors",
        repo_id="alice/derm",
        reason="contents.no_safetensors",
    ):
        refuse_pictures(parcel)
    save_file({"x": np.zeros(3, np.float32)}, parcel.folder / "inner" / "model.safetensors")
    refuse_pictures(parcel)
    photographs.select(range(2)).to_parquet(parcel.folder / "rows.parquet")
    with refuses(
        "parcel.pictures",
        name="rows.parquet",
        repo_id="alice/derm",
        reason="contents.binary_column",
    ):
        refuse_pictures(parcel)
    (parcel.folder / "rows.parquet").unlink()
    photographs[0]["image"].save(parcel.folder / "inner" / "case.JPG", format="JPEG")
    with refuses(
        "parcel.pictures", name="inner/case.JPG", repo_id="alice/derm", reason="contents.pictures"
    ):
        refuse_pictures(parcel)
