"""The models of a recipe, by name, each opened once in a process at its first use."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from filters.url import UrlLists
from pipeline.models.domains import load_domains
from pipeline.models.language import load_language
from pipeline.models.scorer import Measure
from pipeline.models.scorers import SCORERS
from pipeline.models.url_lists import load_url_lists


class Models:
    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = {name: Path(place) for name, place in places.items()}
        self._open: dict[tuple[str, str], Any] = {}

    def language(self, model: str) -> Callable[[str], tuple[str, float]]:
        """text → (label, probability)."""
        return cast("Callable[[str], tuple[str, float]]", self._get("language", model, load_language))

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
            self._open[what, model] = load(self._places[model])
        return self._open[what, model]


@lru_cache(maxsize=8)
def loaded_models(places: tuple[tuple[str, str], ...]) -> Models:
    """The models at (name, path) pairs, loaded once in a process."""
    return Models(dict(places))
