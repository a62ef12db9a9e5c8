"""`extract`: records to documents. Reads each body at its locator, gates on what is known before, and turns the
body into text in the page sandbox; a recipe may take a quick look with a cheap engine before the dear one. The same
code serves `explain` and `readmit`.
"""

import atexit
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from filters.url import UrlLists, url_signals
from infra.dataset import schema as schemas
from infra.dataset.reader import ShardReader
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from mixers.pretokens import count as count_tokens
from pipeline.extract.page import Page, PageExtractor, declared_language
from pipeline.job.funnel import Funnel
from pipeline.job.rows import batch, ledger_batch, ledger_rows
from pipeline.recipes.recipe import Extract, Gate, Judge, Step
from pipeline.steps.interpreter import Document, Models, Reject, Trace, judge_rules, loaded_models, run_step
from pipeline.warc.containers import open_bytes
from pipeline.warc.http import record_message
from pipeline.warc.reader import RecordReader
from pipeline.warc.splits import sniff

# What a gate may ask of a record besides its address.
HEADER_SIGNALS = ("noindex", "noai")
# What an extract stage with a control sample says of each document.
CONTROL_SIGNALS = ("control", "quick_rejected")
# So many pages go through one step before the next: its model and tables stay in the processor's cache, which takes a
# tenth off the CPU time of a stage. Their bodies are in memory at once.
GROUP = 32


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
    """What the steps of an extract stage work with; all but the reader is the process's, and stays."""

    reader: BodyReader
    extractors: Mapping[str, PageExtractor]
    plain: PageExtractor
    lists: Mapping[str, UrlLists]
    models: Models

    def close(self) -> None:
        self.reader.close()


