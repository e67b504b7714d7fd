import logging
import warnings

from dermsim.core.discretion import be_discreet


def test_a_warning_does_not_name_a_visitors_picture(caplog):
    with warnings.catch_warnings():  # which puts back how warnings are shown
        be_discreet()
        with caplog.at_level(logging.WARNING, "dermsim.errors"):
            warnings.simplefilter("always")
            warnings.warn("Jane-Doe.jpg lacks its end marker", stacklevel=1)
    assert caplog.messages and "Jane" not in caplog.text
    assert caplog.messages[0].startswith("UserWarning at test_discretion.py:")
