"""Dedup: removes copies over the whole pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, cast, get_args

from dedup.minhash import MinHash
from dedup.survivors import Link, Policy
from dedup.verify import Verify
from infra.errors import UsageError
from pipeline.steps.fields import choice, named, only, table
from pipeline.steps.step import Step

Method = Literal["payload", "url", "text", "minhash", "paragraphs", "substring"]
OPTIONS: dict[str, dict[str, Any]] = {
    "payload": {"policy": "first"},
    "text": {"policy": "first"},
    "url": {"policy": "first"},
    "minhash": {
        "bands": 14, "rows": 8, "ngram": 5, "verify": True, "threshold": 0.8, "measure": "jaccard",
        "policy": "first", "link": "direct",
    },
    "paragraphs": {"within_document": "first"},
    "substring": {"tokens": 50, "characters": 20},
}  # fmt: skip


@dataclass(frozen=True)
class Dedup(Step):
    """Deduplicates records by their bytes (`payload`), documents by `url`, `text` or `minhash`, or parts of documents
    (`paragraphs`, `substring`)."""

    kind: ClassVar[str] = "dedup"
    stages: ClassVar[tuple[str, ...]] = ("dedup",)
    alone: ClassVar[bool] = True

    name: str
    method: Method
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, ("kind", "name", "method", "options"), place)
        method = choice(source, "method", get_args(Method), place)
        return cls(named(source, place, method), cast("Method", method), table(source, "options", place))

    def check(self) -> None:
        self.checked_options()

    def checked_options(self) -> dict[str, Any]:
        """Returns the options with their defaults. Raises UsageError for an unknown one or one of the wrong type."""
        known = OPTIONS[self.method]
        for name in self.options:
            if name not in known:
                raise UsageError(f"dedup {self.method}: no option {name!r}; there are {', '.join(sorted(known))}")
            if type(self.options[name]) is not type(known[name]):
                kind = type(known[name]).__name__
                raise UsageError(
                    f"dedup {self.method}: {name} is {self.options[name]!r}, not a {kind} like {known[name]!r}"
                )
        options = {**known, **self.options}
        for name, allowed in (
            ("policy", get_args(Policy)),
            ("link", get_args(Link)),
            ("measure", ("jaccard", "containment")),
        ):
            if name in options and options[name] not in allowed:
                raise UsageError(f"dedup {self.method}: {name} is {options[name]!r}, not one of {', '.join(allowed)}")
        if self.method == "minhash":
            MinHash(options["bands"], options["rows"], options["ngram"])
            Verify(options["threshold"], options["measure"])
        if self.method == "substring" and options["tokens"] < 2:
            raise UsageError(f"dedup substring: tokens is {options['tokens']}; give at least 2")
        return options

    @property
    def on_records(self) -> bool:
        return self.method == "payload"

    def lines(self) -> list[str]:
        return [f"dedup {self.method} {dict(sorted(self.options.items())) or ''}".rstrip()]
