"""What several tests run with, made once: fitted models, a run, and packages as if fetched."""

from pathlib import Path

import pytest

from tests.conftest import MadeOnce
from tests.pipeline import published_pages, toy_packages, two_languages
from tests.pipeline.here import run_here
from tests.pipeline.pages import write_crawl, write_recipe


@pytest.fixture(scope="session")
def published_models(made_once: MadeOnce) -> Path:
    """What the published recipes ask for."""
    return made_once("published-models", published_pages.write_models)


@pytest.fixture(scope="session")
def two_language_models(made_once: MadeOnce) -> Path:
    """What the recipe of `two_languages.py` asks for."""
    return made_once("two-language-models", two_languages.write_models)


@pytest.fixture(scope="session")
def small_run(made_once: MadeOnce) -> Path:
    """`crawl`, `small.toml`, and a run of it, `out`."""
    return made_once(
        "small-run",
        lambda folder: run_here(write_recipe(folder), write_crawl(folder / "crawl")[0].parent, folder / "out"),
    )


@pytest.fixture(scope="session")
def package_cache(made_once: MadeOnce) -> Path:
    """The packages that `refinery fit defaults` and the demo take their texts from."""
    return made_once("package-cache", toy_packages.make_cache)
