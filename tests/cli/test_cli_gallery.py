"""The `dermsim gallery` commands on a real tiny checkpoint and a folder of drawn lesions."""

import json

import numpy as np
import pytest

from dermsim.cli.main import main
from dermsim.tasks.retrieve import Gallery


@pytest.fixture
def run(capsys):
    """Run the command; return status, its JSON answer or None, and stderr."""

    def command(*arguments):
        status = main([*map(str, arguments), "--json"])
        captured = capsys.readouterr()
        return status, json.loads(captured.out) if captured.out else None, captured.err

    return command


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """14 drawn lesions as the Hub serves them; two pictures of each."""
    from dermsim.data.synthetic import synthetic_ham10000

    folder = tmp_path_factory.mktemp("source") / "drawn"
    (folder / "data").mkdir(parents=True)
    rows = synthetic_ham10000(14, seed=5, size=(48, 36))
    for column in ("image_id", "lesion_id"):  # those of the checkpoint are drawn, too
        names = [f"NEW_{name}" for name in rows[column]]
        rows = rows.remove_columns(column).add_column(column, names)
    rows.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture
def folder(engine, tmp_path):
    """A saved gallery of the checkpoint's cases."""
    engine.gallery.save(tmp_path / "gallery")
    return tmp_path / "gallery"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_info_of_a_folder_needs_no_model(run, folder, engine):
    status, answer, _ = run("gallery", "info", folder)
    assert status == 0
    assert answer["cases"] == len(engine.gallery)
    assert answer["lesions"] == len({record["lesion_id"] for record in engine.gallery.records})
    assert sum(answer["dx"].values()) == answer["cases"]
    assert answer["index"] is None


def test_info_in_words(capsys, folder):
    assert main(["gallery", "info", str(folder)]) == 0
    assert "searched by comparing with every case: exact" in capsys.readouterr().out


def test_built_grown_and_shrunk(run, checkpoint, engine, source, folder):
    status, answer, _ = run("gallery", "add", folder, "--data", source, "--model", checkpoint)
    assert status == 0
    before = len(engine.gallery)
    assert (answer["cases"], answer["parts"]) == (before + 28, 2)
    grown = Gallery.load(folder)
    new = grown.records[before]
    status, answer, _ = run("gallery", "remove", folder, "--lesion", new["lesion_id"])
    assert (status, answer["removed"], answer["cases"]) == (0, 2, before + 26)
    left = Gallery.load(folder)
    assert new["image_id"] not in left.records.values("image_id")
    query = grown.embeddings[before : before + 1]
    assert left.search(query, 3) != grown.search(query, 3)


def test_cases_of_another_gallery_are_added(run, checkpoint, source, folder, engine, tmp_path):
    other = tmp_path / "other"
    build = ("gallery", "build", "--data", source, "--split", "all", "-o", other)
    status, answer, _ = run(*build, "--model", checkpoint)
    assert (status, answer["cases"]) == (0, 28)
    assert run("gallery", "add", folder, "--other", other)[1]["cases"] == len(engine.gallery) + 28
    status, _, err = run("gallery", "add", folder, "--other", other)
    assert status == 2
    assert "appears twice" in err


def test_similar_searches_the_gallery_it_is_given(run, checkpoint, source, tmp_path):
    from dermsim.data.ham10000 import load_ham10000

    other = tmp_path / "other"
    build = ("gallery", "build", "--data", source, "--split", "all", "-o", other)
    assert run(*build, "--model", checkpoint)[0] == 0
    row = load_ham10000(source)[3]
    row["image"].save(tmp_path / "picture.png")
    arguments = ("similar", tmp_path / "picture.png", "--gallery", other, "--model", checkpoint)
    _, answer, _ = run(*arguments, "-k", 28)
    found = answer["results"][0]["neighbors"]
    own = row["lesion_id"]  # the picture is one of the gallery's: its lesion is left out
    assert len(found) == 28 - list(load_ham10000(source)["lesion_id"]).count(own)
    assert {case["image_id"] for case in found} <= set(load_ham10000(source)["image_id"])
    assert own not in {case["lesion_id"] for case in found}
    assert sum(answer["results"][0]["vote"].values()) == pytest.approx(1)
    _, answer, _ = run(*arguments, "-k", 28, "--one-per-lesion")
    assert len(answer["results"][0]["neighbors"]) == 14 - 1


def test_an_index_is_made_and_described(run, capsys, tmp_path):
    rng = np.random.default_rng(0)
    records = [{"image_id": str(i), "dx": "nv"} for i in range(2000)]
    vectors = rng.normal(size=(20, 16))[np.arange(2000) % 20] + 0.3 * rng.normal(size=(2000, 16))
    gallery = Gallery.build(vectors, records, fingerprint="f")
    gallery.save(tmp_path / "gallery")
    status, answer, _ = run("gallery", "index", tmp_path / "gallery", "--kind", "ivfpq")
    assert status == 0
    assert answer["index"]["kind"] == "ivfpq"
    assert answer["index"]["recall_at_10"] >= 0.9
    more = Gallery.build(vectors[:1], [{"image_id": "new", "dx": "wart"}], fingerprint="f")
    Gallery.load(tmp_path / "gallery").join(more).save(tmp_path / "gallery")
    assert main(["gallery", "info", str(tmp_path / "gallery")]) == 0
    out = capsys.readouterr().out
    assert "ivfpq, which finds" in out
    assert "1 cases were added since and are searched exactly" in out
    assert "wart" in out
    status, answer, _ = run("gallery", "index", tmp_path / "gallery", "--kind", "flat")
    assert answer["index"] is None
    assert not list((tmp_path / "gallery").glob("index*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "{folder}"), "either --data SOURCE or --other GALLERY"),
        (("add", "{folder}", "--data", "x", "--other", "y"), "either --data SOURCE or --other"),
        (("add", "{folder}", "--other", "{tmp}/none"), "there is no file"),
        (("add", "{folder}", "--other", "x", "--split", "train"), "a gallery is added whole"),
        (("remove", "{folder}"), "no case to remove was named"),
        (("remove", "{folder}", "--image", "ISIC_7"), "no case whose image_id is 'ISIC_7'"),
        (("remove", "{tmp}/none", "--image", "ISIC_7"), "there is no file"),
        (("index", "{folder}", "--kind", "hnsw"), "at least 1,000 cases"),
        (("info", "{tmp}"), "there is no file"),
    ],
)
def test_refusals_change_nothing(run, folder, tmp_path, arguments, words):
    before = content(folder)
    filled = [word.format(folder=folder, tmp=tmp_path) for word in arguments]
    status, answer, err = run("gallery", *filled)
    assert (status, answer) == (2, None)
    assert words in err
    assert err.count("\n") == 1
    assert content(folder) == before


def test_a_gallery_of_another_encoder_is_refused(
    run, second_checkpoint, checkpoint, folder, source, tmp_path
):
    before = content(folder)
    add = ("gallery", "add", folder, "--data", source, "--model", second_checkpoint)
    status, _, err = run(*add)
    assert (status, content(folder)) == (2, before)
    assert "was made by encoder" in err and "name the gallery's own with --model" in err
    from dermsim.data.synthetic import draw_lesion

    draw_lesion("mel", seed=0).save(tmp_path / "a.png")
    similar = ("similar", tmp_path / "a.png", "--gallery", folder, "--model", second_checkpoint)
    status, _, err = run(*similar)
    assert status == 2
    assert "build the gallery again with this model" in err