@dataclass(frozen=True)
class ExtractTask:
    """Documents of one shard of records. `bodies` and `places` say where things lie and are not in the fingerprint.

    `control`: the share of pages that no quick look rejects, chosen by a hash of their place.
    """

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    recipe: str
    bodies: Bodies = field(compare=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    control: float | None = None

    @property
    def fingerprint(self) -> str:
        control = [] if self.control is None else [self.control]
        return sha256_json(["extract", [repr(step) for step in self.steps], self.models, self.recipe, *control])

    @property
    def schema(self) -> pa.Schema:
        return schemas.documents(() if self.control is None else CONTROL_SIGNALS)

    def open_tools(self) -> Tools:
        extractors = {
            step.name: page_extractor(step.engine, json.dumps(dict(step.options), sort_keys=True))
            for step in self.steps
            if isinstance(step, Extract)
        }
        gates = {step.lists: self.places[step.lists] for step in self.steps if isinstance(step, Gate) and step.lists}
        models = loaded_models(tuple(sorted((n, p) for n, p in self.places.items() if n not in gates)))
        return Tools(BodyReader(self.bodies), extractors, page_extractor("plain", "{}"), load_lists(gates), models)

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        funnel = Funnel()
        with closing(self.open_tools()) as tools:
            for records in part.batches():
                rows, ledger = [], []
                every = records.to_pylist()
                for start in range(0, len(every), GROUP):
                    for visit in self.visits(every[start : start + GROUP], tools, funnel):
                        funnel.count["in"] += 1
                        if visit.rejects:
                            funnel.count["rejected"] += 1
                            ledger += ledger_rows(visit.record, visit.rejects, self.recipe)
                        else:
                            rows.append(visit.row)
                yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(counts=funnel.counts([step.name for step in self.steps]))

    def one(
        self, record: Mapping[str, Any], tools: Tools, trace: Trace | None = None
    ) -> tuple[dict[str, Any], list[Reject]]:
        """One record through the steps: its document row, or the rules that rejected it."""
        (visit,) = self.visits([record], tools, trace=trace)
        return visit.row, visit.rejects

    def visits(
        self,
        records: Sequence[Mapping[str, Any]],
        tools: Tools,
        funnel: Funnel | None = None,
        trace: Trace | None = None,
    ) -> list["Visit"]:
        """The records through the steps, all of them through one before any goes to the next.

        What a quick look rejects goes on all the same if it is in the control sample; `quick_rejected` counts it. What
        is asked of the address, and what a publisher asks for, holds for every page.
        """
        visits = [Visit(record, tools, in_control(record, self.control)) for record in records]
        last = len(self.steps) - 1
        for order, step in enumerate(self.steps):
            lenient = order < last and not isinstance(step, Gate) and not asks_publisher(step)
            for visit in visits:
                if visit.rejects:
                    continue
                visit.take(step, lenient, trace)
                if funnel and not visit.rejects:
                    funnel.passed(order, len(visit.document.text), visit.document.tokens)
                if visit.rejects or order == last:
                    visit.rest()
        if self.control is not None:
            for visit in visits:
                if not visit.rejects:
                    visit.row["signals"] |= {"control": float(visit.control), "quick_rejected": float(visit.quick)}
        return visits


class Visit:
    """One record on its way through an extract stage: its body is read once, its text is the last extraction's.

    `rejects`: the failing rules of the step that ended it. `quick`: how many rules a page of the `control` sample
    failed that ended others.
    """

    def __init__(self, record: Mapping[str, Any], tools: Tools, control: bool) -> None:
        self.record = record
        self.tools = tools
        self.control = control
        self.quick = 0
        self.row: dict[str, Any] = {}
        self.rejects: list[Reject] = []
        self.document = Document("", record["url"] or "")

    @cached_property
    def body(self) -> bytes:
        return self.tools.reader.read(self.record)

    def rest(self) -> None:
        """Forget what only the steps needed."""
        self.__dict__.pop("body", None)
        del self.document

    def take(self, step: Step, lenient: bool, trace: Trace | None) -> None:
        """Through one step; `lenient`: a page of the control sample goes on in any case."""
        rejects = self._rejects(step, trace)
        if lenient and self.control:
            self.quick += len(rejects)
        else:
            self.rejects = rejects

    def _rejects(self, step: Step, trace: Trace | None) -> list[Reject]:
        if isinstance(step, Gate):
            return gate(step, self.record, self.tools.lists, trace)
        if not isinstance(step, Extract):
            return run_step(self.document, step, self.tools.models, trace)
        html = self.record["page"] == "html"
        foreign = declared_rejects(step, self.body, trace) if html and step.declared else []
        if foreign and not self.control:
            return foreign
        extractor = self.tools.extractors[step.name] if html else self.tools.plain
        page = extractor.extract(self.body, self.record["charset_header"], self.record["url"] or "")
        self.row = document_row(self.record, page, step.engine if html else "plain")
        self.document = Document(page.text, self.record["url"] or "", tokens=self.row["token_count"])
        for name in HEADER_SIGNALS:
            asked = bool(self.record.get(name)) or name in page.robots
            self.document.signals[name] = float(asked)
        return foreign + page_rejects(step, page, trace)


@lru_cache(maxsize=8)
def page_extractor(engine: str, options: str) -> PageExtractor:
    """The process's extractor of this kind; its child process is started at the first page and ends with this one."""
    extractor = PageExtractor(engine, json.loads(options))
    atexit.register(extractor.close)
    return extractor


def asks_publisher(step: Step) -> bool:
    """Whether the step judges by an opt-out, which no sample may pass over."""
    return isinstance(step, Judge) and any(rule.rule.signal in HEADER_SIGNALS for rule in step.rules)


def in_control(record: Mapping[str, Any], share: float | None) -> bool:
    """Whether the record is of the control sample: by the hash of its place, so the same in any order and number."""
    if not share:
        return False
    key = f"control:{record['file_path']}:{record['warc_offset']}:{record['member_record']}"
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace")) < share * 2**64


def load_lists(places: Mapping[str, str]) -> dict[str, UrlLists]:
    from pipeline.models.store import load_url_lists

    return {name: load_url_lists(Path(place)) for name, place in places.items()}


def gate(step: Gate, record: Mapping[str, Any], lists: Mapping[str, UrlLists], trace: Trace | None) -> list[Reject]:
    values: dict[str, float | None] = dict(url_signals(record["url"] or "", lists[step.lists])) if step.lists else {}
    for name in HEADER_SIGNALS:
        values[name] = None if record.get(name) is None else float(record[name])
    return judge_rules(step.name, step.rules, values.__getitem__, None, trace)


def declared_rejects(step: Extract, body: bytes, trace: Trace | None) -> list[Reject]:
    """The page's own word that it is in another language than the step wants."""
    language = declared_language(body)
    passed = not language or language in step.declared
    if trace is not None:
        trace.append(
            {"step": step.name, "rule": "declared_language", "signal": "language", "value": language or None,
             "threshold": list(step.declared), "passed": passed}
        )  # fmt: skip
    return [] if passed else [Reject(step.name, "declared_language_not_kept", None, None, language)]


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
        "copies": record["copies"],
        "snapshots": record["snapshots"],
        "repeats": 1,
        "signals": {schemas.REPLACED: float(page.replaced)},
    }
