"""Which past cases a visitor asks for: the menus that are offered, and the filter they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermsim.core.refused import Refused
from dermsim.ui.cards import fact_word
from dermsim.ui.i18n import number

if TYPE_CHECKING:
    from dermsim.tasks.retrieve import CaseTable

AGES = (0, 100)
"""Range of the two sliders, in years. All of it asks for no age at all, not even a known one."""

MENUS = ("dx", "localization", "sex", "dx_type")
"""The facts that are chosen from menus; ``facts.<fact>`` is what a menu is called."""

Offer = list[tuple[str, str]]
"""What a menu offers: text and value of each line."""


def offers(records: CaseTable, *, language: str = "en") -> dict[str, Offer]:
    """Return what each of `MENUS` offers for these cases, the commonest first, with counts."""
    return {
        fact: [
            (
                f"{fact_word(fact, value, language)} ({number(count, language=language)})",
                value,
            )
            for value, count in Counter(filter(None, records.values(fact))).most_common()
        ]
        for fact in MENUS
    }


def where(
    chosen: Sequence[Sequence[str] | None], youngest: float, oldest: float
) -> dict[str, object]:
    """Make the filter that `Gallery.search` takes.

    Args:
        chosen: Per fact in `MENUS` the values that are asked for; none asks for all.
        youngest: Lowest age in years.
        oldest: Highest age in years.

    Raises:
        ValueError: If there are not as many choices as menus, or no age is left.
    """
    if len(chosen) != len(MENUS):
        raise Refused(
            "filters.choices", chosen_count=len(chosen), menus_count=len(MENUS), menus=list(MENUS)
        )
    wanted: dict[str, object] = {
        fact: list(values) for fact, values in zip(MENUS, chosen, strict=True) if values
    }
    for age in (youngest, oldest):
        if not isinstance(age, int | float) or not AGES[0] <= age <= AGES[1]:
            raise Refused("filters.age", age=age, least=AGES[0], most=AGES[1])
    if youngest > oldest:
        raise Refused("filters.no_age", youngest=youngest, oldest=oldest)
    if (youngest, oldest) != AGES:
        wanted["age"] = (youngest, oldest)
    return wanted
