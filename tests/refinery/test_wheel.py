"""What is installed is whole: sdist and wheel are built, and the wheel is used from a folder outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.files import PACKAGES, ROOT, checkout
from tests.pipeline.pages import write_crawl

CLUSTER_FILES = ("Dockerfile", "ray.yaml", "rayjob.yaml", "setup.sh", "slurm.sh")
# Of a checkout alone.
LEFT_OUT = {"infra/demo.sh", *(f"infra/cluster/{name}" for name in CLUSTER_FILES)}
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
README_EXAMPLE = re.search(r"## From Python\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def execute(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command that knows nothing of the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REFINERY"))}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def build(kind: str, source: Path, to: Path) -> Path:
    """`build_sdist` or `build_wheel` of the tree `source`."""
    return to / execute(sys.executable, "-c", BUILD, kind, to, cwd=source).stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    checkout(folder / "tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    return build("build_sdist", folder / "tree", folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, which therefore has all that a build needs."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build("build_wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the libraries are those of the environment that the tests run in."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    execute(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent)
    words = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    execute(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", *words, cwd=wheel.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    # as a path, so that the checkout's own .pth file, which is in it, is not read
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    names = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == names - LEFT_OUT


def test_help_and_version(installed: Path, tmp_path: Path) -> None:
    assert "Run every stage of a recipe." in execute(installed / "refinery", "--help", cwd=tmp_path).stdout
    version = execute(installed / "refinery", "--version", cwd=tmp_path).stdout
    assert version == execute(installed / "python", "-m", "refinery", "--version", cwd=tmp_path).stdout
    where = execute(installed / "python", "-c", "import refinery; print(refinery.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(installed.parent))


def test_an_extraction_and_its_report(installed: Path, tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    words = ("run", "--recipe", "extract", "--input", "crawl", "--out", "out")
    assert "extract  extract    40" in execute(installed / "refinery", *words, cwd=tmp_path).stdout
    execute(installed / "refinery", "report", "--run", "out", cwd=tmp_path)
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_what_is_found_by_name_is_there(installed: Path, tmp_path: Path) -> None:
    listed = execute(installed / "refinery", "recipes", "list", cwd=tmp_path).stdout
    assert {"yi", "falcon", "extract"} <= {line.split()[0] for line in listed.splitlines()}
    words = ("train", "--data", "x", "--out", "y", "--config", "nameless")
    assert (
        "one of base, small, tiny, yi-lightning-like"
        in execute(installed / "refinery", *words, cwd=tmp_path, code=2).stderr
    )


def test_the_readmes_example(installed: Path, tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=1)
    assert README_EXAMPLE
    (tmp_path / "example.py").write_text(README_EXAMPLE[1])
    printed = execute(installed / "python", "example.py", cwd=tmp_path).stdout
    assert "http://host0.example/0" in printed


@pytest.mark.long
def test_the_core_alone_from_the_index(wheel: Path, tmp_path: Path) -> None:
    """A real install, without the extras: needs pip's index."""
    execute(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    constraint = ("--constraint", ROOT / "requirements.lock")
    execute(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *constraint, wheel, cwd=tmp_path)
    listed = execute(python, "-m", "pip", "list", "--format", "freeze", cwd=tmp_path).stdout.lower()
    assert not re.search(r"^(torch|ray|apache-beam|pandas)==", listed, re.MULTILINE)
    write_crawl(tmp_path / "crawl", files=1)
    refinery = tmp_path / "venv" / "bin" / "refinery"
    for recipe in ("exact", "minhash"):
        execute(refinery, "run", "--recipe", recipe, "--input", "crawl", "--out", recipe, cwd=tmp_path)
    words = ("run", "--recipe", "exact", "--input", "crawl", "--out", "ray", "--engine", "ray")
    assert "pip install 'refinery[ray]'" in execute(refinery, *words, cwd=tmp_path, code=2).stderr
