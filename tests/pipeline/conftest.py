"""The models that the tests of recipes run with, fitted once."""

from pathlib import Path

import pytest

from tests.conftest import MadeOnce
from tests.pipeline import published_pages, two_languages


@pytest.fixture(scope="session")
def published_models(made_once: MadeOnce) -> Path:
    """What the published recipes ask for."""
    return made_once("published-models", published_pages.write_models)


@pytest.fixture(scope="session")
def two_language_models(made_once: MadeOnce) -> Path:
    """What the recipe of `two_languages.py` asks for."""
    return made_once("two-language-models", two_languages.write_models)
