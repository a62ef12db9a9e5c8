"""Models that are not in the package: where they lie, what they hash to, and how they are opened.

A model is a file or a folder in the model folder, known by its name there. A recipe's hash covers the sha256 of each
of its models, so it is taken from the bytes (and remembered beside them while size and times stay the same). Nothing
is downloaded or fitted here: a missing model is an error that says which command makes it. No format is pickle.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import xxhash

from filters.ccnet import normalize_for_language_model
from filters.contamination import Hits
from filters.url import UrlLists
from filters.view import View
from filters.wording import quality_words
from infra.errors import UsageError
from infra.hashing import sha256_file, sha256_json
from infra.storage import read_json, write_bytes
from pipeline.fit.fasttext_file import LABEL, load_fasttext, one_line
from pipeline.fit.likeness import load_likeness
from pipeline.fit.quality import GOOD
from pipeline.fit.wording import Wording, load_wording
from pipeline.models.redpajama import load_redpajama
from pipeline.models.scorers import load_coherence, load_contamination, load_safety

# What `refinery fit defaults` makes (pipeline/fit/defaults.py).
DEFAULT_MODELS = (
    "benchmarks", "coherence", "domains", "lid.176.ftz", "likeness-en.json", "perplexity-en", "quality.bin", "safety",
    "url-lists", "wording-en.json",
)  # fmt: skip
# The parts of the models that are folders.
SENTENCEPIECE, LANGUAGE_MODELS = "sentencepiece.model", ("lm.bin", "lm.arpa")
DOMAIN_CLASSIFIER, CALIBRATION = "model.bin", "calibration.json"
HASHED_DOMAINS = "domains.u64"
REDPAJAMA_LISTS = "redpajama-lists"
CARD = ".card.json"

# Language is clear from a page's first characters; the rest would only cost time.
MAX_LANGUAGE_CHARS = 5_000
MAX_SCORED_CHARS = 100_000
# A line longer than this is scored in pieces: SentencePiece's working memory grows with its input.
MAX_LINE_CHARS = 10_000
MAX_PERPLEXITY = 1e9
# Probabilities are rounded to this many digits: what is left does not depend on how a CPU adds floats.
DIGITS = 4
# Published thresholds of quality models have more digits than ours: DCLM's is 0.018112.
QUALITY_DIGITS = 6
# Models of other projects that recipes name, as they are called where they come from.
FOREIGN_MODELS = {"dclm-quality.bin": "DCLM's openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin"}


class ResolvedModel(NamedTuple):
    path: Path
    sha256: str


def model_folder(explicit: str | None) -> Path:
    """The folder named on the command line, else REFINERY_MODELS, else `models` in the user's cache."""
    return _folder(explicit, "REFINERY_MODELS", "models")


def cache_folder(explicit: str | None) -> Path:
    """Where fetched packages are unpacked: the argument, else REFINERY_CACHE, else `packages` in the user's cache."""
    return _folder(explicit, "REFINERY_CACHE", "packages")


def _folder(explicit: str | None, variable: str, name: str) -> Path:
    import platformdirs

    given = explicit or os.environ.get(variable)
    return Path(given).expanduser() if given else platformdirs.user_cache_path("refinery") / name


def resolve(names: Sequence[str], folder: Path) -> dict[str, ResolvedModel]:
    """Each model's place and sha256. A name is a path relative to `folder` (an absolute path is itself).

    UsageError for the first, by name, that is not there; it says which command makes it.
    """
    found = {}
    for name in sorted(set(names)):
        path = folder / name
        if not path.exists():
            raise UsageError(f"model {name!r} is not in {folder}: {_advice(name, folder)}")
        found[name] = ResolvedModel(path, model_sha256(path))
    return found


def _advice(name: str, folder: Path) -> str:
    if name in DEFAULT_MODELS:
        return f"run `refinery fit defaults --models {folder}`"
    if name == REDPAJAMA_LISTS:
        return "put bad_words, ut1 or importance into a folder of this name there (docs/models.md)"
    if name in FOREIGN_MODELS:
        return f"get {FOREIGN_MODELS[name]} from its publisher, and put it there under this name"
    verb = "perplexity|quality|likeness|coherence|safety|benchmarks|domains|tokenizer"
    return f"put it there, or run `refinery fit {verb} --positive TEXTS --out {folder / name}`"


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


