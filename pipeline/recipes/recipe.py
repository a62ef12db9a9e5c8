"""Recipes: ordered stages of steps as frozen data, hashed with their models.

A recipe says *what* happens; `pipeline/recipes/parse.py` reads it from TOML, one interpreter
(`pipeline/steps/interpreter.py`) says how it is done.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from filters.redpajama import LISTED
from filters.rules import Rule
from infra.dataset.manifest import Kind, RecipeRef
from infra.errors import UsageError
from infra.hashing import sha256_json

Verb = Literal["ingest", "extract", "filter", "dedup", "mix", "tokenize"]
VERBS: tuple[str, ...] = get_args(Verb)

# Signals that are not measured on the text: set by the steps themselves before a judge asks for them.
STEP_SIGNALS = {
    "language_score": "fastText's probability of the label, 0 to 1 (label step)",
    "quality": "how good the text is to learn from, 0 to 1, higher is better (label or combine step)",
    "wording": "probability that a page is worded like good pages, 0 to 1, higher is better (label step)",
    "likeness": "how much a page is worded like clean texts of a kind that must survive, 0 to 1, higher is better; "
    "at 0.5 one page in 2,000 is as much like that kind (label step)",
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
    **{name: f"{signal.doc} (label step `redpajama`)" for name, signal in LISTED.items()},
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
    """A model's word on a document: `language` (with the labels to keep), `domain`, `redpajama` (its signals that need
    lists), or a signal of that name.

    `characters`: how many, from the middle of the text, the language is told by; unless given, its beginning is.
    """

    name: str
    what: Literal[
        "language",
        "quality",
        "wording",
        "likeness",
        "perplexity",
        "domain",
        "coherence",
        "safety",
        "contamination",
        "redpajama",
    ]
    model: str
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    characters: int | None = None

    @property
    def sets(self) -> frozenset[str]:
        """The signals that it sets, or `language`, or `domain`."""
        return frozenset(LISTED) if self.what == "redpajama" else frozenset((self.what,))


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
    by `refinery fit combination`. `languages`: whom it speaks of (none: all). `larger`: the signal, which an earlier
    step has set, keeps its own value where that is larger: another way to be good."""

    name: str
    signal: str
    terms: tuple[Term, ...]
    intercept: float = 0.0
    languages: tuple[str, ...] = ()
    larger: bool = False


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


@dataclass(frozen=True)
class Stage:
    """One dataset of the recipe: a verb with its steps and options."""

    name: str
    verb: Verb
    steps: tuple[Step, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> Kind | None:
        """What it takes in; None: archives."""
        if self.verb == "ingest":
            return None
        payload = any(isinstance(step, Dedup) and step.method == "payload" for step in self.steps)
        return Kind.RECORDS if payload or self.verb == "extract" else Kind.DOCUMENTS

    @property
    def makes(self) -> Kind:
        if self.verb == "ingest" or (self.verb == "dedup" and self.reads is Kind.RECORDS):
            return Kind.RECORDS
        return Kind.TOKENS if self.verb == "tokenize" else Kind.DOCUMENTS

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
