"""`extract`: records to documents. Reads each body at its locator, gates on what is known before, and turns the
body into text in the page sandbox. The same code serves `explain`.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.url import UrlLists, url_signals
from infra import schema as schemas
from infra.canon import sha256_json
from infra.dataset import ShardReader
from infra.errors import UsageError
from infra.task import Output
from mixers.pretokens import count as count_tokens
from pipeline.funnel import Funnel
from pipeline.interpreter import Reject, Trace, judge_rules
from pipeline.page import Page, PageExtractor
from pipeline.recipe import Extract, Gate, Step
from pipeline.rows import batch, ledger_batch, ledger_rows
from pipeline.sources.containers import open_bytes
from pipeline.sources.http import record_message
from pipeline.sources.reader import RecordReader
from pipeline.sources.splits import sniff

# What a gate may ask of a record besides its address.
HEADER_SIGNALS = ("noindex", "noai")


@dataclass(frozen=True)
class Bodies:
    """Where the archives lie on this machine, by the name that `file_path` gives them."""

    places: Mapping[str, str]

    def path(self, name: str) -> str:
        if name not in self.places or not Path(self.places[name]).is_file():
            raise UsageError(f"the archive {name!r} is not where it was read: say where with --source ROOT")
        return self.places[name]


class BodyReader:
    """Reads the bodies of records, one archive open at a time: records come in the order of their archive."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self._name = ""
        self._reader: RecordReader | None = None

    def read(self, row: Mapping[str, Any]) -> bytes:
        """The body of the record in `row`, its HTTP codings undone. WorkError if the archive has changed."""
        if self._reader is None or self._name != row["file_path"]:
            self.close()
            path = self.bodies.path(row["file_path"])
            with open_bytes(path) as file:
                container = sniff(file)
            self._reader = RecordReader(path, container).__enter__()
            self._name = row["file_path"]
        record = self._reader.read(row["warc_offset"], row["warc_length"], row["member_record"])
        return record_message(record).body

    def close(self) -> None:
        if self._reader is not None:
            self._reader.__exit__(None, None, None)
            self._reader = None


@dataclass
class Tools:
    """What the steps of an extract stage work with; made once for a shard, closed with it."""

    reader: BodyReader
    extractor: PageExtractor
    plain: PageExtractor
    lists: Mapping[str, UrlLists]

    def close(self) -> None:
        self.reader.close()
        self.extractor.close()
        self.plain.close()


@dataclass(frozen=True)
class ExtractTask:
    """Documents of one shard of records. `places` and `lists` say where things lie and are not in the fingerprint."""

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    recipe: str
    bodies: Bodies = field(compare=False)
    lists: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json(["extract", [repr(step) for step in self.steps], self.models, self.recipe])

    @property
    def schema(self) -> pa.Schema:
        return schemas.documents(())

    def open_tools(self) -> Tools:
        step = next(step for step in self.steps if isinstance(step, Extract))
        extractor = PageExtractor(step.engine, dict(step.options))
        return Tools(BodyReader(self.bodies), extractor, PageExtractor("plain", {}), load_lists(self.lists))

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        funnel = Funnel()
        with closing(self.open_tools()) as tools:
            for records in part.batches():
                rows, ledger = [], []
                for record in records.to_pylist():
                    funnel.count["in"] += 1
                    row, rejects = self.one(record, tools, funnel)
                    if rejects:
                        funnel.count["rejected"] += 1
                        ledger += ledger_rows(record, rejects, self.recipe)
                    else:
                        rows.append(row)
                yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(counts=funnel.counts([step.name for step in self.steps]))

    def one(
        self, record: Mapping[str, Any], tools: Tools, funnel: Funnel | None = None, trace: Trace | None = None
    ) -> tuple[dict[str, Any], list[Reject]]:
        """One record through the steps: its document row, or the rules that rejected it."""
        row: dict[str, Any] = {}
        for order, step in enumerate(self.steps):
            if isinstance(step, Gate):
                rejects = gate(step, record, tools.lists, trace)
                chars = tokens = 0
            else:
                assert isinstance(step, Extract)
                html = record["page"] == "html"
                extractor = tools.extractor if html else tools.plain
                page = extractor.extract(tools.reader.read(record), record["charset_header"], record["url"] or "")
                rejects = page_rejects(step, page, trace)
                row = document_row(record, page, step.engine if html else "plain")
                chars, tokens = len(page.text), row["token_count"]
            if rejects:
                return row, rejects
            if funnel:
                funnel.passed(order, chars, tokens)
        return row, []


def load_lists(places: Mapping[str, str]) -> dict[str, UrlLists]:
    from pipeline.models import load_url_lists

    return {name: load_url_lists(Path(place)) for name, place in places.items()}


def gate(step: Gate, record: Mapping[str, Any], lists: Mapping[str, UrlLists], trace: Trace | None) -> list[Reject]:
    values: dict[str, float | None] = dict(url_signals(record["url"] or "", lists[step.lists])) if step.lists else {}
    for name in HEADER_SIGNALS:
        values[name] = None if record.get(name) is None else float(record[name])
    unknown = [rule.rule.signal for rule in step.rules if rule.rule.signal not in values]
    if unknown:
        raise UsageError(
            f"gate {step.name!r}: no signal {unknown[0]!r} before extraction: there are {', '.join(sorted(values))}"
        )
    return judge_rules(step.name, step.rules, values.__getitem__, None, trace)


def page_rejects(step: Extract, page: Page, trace: Trace | None) -> list[Reject]:
    if trace is not None:
        rule, value, threshold = page.rejected or ("extract", float(len(page.text)), None)
        trace.append(
            {"step": step.name, "rule": rule, "signal": "characters", "value": value, "threshold": threshold,
             "passed": page.rejected is None, "engine": step.engine, "charset": page.charset,
             "charset_evidence": page.charset_evidence}
        )  # fmt: skip
    return [Reject(step.name, *page.rejected)] if page.rejected else []


def document_row(record: Mapping[str, Any], page: Page, extractor: str) -> dict[str, Any]:
    names = ("id", "dump", "url", "date", "file_path", "warc_offset", "warc_length", "member_record", "content_digest")
    return {
        **{name: record[name] for name in names},
        "text": page.text,
        "title": page.title,
        "token_count": count_tokens(page.text),
        "charset": page.charset,
        "charset_evidence": page.charset_evidence,
        "extractor": extractor,
        "source": "web",
        "copies": 1,
        "snapshots": 1,
        "repeats": 1,
        "signals": {schemas.REPLACED: float(page.replaced)},
    }