def model_sha256(path: Path) -> str:
    """Of a file: its own. Of a folder: of its (file name, sha256) pairs. Remembered in `.NAME.sha256` beside it."""
    files = model_files(path)
    if not files:
        raise UsageError(f"model {path} is an empty folder: fit or fetch it again")
    stats = {name: file.stat() for name, file in files.items()}
    key = {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats.items()}
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


def load_lid(path: Path) -> Callable[[str], tuple[str, float]]:
    """fastText language identification: text → (label, probability), from the first MAX_LANGUAGE_CHARS characters.

    The label is the model's own ("en", "eng_Latn"); a text in which it finds nothing is ("und", 0.0).
    """
    model = load_fasttext(path)

    def identify(text: str) -> tuple[str, float]:
        line = one_line(text, MAX_LANGUAGE_CHARS)
        if line:
            for label, score in zip(*model.predict(line)):
                return label.removeprefix(LABEL), _probability(score)
        return "und", 0.0

    return identify


def _probability(score: float, digits: int = DIGITS) -> float:
    """fastText prints 1.00001, and NaN when it finds no word."""
    return round(min(max(float(score), 0.0), 1.0), digits) if score == score else 0.0


def load_fasttext_scorer(path: Path, label: str | None = None) -> Callable[[str], float]:
    """text → the probability of `label`, from its first MAX_SCORED_CHARS characters.

    Without `label`: `good` (ours, whose texts are reduced to words first), else `hq` (DCLM's, whose texts only lose
    their line ends). UsageError when the model has no such label.
    """
    model = load_fasttext(path)
    has = {name.removeprefix(LABEL) for name in model.labels}
    wanted = next((name for name in ((label,) if label else (GOOD, "hq")) if name in has), None)
    if wanted is None:
        raise UsageError(
            f"{path} has the labels {', '.join(sorted(has)[:5])}, not {label or GOOD}:"
            " use a quality model (`refinery fit quality`)"
        )
    prepare = quality_words if wanted == GOOD else one_line

    def score(text: str) -> float:
        labels, scores = model.predict(prepare(text, MAX_SCORED_CHARS), k=-1)
        found = (value for name, value in zip(labels, scores) if name == LABEL + wanted)
        return _probability(next(found, 0.0), QUALITY_DIGITS)

    return score


def load_perplexity(path: Path) -> Callable[[str], float]:
    """text → perplexity per SentencePiece piece under the model in folder `path` (SENTENCEPIECE, LANGUAGE_MODELS).

    CCNet's formula: 10 ** (-sum of log10 p of the lines / sum of (pieces + 1)), over lines normalised as CCNet does
    (cc_net/perplexity.py). A text without a line is as improbable as can be: MAX_PERPLEXITY, where all values end.
    Beyond MAX_SCORED_CHARS the text is not looked at.
    """
    pieces = load_sentencepiece(path / SENTENCEPIECE)
    model = _load_kenlm(path)

    def perplexity(text: str) -> float:
        total, length = 0.0, 0
        for line in _lines(text):
            words = pieces.encode(line, out_type=str)
            if words:
                total += model.score(" ".join(words))
                length += len(words) + 1
        return round(min(10.0 ** min(-total / length, 9.0), MAX_PERPLEXITY), DIGITS) if length else MAX_PERPLEXITY

    return perplexity


def _lines(text: str) -> Iterator[str]:
    clean = text[:MAX_SCORED_CHARS].encode("utf-8", "replace").decode()
    for line in clean.split("\n"):
        for start in range(0, len(line), MAX_LINE_CHARS):
            yield normalize_for_language_model(line[start : start + MAX_LINE_CHARS])


def load_sentencepiece(path: Path) -> Any:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError):
        raise UsageError(f"{path} is not a SentencePiece model: fit or fetch it again") from None


