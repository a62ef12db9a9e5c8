"""Recipes: ordered stages of steps, read from TOML into frozen data, and hashed with their models.

A recipe says *what* happens; one interpreter (`pipeline/interpreter.py`) says how. Every word is checked when the
file is read: an unknown stage, step, signal, edit or option is a UsageError that names the place.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from filters.catalog import EDITS, SIGNALS
from filters.rules import Rule
from infra.canon import sha256_json
from infra.errors import UsageError
from infra.manifest import RecipeRef

Verb = Literal["ingest", "extract", "filter", "dedup", "mix", "tokenize"]
VERBS: tuple[str, ...] = get_args(Verb)

# Signals that are not measured on the text: set by the steps themselves before a judge asks for them.
STEP_SIGNALS = {
    "language_score": "fastText's probability of the label, 0 to 1 (label step)",
    "quality": "how good the text is to learn from, 0 to 1, higher is better (label or combine step)",
    "wording": "probability that a page is worded like good pages, 0 to 1, higher is better (label step)",
    "perplexity": "KenLM perplexity per token (label step)",
    "coherence": "whether the sentences hold together, 0 to 1, higher is better (label step)",
    "safety": "probability that the text is harmless, 0 to 1 (label step)",
    "contamination": "share of the words inside runs of words that a benchmark has too, 0 to 1 (label step)",
    "cluster_score": "mean quality of the document's cluster of the pool, 0 to 1 (pool step)",
    "cluster": "the number of the document's cluster (pool step)",
    "control": "1 if the page is of the control sample, which no quick look rejects (extract stage)",
    "quick_rejected": "how many rules of the quick look the page failed (extract stage)",
    "noindex": "1 if the page asks not to be indexed (X-Robots-Tag; after extraction also its robots meta element)",
    "noai": "1 if the page asks not to be trained on (X-Robots-Tag; after extraction also its robots meta element)",
}


@dataclass(frozen=True)
class RecipeRule:
    """A rule, and the languages it speaks of (none: all)."""

    rule: Rule
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """Rules on what is known before the body is read: the address and the headers."""

    name: str
    rules: tuple[RecipeRule, ...]
    lists: str | None = None


@dataclass(frozen=True)
class Extract:
    """Body to text: the engine by name, its options, and the limits of the page sandbox.

    A stage may look at a page quickly before it extracts it: the steps after one extract step see its text, and only
    what they pass reaches the next, dearer one. The last extract step of a stage gives the document its text.
    `declared`: a page whose html element says that it is in another language than these is not parsed at all.
    """

    name: str
    engine: str
    options: Mapping[str, Any] = field(default_factory=dict)
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Label:
    """A model's word on a document: `language` (with the labels to keep), `domain`, or a signal of that name.

    `characters`: how many, from the middle of the text, the language is told by; unless given, its beginning is.
    """

    name: str
    what: Literal["language", "quality", "wording", "perplexity", "domain", "coherence", "safety", "contamination"]
    model: str
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    characters: int | None = None


@dataclass(frozen=True)
class Judge:
    """A block of rules on signals; the ledger gets every one that fails. `languages`: whom it judges (none: all)."""

    name: str
    rules: tuple[RecipeRule, ...]
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """What one signal adds to a combination: `add[i]` at the value `at[i]`, a straight line between, flat outside.

    A signal that is not measured adds `missing`.
    """

    signal: str
    at: tuple[float, ...]
    add: tuple[float, ...]
    missing: float = 0.0


@dataclass(frozen=True)
class Combine:
    """A new signal from measured ones: the logistic function of `intercept` plus every term. Readable numbers, fitted
    by `refinery fit combination`. `languages`: whom it speaks of (none: all)."""

    name: str
    signal: str
    terms: tuple[Term, ...]
    intercept: float = 0.0
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """A rule that looks at the whole pool: `quantile` (a signal against a percentile of the pool, by language) or
    `clusters` (documents clustered by meaning, the worst clusters dropped). Alone in its stage."""

    name: str
    method: Literal["quantile", "clusters"]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewrite:
    """An edit of the text, by name."""

    name: str
    edit: str


@dataclass(frozen=True)
class Dedup:
    """Removal of copies over the whole pool: `payload` (of records, by their bytes), `url`, `text`, `minhash`, or of
    parts of documents: `paragraphs`, `substring`."""

    name: str
    method: Literal["payload", "url", "text", "minhash", "paragraphs", "substring"]
    options: Mapping[str, Any] = field(default_factory=dict)


Step = Gate | Extract | Label | Judge | Combine | Rewrite | Pool | Dedup
STEPS: dict[str, type[Any]] = {
    "gate": Gate, "extract": Extract, "label": Label, "judge": Judge, "combine": Combine, "rewrite": Rewrite,
    "pool": Pool, "dedup": Dedup,
}  # fmt: skip
ALLOWED: dict[str, tuple[type[Any], ...]] = {
    "ingest": (),
    "extract": (Gate, Extract, Label, Judge, Combine),
    "filter": (Label, Judge, Combine, Rewrite, Pool),
    "dedup": (Dedup,),
    "mix": (Label,),
    "tokenize": (),
}


@dataclass(frozen=True)
class Stage:
    """One dataset of the recipe: a verb with its steps and options."""

    name: str
    verb: Verb
    steps: tuple[Step, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def models(self) -> Iterator[str]:
        for step in self.steps:
            name = step.lists if isinstance(step, Gate) else getattr(step, "model", None)
            if isinstance(step, Pool):
                name = step.options.get("model")
            if name:
                yield str(name)
        if "tokenizer" in self.options:
            yield str(self.options["tokenizer"])


@dataclass(frozen=True)
class Recipe:
    """`source`: the parsed TOML, which the hash covers together with the sha256 of every model."""

    name: str
    about: str
    stages: tuple[Stage, ...]
    source: Mapping[str, Any]
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return sha256_json({"stages": self.source["stage"], "models": dict(self.models)})

    @property
    def ref(self) -> RecipeRef:
        return RecipeRef(self.name, self.sha256)

    def prefix(self, length: int) -> "Recipe":
        """The first `length` stages as a recipe of their own: equal for two recipes that begin alike."""
        stages = self.stages[:length]
        used = {name for stage in stages for name in stage.models()}
        models = {name: sha256 for name, sha256 in self.models.items() if name in used}
        return Recipe("shared", "", stages, {"stage": list(self.source["stage"][:length])}, models)

    def frozen(self) -> dict[str, Any]:
        """The recipe as a run keeps it: its text as data, its models by sha256."""
        return {"name": self.name, "sha256": self.sha256, "models": dict(self.models), "source": dict(self.source)}

    def model_names(self) -> list[str]:
        return sorted({name for stage in self.stages for name in stage.models()})

    def with_models(self, sha256s: Mapping[str, str]) -> "Recipe":
        """The recipe with its models known: only now has it the hash that goes into manifests."""
        assert set(sha256s) == set(self.model_names())
        return Recipe(self.name, self.about, self.stages, self.source, dict(sha256s))

    def stage(self, verb: str, name: str | None) -> Stage:
        """The stage that a per-stage command means; UsageError when the recipe has none, or several."""
        found = [stage for stage in self.stages if stage.verb == verb and name in (None, stage.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(stage.name for stage in self.stages if stage.verb == verb)
        if not found and name is None:
            raise UsageError(f"recipe {self.name!r} has no {verb} stage")
        if not found:
            raise UsageError(f"recipe {self.name!r} has no {verb} stage called {name!r}: it has {names or 'none'}")
        raise UsageError(f"recipe {self.name!r} has several {verb} stages ({names}): choose one with --stage")


def shipped() -> list[str]:
    """The names of the recipes that come with the package."""
    folder = resources.files("pipeline.recipes")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_recipe(name_or_file: str) -> Recipe:
    """A shipped recipe by name, or any TOML file by path."""
    path = Path(name_or_file)
    if name_or_file in shipped():
        content = (resources.files("pipeline.recipes") / f"{name_or_file}.toml").read_bytes()
    elif path.suffix == ".toml":
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"recipe file {path} cannot be read: {error.strerror}") from None
    else:
        raise UsageError(f"no recipe {name_or_file!r}: choose one of {', '.join(shipped())}, or a .toml file")
    try:
        return parse_recipe(tomllib.loads(content.decode()), name_or_file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {name_or_file} is not TOML: {error}") from None


def parse_recipe(source: Mapping[str, Any], place: str) -> Recipe:
    """The recipe in a parsed TOML document; `place` names it in messages."""
    _only(source, {"name", "about", "stage", "calibration"}, place)
    stages = tuple(_stage(stage, f"{place}: stage {index + 1}") for index, stage in enumerate(source.get("stage", [])))
    names = [stage.name for stage in stages]
    if not stages:
        raise UsageError(f"{place}: a recipe needs at least one [[stage]]")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{place}: two stages are called {name!r}")
    return Recipe(str(source.get("name", place)), str(source.get("about", "")), stages, source)


def _stage(source: Mapping[str, Any], place: str) -> Stage:
    verb = source.get("verb")
    if verb not in VERBS:
        raise UsageError(f"{place}: verb is {verb!r}, not one of {', '.join(VERBS)}")
    name = str(source.get("name", verb))
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{place}: the name {name!r} would not do as a folder's name")
    steps = tuple(_step(step, f"{place} ({name}), step {i + 1}") for i, step in enumerate(source.get("step", [])))
    for step in steps:
        if not isinstance(step, ALLOWED[verb]):
            allowed = ", ".join(kind.__name__.lower() for kind in ALLOWED[verb]) or "no step"
            raise UsageError(f"{place} ({name}): {verb} takes {allowed}, not {type(step).__name__.lower()}")
    _check_order(verb, steps, f"{place} ({name})")
    options = {key: value for key, value in source.items() if key not in ("name", "verb", "step")}
    return Stage(name, verb, steps, options)


def _check_order(verb: str, steps: tuple[Step, ...], place: str) -> None:
    if verb == "extract" and not (steps and isinstance(steps[-1], Extract)):
        raise UsageError(f"{place}: the last step of an extract stage must be an extract step")
    seen = False
    for step in steps:
        if verb == "extract" and not seen and isinstance(step, Label | Judge | Combine):
            raise UsageError(f"{place}: {step.name!r} needs a text: put an extract step before it")
        seen = seen or isinstance(step, Extract)
    if any(isinstance(step, Pool) for step in steps) and len(steps) > 1:
        raise UsageError(f"{place}: a pool step must be alone in its stage")
    names = [step.name for step in steps]
    for name in names:
        if verb == "extract" and names.count(name) > 1:
            raise UsageError(f"{place}: two steps are called {name!r}: give one another name")


def _step(source: Mapping[str, Any], place: str) -> Step:
    kind = source.get("kind")
    if kind not in STEPS:
        raise UsageError(f"{place}: kind is {kind!r}, not one of {', '.join(STEPS)}")
    made = STEPS[kind]
    fields = made.__dataclass_fields__
    _only(source, {"kind", *fields}, place)
    values: dict[str, Any] = {key: value for key, value in source.items() if key != "kind"}
    names = (values.get(key) for key in ("what", "edit", "method", "signal"))
    values.setdefault("name", next((name for name in names if name), kind))
    if made is Combine:
        values["terms"] = tuple(_term(term, place) for term in source.get("terms", []))
        if values.get("signal") not in STEP_SIGNALS:
            raise UsageError(
                f"{place}: a combination sets one of {', '.join(STEP_SIGNALS)}, not {values.get('signal')!r}"
            )
    if "rules" in fields:
        known = {*SIGNALS, *STEP_SIGNALS} if made is Judge else None
        values["rules"] = tuple(_rule(rule, place, known) for rule in source.get("rules", []))
    characters = values.get("characters", 1)
    if type(characters) is not int or characters < 1 or ("characters" in values and values.get("what") != "language"):
        raise UsageError(f"{place}: characters must be a number from 1, of a step that labels the language")
    for key in ("keep", "languages", "declared"):
        if key in values:
            if not isinstance(values[key], list) or not all(isinstance(word, str) for word in values[key]):
                raise UsageError(f"{place}: {key} must be a list of words, not {values[key]!r}")
            values[key] = tuple(values[key])
    for key in ("what", "method"):
        if key in fields and values.get(key) not in get_args(fields[key].type):
            raise UsageError(
                f"{place}: {key} is {values.get(key)!r}, not one of {', '.join(get_args(fields[key].type))}"
            )
    if made is Rewrite and values.get("edit") not in EDITS:
        raise UsageError(f"{place}: no edit {values.get('edit')!r}: there are {', '.join(sorted(EDITS))}")
    try:
        return made(**values)  # type: ignore[no-any-return]
    except TypeError as error:
        raise UsageError(f"{place}: {str(error).split('__init__() ')[-1]}") from None


def _rule(source: Mapping[str, Any], place: str, known: set[str] | None) -> RecipeRule:
    """`{signal = "words", min = 50, source = "..."}`; `max` likewise; `languages` optional."""
    _only(source, {"signal", "min", "max", "source", "languages"}, f"{place}: rule {dict(source)}")
    bounds = [bound for bound in ("min", "max") if bound in source]
    if "signal" not in source or len(bounds) != 1:
        raise UsageError(f"{place}: rule {dict(source)} needs a signal and one of min, max")
    signal, threshold = source["signal"], source[bounds[0]]
    if known is not None and signal not in known:
        raise UsageError(f"{place}: no signal {signal!r}; `refinery recipes signals` lists them")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise UsageError(f"{place}: the threshold of {signal!r} must be a number, not {threshold!r}")
    bound: Literal["min", "max"] = "min" if bounds[0] == "min" else "max"
    rule = Rule(signal, bound, float(threshold), str(source.get("source", "")))
    return RecipeRule(rule, tuple(source.get("languages", ())))


def _term(source: Mapping[str, Any], place: str) -> Term:
    """`{signal = "words", at = [50, 300], add = [-1.5, 0.4], missing = 0.0}`."""
    here = f"{place}: term {source.get('signal')!r}"
    _only(source, {"signal", "at", "add", "missing"}, here)
    if source.get("signal") not in {*SIGNALS, *STEP_SIGNALS}:
        raise UsageError(f"{here}: no such signal; `refinery recipes signals` lists them")
    at, add = source.get("at"), source.get("add")
    numbers = [*at, *add, source.get("missing", 0.0)] if isinstance(at, list) and isinstance(add, list) else [None]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and isfinite(each) for each in numbers):
        raise UsageError(f"{here}: at and add must be lists of numbers")
    if len(at) != len(add) or not at or list(at) != sorted(set(at)):  # type: ignore[arg-type]
        raise UsageError(f"{here}: at must rise, and add must have as many numbers as at")
    at, add = tuple(map(float, at)), tuple(map(float, add))  # type: ignore[arg-type]
    return Term(source["signal"], at, add, float(source.get("missing", 0.0)))


def _only(source: Mapping[str, Any], allowed: set[str], place: str) -> None:
    for key in source:
        if key not in allowed:
            raise UsageError(f"{place}: unknown word {key!r}; allowed are {', '.join(sorted(allowed))}")
