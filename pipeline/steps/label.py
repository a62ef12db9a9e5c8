"""Label: the output of a model for a document: its language, its domain, or a learned scorer's signals."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from infra.errors import UsageError
from infra.ledger import Reject
from infra.names import meant
from pipeline.document import Document, Trace
from pipeline.models.domains import check_domains
from pipeline.models.language import check_language, languages_of
from pipeline.models.loaded import Models, load_once
from pipeline.models.scorers import SCORERS
from pipeline.models.topics import SCORER, topic_domain
from pipeline.models.word_table import SUFFIX
from pipeline.steps.fields import choice, model_name, named, only, text, whole, words
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.rules import in_languages
from pipeline.steps.step import Step

LANGUAGE, DOMAIN = "language", "domain"
# A model of so many languages has all that a recipe may mean.
MANY_LANGUAGES = 100
WHAT = (LANGUAGE, DOMAIN, *SCORERS)


@dataclass(frozen=True)
class Label(Step):
    """what: `language`, `domain`, or a scorer of `models/scorers.py`.
    model: by its name among the models.
    keep: the languages to keep (of `language`; none: all).
    languages: of which documents (none: all).
    characters: how many, from the middle of the text, the language is told by; unless given, its beginning is.
    """

    kind: ClassVar[str] = "label"
    keys: ClassVar[tuple[Option, ...]] = (
        Option("what", "what the model tells: see [what a label tells](#what-a-label-tells)", default=REQUIRED),
        Option("model", "by its name in the model folder, or an absolute path", default=REQUIRED),
        Option(
            "keep", "of `language`: documents in other languages are rejected; without it none", "list of texts", "[]"
        ),
        Option("languages", "of which documents, by their language; without it of all", "list of texts"),
        Option(
            "characters",
            "of `language`: it reads so many from the middle, not the whole text",
            "whole number",
        ),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter", "mix")
    on_text: ClassVar[bool] = True

    name: str
    what: str
    model: str
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    characters: int | None = None

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        what = choice(source, "what", WHAT, place)
        if "characters" in source and what != LANGUAGE:
            raise UsageError(f"{place}: characters is for a step that labels the language")
        return cls(
            named(source, place, what),
            what,
            model_name(text(source, "model", place, required=True), f"{place}: model"),
            words(source, "keep", place),
            words(source, "languages", place),
            whole(source, "characters", place) if "characters" in source else None,
        )

    def models(self) -> Iterator[str]:
        return iter([self.model])

    def check_models(self, places: Mapping[str, Path]) -> None:
        if self.model not in places:
            return
        path = places[self.model]
        if self.what == LANGUAGE:
            load_once(check_language, path)
            labels = load_once(languages_of, path) if self.keep else []
            for code in self.keep if len(labels) > MANY_LANGUAGES else ():
                if code not in labels:
                    raise UsageError(
                        f"label {self.name!r}: {self.model} has no language {code!r}; {meant(code, labels)}"
                    )
        elif self.what == DOMAIN:
            load_once(SCORER.load if self._by_table else check_domains, path)
        else:
            load_once(SCORERS[self.what].check or SCORERS[self.what].load, path)

    @property
    def sets(self) -> frozenset[str]:
        if self.what in SCORERS:
            return frozenset(SCORERS[self.what].signals)
        return frozenset((self.what, *(SCORER.signals if self._by_table else ())))

    def after(self, known: set[str]) -> set[str]:
        return known | self.sets | ({"language_score"} if self.what == LANGUAGE else set())

    def lines(self) -> list[str]:
        keep = f", keeps {', '.join(self.keep)}" if self.keep else ""
        part = f", by {self.characters} characters" if self.characters else ""
        return [f"label {self.what}{in_languages(self.languages)} with {self.model}{keep}{part}"]

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        if not self.is_for(document):
            return []
        rejects: list[Reject] = []
        values: Mapping[str, float | str | None]
        if self.what == LANGUAGE:
            values, rejects = self._language(document, models)
        elif self.what == DOMAIN:
            values = self._domain(document, models)
        else:
            found = models.scorer(self.what, self.model)(document)
            document.signals |= found
            values = found
        if trace is not None:
            trace += [
                {"step": self.name, "rule": "label" if name == self.what else name, "signal": name, "value": value,
                 "threshold": list(self.keep) or None, "passed": not rejects}
                for name, value in values.items()
            ]  # fmt: skip
        return rejects

    @property
    def _by_table(self) -> bool:
        """Of a step that labels the domain: whether its model is a table of topics."""
        return self.what == DOMAIN and self.model.endswith(SUFFIX)

    def _domain(self, document: Document, models: Models) -> dict[str, float | str | None]:
        """Sets the domain, and by a table the probabilities that it follows from. A table says nothing of other
        languages: what another step, or the input, said stays."""
        if not self._by_table:
            document.domain, _ = models.domain(self.model)(document.plain)
            return {DOMAIN: document.domain}
        found = models.scorer(SCORER.name, self.model)(document)
        domain = topic_domain(found)
        if domain is not None:
            document.domain = domain
            document.signals |= found
        return {DOMAIN: document.domain, **found}

    def _language(self, document: Document, models: Models) -> tuple[dict[str, str | None], list[Reject]]:
        text = document.plain if self.characters is None else middle(document.plain, self.characters)
        language, score, shares = models.language(self.model)(text)
        document.set_language(language, score)
        document.language_shares = json.dumps(shares) if shares else None
        document.signals["language_score"] = score
        rejected = bool(self.keep) and language not in self.keep
        return {LANGUAGE: language}, [Reject(self.name, "language_not_kept", score, None)] if rejected else []


def middle(text: str, characters: int) -> str:
    """So many characters from the middle, where a page's menus are not."""
    start = max(len(text) - characters, 0) // 2
    return text[start : start + characters]
