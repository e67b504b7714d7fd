"""What a Space runs on when something is missing, and how the graphics card is lent to it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.synthetic import draw_lesion
from dermsim.hub.gallery_data import write_gallery
from dermsim.serve.space import Fetched, OpenedSpace, fetch, gpu_lender, open_fetched
from dermsim.tasks.retrieve import Gallery


@pytest.fixture
def space(checkpoint, tmp_path) -> Path:
    """What of a Space's folder is read when it starts."""
    shutil.copytree(checkpoint, tmp_path / "space" / "checkpoint")
    settings = {"model": "alice/derm", "gallery": "alice/derm-gallery"}
    (tmp_path / "space" / "space.json").write_text(json.dumps(settings))
    return tmp_path / "space"


@pytest.fixture
def gallery(checkpoint, tmp_path):
    """Write the files of a gallery data set; return their folder."""

    def write(*, fingerprint=None, first=None, pictures=None):
        known = Gallery.load(checkpoint / "gallery")
        written = Gallery.build(
            known.embeddings[:first],
            list(known.records)[:first],
            fingerprint=fingerprint or known.fingerprint,
        )
        names = {"repo_id": "alice/derm-gallery", "model_id": "alice/derm"}
        folder = tmp_path / "gallery"
        write_gallery(folder, written, licence="apache-2.0", pictures=pictures, **names)
        return folder

    return write


# --- what it runs on -----------------------------------------------------------------------------


def test_without_the_hub_it_runs_on_what_came_along(space, engine):
    found = fetch(space)  # the tests are offline
    assert (found.model, found.gallery) == (space / "checkpoint", None)
    [notice] = found.notices
    assert notice.startswith("This page runs on the checkpoint that came with it: alice/derm could")
    assert "\n" not in notice
    opened = open_fetched(found, bundled=space / "checkpoint")
    assert opened.notices == found.notices
    assert opened.engine.fingerprint == engine.fingerprint
    assert opened.pictures is None


def test_a_model_that_cannot_be_used_is_replaced(space, engine, tmp_path):
    broken = shutil.copytree(space / "checkpoint", tmp_path / "0123abc")
    (broken / "calibration.json").write_text("{}")
    opened = open_fetched(Fetched(broken, None), bundled=space / "checkpoint")
    assert opened.engine.fingerprint == engine.fingerprint
    [notice] = opened.notices
    assert "0123abc could not be used." in notice and "calibration.json" in notice


def test_a_space_without_anything_that_works_says_so(space):
    bundled = space / "checkpoint"
    (bundled / "calibration.json").write_text("{}")
    with refuses("load.unusable", error=Phrase("storage.keys", name="calibration.json")):
        open_fetched(Fetched(bundled, None), bundled=bundled)


def test_damaged_settings_are_refused(space):
    (space / "space.json").write_text('{"model": "alice/derm"}')
    with refuses("storage.keys", name="space.json"):
        fetch(space)


def test_the_gallery_of_the_hub_is_searched(space, gallery, synthetic):
    bundled = space / "checkpoint"
    fetched = Fetched(bundled, gallery(first=20, pictures=synthetic["train"]))
    opened = open_fetched(fetched, bundled=bundled)
    assert opened.notices == ()
    assert len(opened.engine.gallery) == 20
    case = opened.engine.gallery.records[3]["image_id"]
    rows = list(synthetic["train"]["image_id"])
    known = synthetic["train"][rows.index(case)]["image"]
    np.testing.assert_array_equal(np.asarray(opened.pictures(case)), np.asarray(known))
    assert opened.pictures("nobody") is None


def test_a_gallery_without_pictures_shows_none(space, gallery):
    opened = open_fetched(Fetched(space / "checkpoint", gallery()), bundled=space / "checkpoint")
    assert (opened.pictures, opened.notices) == (None, ())


@pytest.mark.parametrize("damage", ["other encoder", "cut off", "gone"])
def test_a_gallery_that_does_not_fit_is_left_out(space, gallery, damage):
    folder = gallery(fingerprint="another" if damage == "other encoder" else None)
    [table] = (folder / "data").glob("*.parquet")
    if damage == "cut off":
        table.write_bytes(table.read_bytes()[:-100])
    elif damage == "gone":
        table.unlink()
    own = Gallery.load(space / "checkpoint" / "gallery")
    opened = open_fetched(Fetched(space / "checkpoint", folder), bundled=space / "checkpoint")
    assert opened.engine.gallery.records == own.records
    [notice] = opened.notices
    assert notice.startswith("The past cases are those that came with the model: gallery could not")
    assert "\n" not in notice