def _load_kenlm(folder: Path) -> Any:
    import kenlm

    path = next((folder / name for name in LANGUAGE_MODELS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} holds neither {' nor '.join(LANGUAGE_MODELS)}: run `refinery fit perplexity`")
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{path} is not a KenLM model: {str(error).splitlines()[0][:200]}") from None


def load_domains(path: Path) -> Callable[[str], tuple[str, dict[str, float]]]:
    """text → (most probable domain, calibrated probability of each domain), by the model in folder `path`."""
    from mixers.domains import DOMAINS, label

    model = load_fasttext(path / DOMAIN_CLASSIFIER)
    calibration = read_json(path / CALIBRATION)
    if not isinstance(calibration, dict) or not isinstance(calibration.get("temperature"), float | int):
        raise UsageError(f"{path / CALIBRATION} holds no temperature: run `refinery fit domains` again")
    temperature = float(calibration["temperature"])

    def classify(text: str) -> tuple[str, dict[str, float]]:
        labels, scores = model.predict(quality_words(text, MAX_SCORED_CHARS), k=-1)
        found = label([labels], [scores], temperature)
        values = (round(float(value), DIGITS) for value in found.probabilities_ND[0])
        return found.domain[0], dict(zip(DOMAINS, values))

    return classify


class HashedHosts(Collection[str]):
    """A set of host names as their sorted 64-bit hashes (xxh3), mapped from a file: 4.6 million in 36 MB that all
    processes share. A name that is not in it passes for one that is with probability n / 2**64 (2.5e-13)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size % 8:
            raise UsageError(f"{path} is no list of hashes: run `refinery fit defaults` again")

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        return np.memmap(self.path, np.dtype("<u8"), "r") if self.path.stat().st_size else np.empty(0, np.uint64)

    def __contains__(self, host: object) -> bool:
        value = np.uint64(xxhash.xxh3_64_intdigest(str(host).encode("utf-8", "replace")))
        at = int(self._hashes.searchsorted(value))
        return at < len(self._hashes) and bool(self._hashes[at] == value)

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("hashed host names cannot be listed")


def load_url_lists(path: Path) -> UrlLists:
    """The lists in folder `path`: any of domains.txt (or HASHED_DOMAINS), urls.txt, strict.txt, hard.txt, soft.txt,
    curated.txt, one entry a line. UsageError when none is there."""
    names = ("domains", "urls", "strict", "hard", "soft", "curated")
    files = {name: path / f"{name}.txt" for name in names if (path / f"{name}.txt").is_file()}
    hashed = path / HASHED_DOMAINS
    if not files and not hashed.is_file():
        raise UsageError(f"{path} holds no URL list ({', '.join(names)} with .txt): run `refinery fit defaults`")
    try:
        lists = UrlLists.of(**{name: file.read_text("utf-8").split("\n") for name, file in files.items()})
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"a URL list in {path} cannot be read as UTF-8: {error}") from None
    if hashed.is_file() and "domains" not in files:
        from dataclasses import replace

        return replace(lists, domains=HashedHosts(hashed))
    return lists


class LoadedModels:
    """The models of a recipe, by name, each opened at its first use."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = {name: Path(place) for name, place in places.items()}
        self._open: dict[str, Any] = {}

    def language(self, model: str) -> Callable[[str], tuple[str, float]]:
        return cast("Callable[[str], tuple[str, float]]", self._get(model, load_lid))

    def scorer(self, model: str) -> Callable[[str], float]:
        """A folder is a perplexity model, a JSON file a table of words, any other file a fastText classifier."""
        if self._is_table(model):
            return self._table(model).score
        load = load_perplexity if self._places[model].is_dir() else load_fasttext_scorer
        return cast("Callable[[str], float]", self._get(model, load))

    def wording(self, model: str) -> Callable[[Mapping[str, int]], float] | None:
        """None for a model that is no table of words: it scores texts, as any other `scorer`."""
        return self._table(model).score_counts if self._is_table(model) else None

    def likeness(self, model: str) -> Callable[[Mapping[str, int]], float]:
        return cast("Callable[[Mapping[str, int]], float]", self._get(model, load_likeness))

    def domain(self, model: str) -> Callable[[str], tuple[str, dict[str, float]]]:
        return cast("Callable[[str], tuple[str, dict[str, float]]]", self._get(model, load_domains))

    def coherence(self, model: str) -> Callable[[str, str | None], float | None]:
        return cast("Callable[[str, str | None], float | None]", self._get(model, load_coherence))

    def safety(self, model: str) -> Callable[[str, str | None], float | None]:
        return cast("Callable[[str, str | None], float | None]", self._get(model, load_safety))

    def contamination(self, model: str) -> Callable[[str], Hits]:
        return cast("Callable[[str], Hits]", self._get(model, load_contamination))

    def redpajama(self, model: str) -> Callable[[View], Mapping[str, float | None]]:
        return cast("Callable[[View], Mapping[str, float | None]]", self._get(model, load_redpajama))

    def _is_table(self, model: str) -> bool:
        place = self._places[model]
        return place.suffix == ".json" and not place.is_dir()

    def _table(self, model: str) -> Wording:
        return cast("Wording", self._get(model, load_wording))

    def _get(self, model: str, load: Callable[[Path], Any]) -> Any:
        if model not in self._open:
            self._open[model] = load(self._places[model])
        return self._open[model]
