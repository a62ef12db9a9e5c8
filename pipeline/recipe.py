"""Recipes: ordered stages of steps, read from TOML into frozen data, and hashed with their models.

A recipe says *what* happens; one interpreter (`pipeline/interpreter.py`) says how. Every word is checked when the
file is read: an unknown stage, step, signal, edit or option is a UsageError that names the place.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
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
    "quality": "probability of good text by the quality model, 0 to 1 (label step)",
    "perplexity": "KenLM perplexity per token (label step)",
    "noindex": "1 if the page asks not to be indexed (record)",
    "noai": "1 if the page asks not to be used for training (record)",
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
    """Body to text: the engine by name, its options, and the limits of the page sandbox."""

    name: str
    engine: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Label:
    """A model's word on a document: `language` (with the labels to keep), `quality`, `perplexity` or `domain`."""

    name: str
    what: Literal["language", "quality", "perplexity", "domain"]
    model: str
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """A block of rules on signals; the ledger gets every one that fails. `languages`: whom it judges (none: all)."""

    name: str
    rules: tuple[RecipeRule, ...]
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rewrite:
    """An edit of the text, by name."""

    name: str
    edit: str


@dataclass(frozen=True)
class Dedup:
    """Removal of copies over the whole pool: `url`, `text`, `minhash` or `paragraphs`."""

    name: str
    method: Literal["url", "text", "minhash", "paragraphs"]
    options: Mapping[str, Any] = field(default_factory=dict)


Step = Gate | Extract | Label | Judge | Rewrite | Dedup
STEPS: dict[str, type[Any]] = {
    "gate": Gate, "extract": Extract, "label": Label, "judge": Judge, "rewrite": Rewrite, "dedup": Dedup,
}  # fmt: skip
ALLOWED: dict[str, tuple[type[Any], ...]] = {
    "ingest": (),
    "extract": (Gate, Extract),
    "filter": (Label, Judge, Rewrite),
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
            if name:
                yield name
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
    _only(source, {"name", "about", "stage"}, place)
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
    if verb == "extract" and sum(isinstance(step, Extract) for step in steps) != 1:
        raise UsageError(f"{place} ({name}): an extract stage needs exactly one extract step")
    options = {key: value for key, value in source.items() if key not in ("name", "verb", "step")}
    return Stage(name, verb, steps, options)


def _step(source: Mapping[str, Any], place: str) -> Step:
    kind = source.get("kind")
    if kind not in STEPS:
        raise UsageError(f"{place}: kind is {kind!r}, not one of {', '.join(STEPS)}")
    made = STEPS[kind]
    fields = made.__dataclass_fields__
    _only(source, {"kind", *fields}, place)
    values: dict[str, Any] = {key: value for key, value in source.items() if key != "kind"}
    values.setdefault("name", values.get("what") or values.get("edit") or values.get("method") or kind)
    if "rules" in fields:
        known = {*SIGNALS, *STEP_SIGNALS} if made is Judge else None
        values["rules"] = tuple(_rule(rule, place, known) for rule in source.get("rules", []))
    for key in ("keep", "languages"):
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


def _only(source: Mapping[str, Any], allowed: set[str], place: str) -> None:
    for key in source:
        if key not in allowed:
            raise UsageError(f"{place}: unknown word {key!r}; allowed are {', '.join(sorted(allowed))}")
