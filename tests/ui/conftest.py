"""What the tests of the page share."""

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def close() -> Callable:
    """Close a served page, whoever is still listening to it."""

    def close_app(app) -> None:
        try:
            app.close()
        except RuntimeError as error:
            # Gradio sets its event of stopping from this thread while its own loop may be going
            # through the listeners; the event is set by then, and a second call does the rest.
            if "mutated during iteration" not in str(error):
                raise
            app.close()

    return close_app
