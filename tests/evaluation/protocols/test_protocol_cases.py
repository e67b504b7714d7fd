import numpy as np
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.protocols.protocol_cases import (
    encode_cases,
    left_out_classes,
    select,
)


def test_what_was_left_out_is_what_the_gallery_lacks(engine):
    assert engine.known == ("bcc", "bkl", "mel", "nv")
    assert left_out_classes(engine) == ("akiec", "df", "vasc")
    assert left_out_classes(engine, ["vasc", "akiec"]) == ("vasc", "akiec")


def test_a_class_that_was_trained_with_is_refused(engine, whole_engine):
    with refuses("protocol_cases.known_class", wrong="mel", missing=["akiec", "df", "vasc"]):
        left_out_classes(engine, ["vasc", "mel"])
    with refuses("protocol_cases.all_known"):
        left_out_classes(whole_engine)


def test_select_takes_the_diagnoses_of_a_split(dataset):
    rows = select(dataset, ("mel", "df"), split="test")
    expected = {
        image_id
        for image_id, dx in zip(
            *(grouped_splits(dataset)["test"][name] for name in ("image_id", "dx")), strict=True
        )
        if CODES[dx] in ("mel", "df")
    }
    assert set(rows["image_id"]) == expected and expected
    assert len(select(dataset, CODES)) == len(dataset)
    with refuses(
        "protocol_cases.split", split="half", splits=["train", "validation", "test", "all"]
    ):
        select(dataset, CODES, split="half")
    with refuses("protocol_cases.no_image", codes=["wart"]):
        select(dataset, ("wart",))


def test_encoded_rows_keep_their_order(engine, dataset, encoding_is_pretended):
    rows = select(dataset, ("df", "vasc"))
    found = encode_cases(engine, rows, purpose="test")
    assert found.labels.tolist() == rows["dx"]
    assert found.lesion_ids == rows["lesion_id"]
    places = [dataset["image_id"].index(image_id) for image_id in rows["image_id"]]
    expected = encoding_is_pretended.everything.logits[places]
    np.testing.assert_array_equal(found.encoding.logits, expected)
    few = found.take(np.array([3, 1]))
    np.testing.assert_array_equal(few.encoding.logits, expected[[3, 1]])
    assert few.lesion_ids == [rows["lesion_id"][3], rows["lesion_id"][1]]
    assert len(found.take(found.labels == CODES.index("df"))) == 60


def test_rows_of_the_gallery_are_refused(engine, dataset):
    train = grouped_splits(dataset)["train"]
    learned = [row for row, dx in enumerate(train["dx"]) if CODES[dx] == "mel"][:2]
    with refuses("held_out.learned_from", images_count=2, lesions_count=1, example="SYN_0000008"):
        encode_cases(engine, train.select(learned), purpose="test")
    assert len(encode_cases(engine, train.select(learned), purpose="test", learned=True)) == 2
    renamed = train.select(learned).map(lambda row, i: {"image_id": f"new{i}"}, with_indices=True)
    with refuses("held_out.learned_from", images_count=0, lesions_count=1, example="SYNL_0000004"):
        encode_cases(engine, renamed, purpose="test")
