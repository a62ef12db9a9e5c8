"""The columns of a user's documents: which of them are ours, and the Arrow types of all others, which are kept.

- Columns of our schema that a user may give (`GIVEN`: the text, the address, a title …) are read as they are.
- Columns of our schema that are always made anew (`token_count`, the locator …) are kept under the name `input_…`.
- All others are kept under their own names and with their own types, in every stage.

JSON lines name no types, so these are found from all values of a column: whole numbers and fractions together are
float64; objects have the fields of all of them. Where values of several kinds stand in one column, each is kept as JSON
text. No value is dropped.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.errors import UsageError
from pipeline.inputs.arrow_types import wider, without_nulls, without_views

# Columns of ours that are read from a user's documents, as strings, if they are there.
STRINGS = (
    "id", "dump", "url", "date", "language", "content_digest", "title", "source", "domain", "charset",
    "charset_evidence", "extractor", "truncated",
)  # fmt: skip
GIVEN = frozenset({"text", "language_score", *STRINGS})
OURS = frozenset(schemas.documents(()).names)
RENAMED = "input_"
MAX_DEPTH, MAX_FIELDS = 8, 200
_EXACT_IN_FLOAT = 2**53


@dataclass(frozen=True)
class Columns:
    """The names that the text, the id and the address have in a user's documents. `needs`: what a document must have: a
    `text`; or, for stages that read no text, a text or a `url`."""

    text: str = "text"
    id: str = "id"
    url: str = "url"
    needs: str = "text"

    def __post_init__(self) -> None:
        if len({self.text, self.id, self.url}) < 3:
            raise UsageError("--text-column, --id-column and --url-column must be three columns")

    @property
    def renamed(self) -> dict[str, str]:
        """Ours → theirs, where they differ."""
        pairs = {"text": self.text, "id": self.id, "url": self.url}
        return {ours: theirs for ours, theirs in pairs.items() if ours != theirs}

    @property
    def params(self) -> dict[str, Any]:
        """What a manifest says of them: nothing if no name differs and each document has a text."""
        names = {"columns": self.renamed} if self.renamed else {}
        return names if self.needs == "text" else {**names, "needs": self.needs}

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Self:
        """The columns of the documents that a dataset with these parameters was made from."""
        return cls(**params.get("columns", {}), needs=params.get("needs", "text"))

    @property
    def words(self) -> str:
        """For messages."""
        return f"texts from {self.text!r}, ids from {self.id!r}, addresses from {self.url!r}"

    @property
    def required(self) -> tuple[str, ...]:
        """The user's names of the columns of which a document must have one."""
        return (self.text,) if self.needs == "text" else (self.text, self.url)

    def missing_in(self, value: Any) -> str | None:
        """Why a value is not a document; None if it is one."""
        if not isinstance(value, dict):
            return "not_object"
        return None if any(isinstance(value.get(name), str) for name in self.required) else f"no_{self.needs}"

    def source_of(self, ours: str) -> str:
        """The user's name of one of the columns in GIVEN."""
        return {"text": self.text, "id": self.id, "url": self.url}.get(ours, ours)

    def kept_as(self, names: Iterable[str], place: str) -> dict[str, str]:
        """The columns that are not read as ours, each with the name under which it is kept.

        UsageError if two columns would have one name.
        """
        names = list(names)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"{place} has two columns called {twice[0]!r}: rename one")
        read = {self.source_of(ours) for ours in GIVEN}
        kept: dict[str, str] = {}
        for name in names:
            if name not in read:
                kept[name] = RENAMED + name if name in OURS else name
        for theirs, ours in kept.items():
            if theirs != ours and ours in names:
                raise UsageError(
                    f"{place} has the columns {theirs!r}, which would be kept as {ours!r}, and {ours!r}: rename one"
                )
        return kept


