"""Cases as cards: what is known of them, in words."""

import pytest

from dermsim.core.language import LANGUAGES
from dermsim.ui.cards import fact_word
from dermsim.ui.i18n import say


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fact_is_said_in_the_visitors_language(language):
    said = say("facts.localization_lower_extremity", language)
    assert fact_word("localization", "lower extremity", language) == said
    assert fact_word("localization", "unknown", language) == say("report.unknown", language)


def test_a_value_of_another_data_set_stays_as_it_is():
    assert fact_word("localization", "left knee", "de") == "left knee"