# --- ZeroGPU -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", "false", "0"])
def test_no_card_is_lent_elsewhere(monkeypatch, value):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    if value is not None:
        monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert gpu_lender() is None


LEND = """
import sys
sys.path.insert(0, sys.argv[3])
import numpy as np
from zero_gpu import GPU, calls
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.serve.space import lend_gpu

engine = DermSim.from_pretrained(sys.argv[1])
photo, other = sys.argv[2], draw_lesion("nv", seed=2)
here = engine.predict([photo, other])  # torch has worked here before the fork
lent = lend_gpu(engine, GPU(duration=30))
assert lent.predict([photo, other]) == here
assert lent.predict(photo) == engine.predict(photo)
assert lent.predict_and_vote([photo]) == engine.predict_and_vote([photo])
np.testing.assert_array_equal(lent.embed([other]), engine.embed([other]))
assert lent.search([photo], 3) == engine.search([photo], 3)
assert lent.search(engine.embed([photo]), 3) == engine.search([photo], 3)
known_case = {"like": engine.gallery.embeddings[0]}
for options in ({}, {"target": "nv"}, {"like": other}, known_case):
    there, known = lent.explain(photo, **options), engine.explain(photo, **options)
    np.testing.assert_array_equal(there.values, known.values)
    assert (there.peak, there.target) == (known.peak, known.target)
for two, mine in (
    (lent.explain_likeness(photo, other), engine.explain_likeness(photo, other)),
    tuple(one.explain_many([photo, other], method="eigencam") for one in (lent, engine)),
):
    for there, known in zip(two, mine, strict=True):
        np.testing.assert_array_equal(there.values, known.values)
there, known = (one.analyze(photo, k=2, explain=None) for one in (lent, engine))
assert (there.prediction, there.neighbors, there.vote) == (
    known.prediction, known.neighbors, known.vote
)
assert (lent.fingerprint, lent.gallery) == (engine.fingerprint, engine.gallery)
assert lent.class_bank() is engine.class_bank()
assert len(calls) == 12, calls
try:
    lent.predict([b"no picture"])
except ValueError as error:
    print(error)
assert len(calls) == 12, "what cannot be read does not reach the card"
try:
    lent.explain(photo, target="moon")
except ValueError as error:
    assert "moon" in str(error), "a refusal comes back with its words"
assert len(calls) == 13
"""


def test_what_runs_in_a_forked_process_answers_the_same(checkpoint, tmp_path):
    draw_lesion("mel", seed=1).save(tmp_path / "photo.png")
    given = [str(checkpoint), str(tmp_path / "photo.png"), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", LEND, *given],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "not an image" in done.stdout or "picture" in done.stdout


def test_the_page_tells_what_is_missing():
    from dermsim.ui import render

    assert render.note("") == ""
    assert "&lt;b&gt;" in render.note("<b>") and 'role="status"' in render.note("x")


def test_pictures_wait_for_the_checkpoint():
    from concurrent.futures import Future

    from dermsim.serve.space import _Late

    opened = Future()
    late = _Late(opened)
    opened.set_result(OpenedSpace(None, {"a": "picture"}.get, ()))
    assert late and late("a") == "picture" and late("b") is None
    opened = Future()
    late = _Late(opened)
    opened.set_result(OpenedSpace(None, None, ()))
    assert not late and late("a") is None


def test_the_page_is_built_before_anything_is_fetched():
    from concurrent.futures import Future, ThreadPoolExecutor

    from dermsim.serve.space import _Late
    from dermsim.ui.app import build_app

    nothing_yet: Future[OpenedSpace] = Future()
    with ThreadPoolExecutor(max_workers=1) as pool:
        built = pool.submit(
            build_app, lambda: nothing_yet.result().engine, pictures=_Late(nothing_yet)
        )
        try:
            assert built.result(timeout=60) is not None
        finally:
            nothing_yet.cancel()  # whatever waits for it goes on