@dataclass
class JsonType:
    """What was seen in one column or field of JSON values. `kinds`: of null, bool, int, long, float, string, list,
    object, mixed."""

    kinds: set[str] = field(default_factory=set)
    items: "JsonType | None" = None
    fields: dict[str, "JsonType"] = field(default_factory=dict)

    def see(self, value: Any, depth: int = 0) -> None:
        """Adds a value."""
        kind = _kind(value)
        self.kinds.add("mixed" if depth >= MAX_DEPTH and kind in ("list", "object") else kind)
        if "mixed" in self.kinds:
            return
        if kind == "list":
            self.items = self.items or JsonType()
            for item in value:
                self.items.see(item, depth + 1)
        elif kind == "object":
            for name, inner in value.items():
                self.fields.setdefault(name, JsonType()).see(inner, depth + 1)
            if len(self.fields) > MAX_FIELDS:
                self.kinds.add("mixed")

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type that holds all values seen; None: they are kept as JSON text."""
        kinds = self.kinds - {"null"}
        if not kinds:
            return pa.null()
        if kinds <= {"int", "long"}:
            return pa.int64()
        if kinds <= {"int", "float"}:
            return pa.float64()
        if kinds == {"list"}:
            items = self.items.arrow if self.items else None
            return None if items is None else pa.list_(items)
        if kinds == {"object"}:
            inner = {name: json_type.arrow for name, json_type in sorted(self.fields.items())}
            if not inner or None in inner.values():
                return None  # Parquet knows no struct without fields
            return pa.struct(list(inner.items()))
        return {"bool": pa.bool_(), "string": pa.string()}.get(next(iter(kinds))) if len(kinds) == 1 else None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= _EXACT_IN_FLOAT:
            return "int"
        return "long" if -(2**63) <= value < 2**63 else "mixed"
    kinds = {type(None): "null", float: "float", str: "string", list: "list", dict: "object"}
    return kinds[type(value)]


def as_json(value: Any) -> str:
    """A value as JSON text, whatever its size; what JSON has no form for as its text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


@dataclass(frozen=True)
class KeptColumns:
    """The columns of a file that are kept: `names` has the user's name of each, `schema` their names and types here,
    `json_text` the names here of those whose values are written as JSON text."""

    names: tuple[str, ...] = ()
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    json_text: frozenset[str] = frozenset()

    def values(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The kept values of a JSON document, by their names here; absent ones are absent."""
        found = {}
        for theirs, ours in zip(self.names, self.schema.names, strict=True):
            value = document.get(theirs)
            if value is not None:
                found[ours] = as_json(value) if ours in self.json_text else value
        return found


def kept_of_parquet(schema: pa.Schema, columns: Columns, place: str) -> KeptColumns:
    """The columns of a Parquet file that are kept, with their types; dictionaries become their values."""
    kept = columns.kept_as(schema.names, place)
    types = {name: schema.field(name).type for name in kept}
    plain = {
        name: without_views(found.value_type if pa.types.is_dictionary(found) else found)
        for name, found in types.items()
    }
    return KeptColumns(tuple(kept), pa.schema([(ours, plain[theirs]) for theirs, ours in kept.items()]))


def kept_of_json(seen: Mapping[str, JsonType], columns: Columns, place: str) -> KeptColumns:
    """The columns of JSON documents that are kept, sorted by name, with the types that hold all their values."""
    kept = columns.kept_as(sorted(seen), place)
    types = {ours: seen[theirs].arrow for theirs, ours in kept.items()}
    schema = pa.schema([(name, pa.string() if found is None else found) for name, found in types.items()])
    return KeptColumns(tuple(kept), schema, frozenset(name for name, found in types.items() if found is None))


def merged(schemas_by_place: Mapping[str, pa.Schema]) -> pa.Schema:
    """One schema for the kept columns of several inputs; numbers become the wider type. UsageError, by name, for a
    column whose types have none in common."""
    found: dict[str, tuple[pa.Field, str]] = {}
    for place, schema in schemas_by_place.items():
        for column in schema:
            if column.name not in found:
                found[column.name] = (column, place)
                continue
            before, first = found[column.name]
            both = wider(before.type, column.type)
            if both is None:
                raise UsageError(
                    f"column {column.name!r} is {before.type} in {first} and {column.type} in {place}: "
                    "give it one type or another name"
                )
            found[column.name] = (pa.field(column.name, both), first)
    return pa.schema([(name, without_nulls(found[name][0].type)) for name in sorted(found)])
