"""What `dermsim duplicates` found holds for every command that loads the folder."""

import csv
import warnings

import pytest
from refusals import refuses

from dermsim.data.components import join_lesions, load_components
from dermsim.data.dataset import load_dataset, open_source
from dermsim.data.duplicates import find_duplicates, list_source
from dermsim.data.elsewhere import without_shared
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion

pytestmark = pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")


def picture(path, seed, dx="nv", size=(120, 90)):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_lesion(dx, seed=seed, size=(160, 120)).resize(size)
    drawn.save(path)
    return path


@pytest.fixture
def own(tmp_path):
    """A folder per class, in which pictures 0 to 3 come again in other sizes."""
    folder = tmp_path / "own"
    for seed in range(8):
        picture(folder / "nevus" / f"n{seed}.png", seed)
        picture(folder / "melanoma" / f"m{seed}.png", 50 + seed, dx="mel")
    for seed in range(4):
        picture(folder / "nevus" / "again" / f"x{seed}.jpg", seed, size=(80, 60))
    return folder


def test_copies_are_one_lesion_once_the_list_lies_in_the_folder(own, tmp_path):
    found = find_duplicates([str(own)])
    assert len(found.components) == 4
    found.save(tmp_path / "found")
    before = open_source(own)
    assert len({fact["lesion_id"] for fact in before.facts}) == 20
    (tmp_path / "found" / "components.csv").rename(own / "components.csv")
    with pytest.warns(UserWarning, match=r"own: 4 lesions are one with others, because component"):
        rows = load_dataset(own)
    lesion = dict(zip(rows["image_id"], rows["lesion_id"], strict=True))
    assert len(rows) == 20 and all(lesion[f"x{n}"] == lesion[f"n{n}"] for n in range(4))
    parts = grouped_splits(rows, validation=0.3, test=0.3)
    for n in range(4):
        assert sum(bool({f"x{n}", f"n{n}"} & set(part["image_id"])) for part in parts.values()) == 1


def test_pictures_are_listed_under_the_names_that_they_are_loaded_by(own):
    picture(own / "melanoma" / "n1.png", 99, dx="mel")
    loaded = load_dataset(own)
    assert [item.image_id for item in list_source(str(own))] == list(loaded["image_id"])
    (own / "labels.csv").write_text("Datei;Diagnose;Patienten-ID\nn0.png;nv;P1\nm0.png;mel;P2\n")
    listed = {item.image_id: item for item in list_source(str(own))}
    assert len(listed) == 21 and listed["n0"].patient_id == "P1"


def test_a_list_of_several_sources_tells_their_pictures_apart(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    rows = [(1, own, "a"), (1, other, "b"), (1, own, "c"), (2, other, "a"), (2, other, "c2")]
    with (own / "components.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("component", "source", "image_id"), *rows])
    assert load_components(own) == [["a", "b", "c"], ["a", "c2"]]
    assert load_components(own, source=own) == [["a", "c"]]
    assert load_components(own, source=tmp_path / "third") == [["a", "b", "c"], ["a", "c2"]]


def test_lesions_are_joined_through_chains():
    facts = [
        {"image_id": image, "lesion_id": lesion}
        for image, lesion in [("1", "A"), ("2", "A"), ("3", "B"), ("4", "C"), ("5", "D")]
    ]
    assert join_lesions(facts, [["2", "3"], ["3", "4"], ["5", "gone"]]) == 2
    assert [fact["lesion_id"] for fact in facts] == ["A", "A", "A", "A", "D"]


def test_what_is_held_out_is_not_learned_from_another_source(synthetic):
    held_out, rows = synthetic["test"], synthetic["train"]
    both = rows.from_dict({c: [*rows[c], *held_out[c]] for c in ("image_id", "lesion_id")})
    with pytest.warns(UserWarning, match=rf"{len(held_out)} of {len(both)} pictures of x are held"):
        kept = without_shared(both, [held_out], name="x")
    assert list(kept["image_id"]) == list(rows["image_id"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert without_shared(rows, [held_out], name="x") is rows
    with refuses("elsewhere.all_held_out", name="x"):
        without_shared(held_out, [held_out], name="x")
