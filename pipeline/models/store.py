"""Where models are: the model folder, what each hashes to, and the advice where one is missing.

A model is a file or a folder in the model folder, known by its name there. A recipe's hash covers the sha256 of each
of its models, so it is taken from the bytes (and remembered beside them while size and times stay the same). Nothing
is downloaded or fitted here: a missing model is an error that says which command makes it. No format is pickle.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from infra.errors import UsageError, WorkError
from infra.hashing import sha256_file, sha256_json
from infra.storage import ObjectPath, copy_file, new_folder, read_json, scratch_folder, write_bytes
from infra.user_folders import user_cache, user_folder

# What `refinery fit defaults` makes (pipeline/fit/defaults.py).
DEFAULT_MODELS = (
    "bag-of-words-en.tsv", "bag-of-words-zh.tsv", "benchmarks", "coherence", "coherence-zh", "grade-en.tsv",
    "grade-zh.tsv", "hate-en.tsv", "hate-zh.tsv", "language", "lid.176.ftz", "perplexity-en", "perplexity-zh",
    "prefilter-quality-en.json", "prefilter-quality-zh.json", "properties-en.tsv", "properties-zh.tsv",
    "quality-en.json", "quality-zh.json", "quality.bin", "reference-en.tsv", "reference-zh.tsv", "safety",
    "topics-en.tsv", "topics-zh.tsv", "url-lists",
)  # fmt: skip
REDPAJAMA_LISTS = "redpajama-lists"
CARD = ".card.json"
# Models of other projects that recipes name, as they are called where they come from.
FOREIGN_MODELS = {"dclm-quality.bin": "DCLM's openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin"}


class ResolvedModel(NamedTuple):
    """`place`: where it is; `path`: where it is on this machine, a copy if need be."""

    path: Path
    sha256: str
    place: Path


def model_folder(explicit: str | None) -> Path:
    """The folder named on the command line, else REFINERY_MODELS, else `models` in the user's cache."""
    return user_folder("models", explicit)


def cache_folder(explicit: str | None) -> Path:
    """Where fetched packages are unpacked: the argument, else REFINERY_CACHE, else `packages` in the user's cache."""
    return user_folder("packages", explicit)


@lru_cache(maxsize=256)
def on_this_machine(model: Path) -> Path:
    """The model, or of one in an object store a copy in the user's cache, made once for each version of its files. It
    is looked up once in a process."""
    if not isinstance(model, ObjectPath):
        return model
    files = model_files(model)
    versions = [[name, file.version] for name, file in files.items() if isinstance(file, ObjectPath)]
    final = user_cache() / "fetched-models" / sha256_json([str(model), versions])[:32]
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            with new_folder(final) as folder:
                for name, file in files.items():
                    copy_file(file, folder / model.name if file == model else folder / model.name / name)
        except OSError:
            if not final.exists():  # unless another process has made it meanwhile
                raise
    return final / model.name


@contextmanager
def made_at(final: Path) -> Iterator[Path]:
    """Where on this machine a model is made: at its place, or for one in an object store in a scratch folder, with what
    is at its place now. When the block ends it is put there, file by file, its card last, and read back: WorkError if
    what is there then is not what was made."""
    if not isinstance(final, ObjectPath):
        yield final
        return
    with TemporaryDirectory(dir=scratch_folder()) as scratch:
        here = Path(scratch) / final.name
        before = model_files(final) if final.exists() else {}
        for name, file in before.items():
            copy_file(file, here if file == final else here / name)
        yield here
        made = model_files(here)
        for name, file in made.items():
            there = final if file == here else final / name
            sha256 = sha256_file(file)
            copy_file(file, there)
            if sha256_file(there) != sha256:
                raise WorkError(
                    f"{there} is not as it was made: another process writes it, or the store has damaged it"
                )
        for name in before.keys() - made.keys():
            (final / name).unlink()
        copy_file(here.with_name(f"{here.name}{CARD}"), final.with_name(f"{final.name}{CARD}"))


def shipped_models() -> dict[str, Path]:
    """The models that come with the package, by name: no package has what they were fitted on."""
    folder = Path(str(resources.files("pipeline.models") / "shipped"))
    return {path.name: path for path in sorted(folder.iterdir()) if not path.name.endswith(CARD)}


