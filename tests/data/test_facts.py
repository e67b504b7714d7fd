"""Facts about the patient: what is refused, what every column means, and what zeros say."""

import itertools

import numpy as np
import pytest
from datasets import Dataset
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.facts import (
    FACTS_COLUMNS,
    FACTS_DIM,
    FACTS_SLICES,
    SEXES,
    SITES,
    Facts,
    encode_facts,
    facts_of,
)

AGES = [None, 0, 7.5, 15, 52, 85, 90, 120]


def by_name(facts: Facts | None) -> dict[str, float]:
    """The columns of one row that are not zero."""
    (row,) = encode_facts([facts])
    return {name: float(value) for name, value in zip(FACTS_COLUMNS, row, strict=True) if value}


def slow_row(facts: Facts) -> list[float]:
    """The documentation of `FACTS_COLUMNS`, word by word."""
    knots = [float(name.split(":")[1]) for name in FACTS_COLUMNS if name.startswith("age:")]
    row = []
    for name in FACTS_COLUMNS:
        fact, value = name.split(":")
        if fact != "age":
            row.append(1.0 if getattr(facts, fact) == value else 0.0)
        elif facts.age is None:
            row.append(0.0)
        else:
            age = min(max(facts.age, knots[0]), knots[-1])  # flat beyond the first and the last
            gap = knots[1] - knots[0]
            row.append(max(0.0, 1 - abs(age - float(value)) / gap))
    return row


def test_columns_are_named_and_counted():
    assert len(FACTS_COLUMNS) == FACTS_DIM == len(set(FACTS_COLUMNS))
    assert not any("dx" in column for column in FACTS_COLUMNS)
    for fact, columns in FACTS_SLICES.items():
        assert all(name.startswith(f"{fact}:") for name in FACTS_COLUMNS[columns])
    assert sum(s.stop - s.start for s in FACTS_SLICES.values()) == FACTS_DIM


def test_every_combination_is_as_documented():
    facts = [
        Facts(age, sex, site)
        for age, sex, site in itertools.product(AGES, (None, *SEXES), (None, *SITES))
    ]
    encoded = encode_facts(facts)
    assert encoded.shape == (len(AGES) * 3 * 15, FACTS_DIM)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, [slow_row(known) for known in facts], atol=1e-6)


def test_a_row_by_hand():
    assert by_name(Facts(55, "male", "back")) == pytest.approx(
        {"age:45": 1 / 3, "age:60": 2 / 3, "sex:male": 1, "localization:back": 1}
    )
    assert by_name(Facts(age=101)) == {"age:90": 1}


@pytest.mark.parametrize("nothing", [None, Facts(), Facts(sex="unknown", localization="unknown")])
def test_nothing_known_is_all_zeros(nothing):
    assert by_name(nothing) == {}
    assert nothing is None or not nothing.known


@pytest.mark.parametrize("fact", [{"age": 0}, {"sex": "male"}, {"localization": "ear"}])
def test_one_known_fact_fills_its_own_columns_and_no_others(fact):
    (row,) = encode_facts([Facts(**fact)])
    assert Facts(**fact).known
    assert row[FACTS_SLICES[next(iter(fact))]].sum() == 1
    assert row.sum() == 1


@pytest.mark.parametrize("age", [0, 3, 15, 44.9, 85, 120])
def test_the_columns_of_a_known_age_sum_to_one(age):
    assert sum(by_name(Facts(age)).values()) == pytest.approx(1)


def test_no_facts_at_all_are_no_rows():
    assert encode_facts([]).shape == (0, FACTS_DIM)


def test_numbers_of_numpy_are_numbers():
    assert Facts(np.float32(45)) == Facts(np.int64(45)) == Facts(45.0)


@pytest.mark.parametrize("age", [-1, 121, float("nan"), float("inf"), "55", True])
def test_impossible_ages_are_refused(age):
    with refuses("data_facts.age", max_age=120):
        Facts(age=age)


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        (
            {"sex": "Male"},
            Phrase("data_facts.choice", name="sex", value="Male", allowed=["female", "male"]),
        ),
        ({"sex": ""}, Phrase("data_facts.choice", name="sex", value="")),
        (
            {"localization": "elbow"},
            Phrase(
                "data_facts.choice",
                value="elbow",
                allowed=SITES,
            ),
        ),
    ],
)
def test_other_words_are_refused_with_those_allowed(wrong, allowed):
    with refuses(allowed):
        Facts(**wrong)


def test_a_dict_is_not_facts():
    with refuses("data_facts.not_facts", known="{'age': 55}"):
        encode_facts([{"age": 55}])


class TestColumnsOfOtherModels:
    def test_a_model_is_read_by_its_own_columns(self):
        columns = ["localization:face", "age:40", "age:80", "sex:male"]
        encoded = encode_facts(
            [Facts(70, "male", "back"), Facts(10, None, "face")], columns=columns
        )
        np.testing.assert_allclose(encoded, [[0, 0.25, 0.75, 1], [1, 1, 0, 0]])

    @pytest.mark.parametrize("column", ["weight:70", "sex:other", "age:old", "age:nan", "age", ""])
    def test_a_column_from_the_future_is_named(self, column):
        with refuses("data_facts.column", column=column):
            encode_facts([], columns=["sex:male", column])

    @pytest.mark.parametrize("columns", [["age:60", "age:30"], ["age:30", "age:30"]])
    def test_ages_ascend(self, columns):
        with refuses("data_facts.knots"):
            encode_facts([], columns=columns)


class TestOfADataset:
    def test_rows_become_facts(self, lesions):
        found = facts_of(lesions)
        assert len(found) == len(lesions)
        assert any(known.known for known in found)
        for known, row in zip(found, lesions.remove_columns("image"), strict=True):
            assert (known.age, known.sex) == (row["age"], row["sex"])
            assert known.localization == row["localization"]

    def test_unknown_and_null_are_not_known(self):
        rows = Dataset.from_dict(
            {
                "image_id": ["a", "b"],
                "age": [None, 30.0],
                "sex": ["unknown", None],
                "localization": [None, "unknown"],
            }
        )
        assert facts_of(rows) == [Facts(), Facts(age=30)]

    def test_how_a_diagnosis_was_confirmed_changes_nothing(self, lesions):
        other = ["consensus" if kind == "histo" else "histo" for kind in lesions["dx_type"]]
        changed = lesions.remove_columns("dx_type").add_column("dx_type", other)
        assert facts_of(changed) == facts_of(lesions)

    def test_a_bad_row_is_named(self):
        rows = Dataset.from_dict(
            {
                "image_id": ["a", "b"],
                "age": [1.0, 2.0],
                "sex": ["male", "male"],
                "localization": ["back", "anterior torso"],
            }
        )
        with refuses(
            "tables.row",
            row=1,
            image_id="b",
            reason=Phrase("data_facts.choice", name="localization", value="anterior torso"),
        ):
            facts_of(rows)
