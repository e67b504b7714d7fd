"""A photograph of the gallery is known by its looks, whatever was done to it on the way."""

import io

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.data.duplicates.looks import HASHED, fine_hashes
from dermsim.data.synthetic import draw_lesion
from dermsim.tasks.retrieve import recognise
from dermsim.tasks.retrieve.case_table import CaseTable
from dermsim.tasks.retrieve.recognition import SAME


def hashes(pictures):
    squares = [np.asarray(p.convert("L").resize((HASHED, HASHED), Image.BOX)) for p in pictures]
    return fine_hashes(np.stack(squares).astype(float))


def compressed(picture):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


@pytest.fixture(scope="module")
def pictures():
    return [draw_lesion("nv", seed=seed, size=(160, 160)) for seed in range(12)]


def table(pictures, **columns):
    records = [{"image_id": f"I{i}", "dx": "nv"} for i in range(len(pictures))]
    return CaseTable.build(records, hashes=hashes(pictures)[:, 0], **columns)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p,
        lambda p: p.rotate(90),
        lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(180),
        lambda p: p.resize((70, 70)).resize((300, 300)),
        compressed,
        lambda p: Image.eval(p, lambda level: min(255, round(1.1 * level))),
    ],
)
def test_a_copy_is_recognised_whatever_was_done_to_it(pictures, change):
    asked = [change(picture) for picture in pictures]
    assert recognise(hashes(asked), table(pictures)) == list(range(len(pictures)))


def test_another_picture_is_not_recognised(pictures):
    others = [draw_lesion("nv", seed=seed, size=(160, 160)) for seed in range(50, 70)]
    assert recognise(hashes(others), table(pictures)) == [None] * len(others)


def test_it_is_the_nearest_within_the_limit_by_counting_bits(pictures):
    """Against a slow count of the bits of each case."""
    rng = np.random.default_rng(0)
    known = hashes(pictures)[:, 0]
    asked = np.repeat(known[:, None], 8, axis=1)
    for row, flips in enumerate(range(0, 36, 3)):
        for bit in rng.choice(255, flips, replace=False):
            asked[row, 3, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
            asked[row, [0, 1, 2, 4, 5, 6, 7]] = ~known[row]
    expected = []
    for held in asked:
        bits = [
            min(
                sum(int(a ^ b).bit_count() for a, b in zip(turn, case, strict=True))
                for turn in held
            )
            for case in known
        ]
        least = min(bits)
        expected.append(bits.index(least) if least <= SAME else None)
    assert recognise(asked, table(pictures)) == expected
    assert None in expected and 0 in expected


def test_cases_that_were_never_looked_at_are_not_recognised(pictures):
    asked = hashes(pictures)
    blind = CaseTable.build([{"image_id": f"I{i}", "dx": "nv"} for i in range(12)])
    assert recognise(asked, blind) == [None] * 12
    seen = table(pictures[6:])
    joined = CaseTable.join(
        [
            blind,
            CaseTable.build(
                [{"image_id": f"J{i}", "dx": "nv"} for i in range(6)], hashes=asked[6:, 0]
            ),
        ]
    )
    assert recognise(asked, joined) == [None] * 6 + list(range(12, 18))
    assert list(seen) == [
        {"image_id": f"I{i}", "dx": "nv"}
        | dict.fromkeys(("lesion_id", "dx_type", "age", "sex", "localization"))
        for i in range(6)
    ]  # a hash is no fact of a case


def test_hashes_must_be_as_many_as_the_records(pictures):
    with refuses("case_table.hashes", count=1):
        CaseTable.build([{"image_id": "I0", "dx": "nv"}], hashes=hashes(pictures)[:, 0])
