"""Recipes: ordered stages of steps as frozen data, hashed with their models.

A recipe says *what* happens; `pipeline/recipes/parse.py` reads it from TOML, one interpreter
(`pipeline/steps/interpreter.py`) says how it is done.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from infra.dataset.manifest import Kind, RecipeRef
from infra.errors import UsageError
from infra.hashing import sha256_json
from pipeline.steps.step import Step

StageCommand = Literal["ingest", "extract", "filter", "dedup", "mix", "tokenize"]
COMMANDS: tuple[str, ...] = get_args(StageCommand)


@dataclass(frozen=True)
class Rules:
    """The rules of another recipe: its steps before it looks at the pool, in order. `sha256`: of what they say."""

    name: str
    steps: tuple[Step, ...]
    sha256: str


@dataclass(frozen=True)
class Stage:
    """One dataset of the recipe: a command with its steps and options. `baseline`: of an extract stage, the rules that
    its audit sample goes through too."""

    name: str
    command: StageCommand
    steps: tuple[Step, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    baseline: Rules | None = None

    @property
    def reads(self) -> Kind | None:
        """What it takes in; None: archives."""
        if self.command == "ingest":
            return None
        records = self.command == "extract" or any(step.on_records for step in self.steps)
        return Kind.RECORDS if records else Kind.DOCUMENTS

    @property
    def makes(self) -> Kind:
        if self.command == "ingest" or (self.command == "dedup" and self.reads is Kind.RECORDS):
            return Kind.RECORDS
        return Kind.TOKENS if self.command == "tokenize" else Kind.DOCUMENTS

    @property
    def reads_records(self) -> bool:
        """`extract`, or a dedup by payload."""
        return self.reads is Kind.RECORDS

    @property
    def needs_text(self) -> bool:
        """Whether it reads the text of documents: a list of addresses can go through a stage that does not. A stage
        without steps only hands texts on."""
        return self.command in ("mix", "tokenize") or not self.steps or any(step.needs_text for step in self.steps)

    def models(self) -> Iterator[str]:
        for step in (*self.steps, *(self.baseline.steps if self.baseline else ())):
            yield from step.models()
        if "tokenizer" in self.options:
            yield str(self.options["tokenizer"])


def models_of(stages: Iterable[Stage]) -> list[str]:
    """The names of the models that the stages use, each once, in order."""
    return sorted({name for stage in stages for name in stage.models()})


def needs_text(stages: Iterable[Stage]) -> bool:
    """Whether any of the stages reads the text of documents; if none does, a list of addresses can go through them."""
    return any(stage.needs_text for stage in stages)


def check_only_tries(stages: Iterable[Stage], command: str) -> None:
    """UsageError for a stage that changes something outside the run: `command` runs stages only to see what they do."""
    for stage in stages:
        if any(step.remembers for step in stage.steps):
            raise UsageError(
                f"stage {stage.name!r} adds to an index, which `{command}` must not: leave it out, "
                f"--set {stage.name}=off"
            )


def bound(steps: Sequence[Step], places: Mapping[str, Path]) -> tuple[Step, ...]:
    """The steps of a stage, each with what it takes from the later ones and from the models' files at `places`."""
    done: tuple[Step, ...] = ()
    for step in reversed(steps):
        done = (step.bound(done, places), *done)
    return done


@dataclass(frozen=True)
class Recipe:
    """`source`: the parsed TOML, which the hash covers together with the sha256 of each of `models`.

    A run has the models of its stages; a dataset has those of its own stage, so that a stage that is run alone needs no
    others and gives the same bytes. What made its input stands in the manifest of that, which it names by hash.
    """

    name: str
    about: str
    stages: tuple[Stage, ...]
    source: Mapping[str, Any]
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        baselines = {stage.name: stage.baseline.sha256 for stage in self.stages if stage.baseline}
        more = {"baselines": baselines} if baselines else {}
        return sha256_json({"stages": self.source["stage"], "models": dict(self.models), **more})

    @property
    def ref(self) -> RecipeRef:
        return RecipeRef(self.name, self.sha256)

    def number(self, stage: Stage) -> int:
        """The place of the stage of this name, from 1."""
        return [each.name for each in self.stages].index(stage.name) + 1

    def prefix(self, length: int) -> "Recipe":
        """The first `length` stages as a recipe of their own: equal for two recipes that begin alike."""
        stages = self.stages[:length]
        used = set(models_of(stages))
        models = {name: sha256 for name, sha256 in self.models.items() if name in used}
        return Recipe("shared", "", stages, {"stage": list(self.source["stage"][:length])}, models)

    def frozen(self) -> dict[str, Any]:
        """The recipe as a run keeps it: its text as data, its models by sha256."""
        return {"name": self.name, "sha256": self.sha256, "models": dict(self.models), "source": dict(self.source)}

    def model_names(self) -> list[str]:
        return models_of(self.stages)

    def bound(self, places: Mapping[str, Path]) -> "Recipe":
        """The recipe with what its steps take from each other, and from the models' files at `places`, by name.

        UsageError for a file that is no such model. A recipe is run with all its files.
        """
        return replace(self, stages=tuple(replace(each, steps=bound(each.steps, places)) for each in self.stages))

    def with_models(self, sha256s: Mapping[str, str]) -> "Recipe":
        """The recipe with the models known that are used: only now has it the hash that goes into manifests."""
        assert set(sha256s) <= set(self.model_names())
        return replace(self, models=dict(sha256s))

    def with_models_of(self, names: Iterable[str]) -> "Recipe":
        """The recipe with these models alone: what a dataset names as its recipe that was made with no others."""
        return replace(self, models={name: self.models[name] for name in sorted(set(names))})

    def stage(self, command: str, name: str | None) -> Stage:
        """The stage that a per-stage command means; UsageError when the recipe has none, or several."""
        found = [stage for stage in self.stages if stage.command == command and name in (None, stage.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(stage.name for stage in self.stages if stage.command == command)
        if not found and name is None:
            raise UsageError(f"recipe {self.name!r} has no {command} stage")
        if not found:
            raise UsageError(f"recipe {self.name!r} has no {command} stage called {name!r}: it has {names or 'none'}")
        raise UsageError(f"recipe {self.name!r} has several {command} stages ({names}): choose one with --stage")