def at_hand(names: Collection[str], folder: Path) -> dict[str, Path]:
    """Where those of the models are that can be read without fitting any: in `folder`, else in the package."""
    places = {name: on_this_machine(folder / name) for name in names if (folder / name).exists()}
    return {name: path for name, path in shipped_models().items() if name in names} | places


def resolve(names: Sequence[str], folder: Path) -> dict[str, ResolvedModel]:
    """Each model's place and sha256. A name is a path relative to `folder` (an absolute path is itself).

    UsageError for the first, by name, that is not there; it says which command makes it, and others that are missing or
    of an earlier version.
    """
    missing = [name for name in sorted(set(names)) if not (folder / name).exists()]
    if missing:
        raise UsageError(f"model {missing[0]!r} is not in {folder}: {_advice(missing, names, folder)}")
    places = {name: folder / name for name in sorted(set(names))}
    paths = {name: on_this_machine(model) for name, model in places.items()}
    return {name: ResolvedModel(path, model_sha256(path), places[name]) for name, path in paths.items()}


def _advice(missing: Sequence[str], names: Collection[str], folder: Path) -> str:
    """How to come by the first of the models that are missing. A folder that lacks some may be of an earlier version,
    whose other models do not go with them: those of `names` are made again."""
    name = missing[0]
    if name in DEFAULT_MODELS:
        made = sorted({each for each in missing if each in DEFAULT_MODELS}.union(_of_earlier(names, folder)))
        return f"run `refinery fit defaults --models {folder} --only {' '.join(made)}`"
    if name == REDPAJAMA_LISTS:
        return "put bad_words, ut1 or importance into a folder of this name there (docs/models.md)"
    if name in FOREIGN_MODELS:
        return f"get {FOREIGN_MODELS[name]} from its publisher, and put it there under this name"
    if name.startswith("tokenizer"):
        return f"put it there, or run `refinery fit tokenizer --positive TEXTS --out {folder / name}`"
    return f"put it there, or fit it with --out {folder / name} (`refinery fit --help` lists the kinds)"


def _of_earlier(names: Collection[str], folder: Path) -> Iterator[str]:
    """Those of the models that `refinery fit defaults` has put into `folder` and that are not what ships now."""
    for name, shipped in shipped_models().items():
        if name in names and (folder / name).exists():
            card = read_json(folder / f"{name}{CARD}")
            by_default = isinstance(card, dict) and "made_by" in card
            if by_default and (folder / name).read_bytes() != shipped.read_bytes():
                yield name


def model_files(path: Path) -> dict[str, Path]:
    """The files that a model's sha256 covers, by name. Cards and hidden files say nothing about what it computes."""
    if path.is_file():
        return {path.name: path}
    inside = {item.relative_to(path): item for item in sorted(path.rglob("*"))}
    return {
        name.as_posix(): item
        for name, item in inside.items()
        if item.is_file() and not any(part.startswith(".") for part in name.parts) and not name.name.endswith(CARD)
    }


def file_stamps(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Name, size and times of each file of a model: equal as long as it is not written to."""
    stats = {name: file.stat() for name, file in model_files(path).items()}
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats.items())


def model_sha256(path: Path) -> str:
    """Of a file: its own. Of a folder: of its (file name, sha256) pairs. Remembered in `.NAME.sha256` beside it."""
    files = model_files(path)
    if not files:
        raise UsageError(f"model {path} is an empty folder: fit or fetch it again")
    key = {name: stamps for name, *stamps in file_stamps(path)}
    memory = path.with_name(f".{path.name}.sha256")
    known = read_json(memory)
    if isinstance(known, dict) and known.get("key") == key:
        return str(known["sha256"])
    try:
        sums = {name: sha256_file(file) for name, file in files.items()}
    except OSError as error:
        raise UsageError(f"model {path} cannot be read: {error.strerror}") from None
    sha256 = sums[path.name] if path.is_file() else sha256_json(sums)
    try:
        write_bytes(memory, json.dumps({"key": key, "sha256": sha256}).encode())
    except OSError:
        return sha256  # a folder that cannot be written to: it is hashed each time
    return sha256
