"""The models of a recipe, by name, each loaded once in a process: at its first use, or where a run checks it."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from filters.url import UrlLists
from infra.storage import place
from pipeline.models.domains import load_domains
from pipeline.models.language import load_language
from pipeline.models.language_vote import Spoken
from pipeline.models.scorer import Measure
from pipeline.models.scorers import SCORERS
from pipeline.models.store import file_stamps, on_this_machine
from pipeline.models.url_lists import load_url_lists

Loaded = TypeVar("Loaded")


def load_once(load: Callable[[Path], Loaded], path: Path) -> Loaded:
    """`load(path)`, kept while the files at `path` stay the same. `path` may be in an object store."""
    path = on_this_machine(path)
    return cast("Loaded", _load(load, path, file_stamps(path)))


@lru_cache(maxsize=32)
def _load(load: Callable[[Path], Any], path: Path, stamps: Hashable) -> Any:
    del stamps  # part of the key
    return load(path)


class Models:
    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = {name: place(where) for name, where in places.items()}
        self._open: dict[tuple[str, str], Any] = {}

    def language(self, model: str) -> Callable[[str], Spoken]:
        """text → language, score, shares."""
        return cast("Callable[[str], Spoken]", self._get("language", model, load_language))

    def domain(self, model: str) -> Callable[[str], tuple[str, dict[str, float]]]:
        """text → (most probable domain, probability of each)."""
        return cast("Callable[[str], tuple[str, dict[str, float]]]", self._get("domain", model, load_domains))

    def scorer(self, what: str, model: str) -> Measure:
        """document → the signals that the scorer `what` sets, by this model."""
        return cast("Measure", self._get(what, model, SCORERS[what].load))

    def url_lists(self, name: str) -> UrlLists:
        return cast("UrlLists", self._get("lists", name, load_url_lists))

    def _get(self, what: str, model: str, load: Callable[[Path], Any]) -> Any:
        if (what, model) not in self._open:
            self._open[what, model] = load_once(load, self._places[model])
        return self._open[what, model]


def loaded_models(places: Iterable[tuple[str, str]]) -> Models:
    """The models at (name, path) pairs."""
    return Models(dict(places))
