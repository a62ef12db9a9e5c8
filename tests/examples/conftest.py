"""The world in which examples are typed, made once, and copies of it."""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fit import defaults
from tests.commoncrawl.bucket import write_bucket
from tests.commoncrawl.server import serve
from tests.conftest import MadeOnce
from tests.examples.world import write_world
from tests.files import ROOT
from tests.pipeline import toy_packages
from tests.trainer.conftest import toml_text
from trainer.start import config_file

TINY = ROOT / "trainer/configs/tiny.toml"


@pytest.fixture(scope="session")
def package_cache(made_once: MadeOnce) -> Path:
    """The packages that `refinery fit defaults` takes its texts from, as if fetched."""
    return made_once("package-cache", toy_packages.make_cache)


@pytest.fixture(scope="session")
def world(made_once: MadeOnce, package_cache: Path) -> Path:
    return made_once("examples-world", lambda folder: write_world(folder, package_cache))


@pytest.fixture(scope="session")
def bucket(made_once: MadeOnce) -> Path:
    """Snapshots as Common Crawl has them."""
    return made_once("examples-bucket", lambda folder: write_bucket(folder, each=6))


@pytest.fixture
def folder(
    world: Path, package_cache: Path, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the world. Its models are those of the user, whose terminal is narrow, and who asks a source on
    loopback for snapshots."""
    copy = shutil.copytree(world, tmp_path / "world")
    monkeypatch.setenv("REFINERY_MODELS", str(copy / "models"))
    monkeypatch.setenv("REFINERY_CACHE", str(package_cache))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(defaults, "VOCABULARY", 120)
    with serve(bucket) as source:
        monkeypatch.setenv("REFINERY_SOURCE", source.url)
        yield copy


@pytest.fixture
def few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` with a handful of short steps in place of its 400."""
    body = tomllib.loads(TINY.read_text())
    body["data"] |= {"sequence_length": 32, "global_batch_size": 2}
    body["schedule"] |= {"warmup_steps": 1, "trunk_steps": 3, "decay_steps": 2}
    short = tmp_path / "tiny.toml"
    short.write_text(toml_text(body))
    for place in ("pipeline.cli.train", "refinery.training"):
        monkeypatch.setattr(f"{place}.config_file", lambda name: short if name == "tiny" else config_file(name))
