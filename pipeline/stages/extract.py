"""`extract`: records to documents. Reads each body at its locator, applies gates before that, and extracts the text in
the page sandbox; a recipe may put a prefilter with a cheap engine before the expensive one. The same code serves
`explain` and `readmit`.
"""

import atexit
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import Dataset, ShardReader
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, batch, ledger_batch, ledger_rows
from mixers.pretokens import count as count_tokens
from pipeline.document import Document, Trace
from pipeline.extract.page import BodyText, Page, PageExtractor
from pipeline.job.baseline import BaselineTally
from pipeline.job.funnel import Funnel
from pipeline.job.sample import AuditSampling, in_sample
from pipeline.models.loaded import Models, loaded_models
from pipeline.stages.bodies import BodyReader, dataset_of
from pipeline.steps.extract import Extract
from pipeline.steps.gate import Gate
from pipeline.steps.signals import AUDIT_SIGNALS, HEADER_SIGNALS, STRUCTURE_SIGNALS
from pipeline.steps.step import Step
from pipeline.warc.http import HttpMessage

# Pages that go through one step before the next: the step's model and tables stay in the processor's cache, which takes
# a tenth off the CPU time of a stage. Their bodies are in memory at once.
GROUP = 32
# Bytes of a text that is kept from one extraction to the next.
MOST_KEPT = 1 << 20


@dataclass
class Tools:
    """The objects that the steps of an extract stage use; all but the reader are cached per process."""

    reader: BodyReader
    extractors: Mapping[str, PageExtractor]
    plain: PageExtractor
    models: Models
    baseline: Mapping[str, PageExtractor] = field(default_factory=dict)

    def close(self) -> None:
        self.reader.close()


@dataclass(frozen=True)
class ExtractTask:
    """Extracts the documents of one shard of records. `bodies` says where the archives are, in few words whatever their
    number (`pipeline/inputs/places.py`), `places` where the models are; neither is in the fingerprint.

    `audit`: which pages no prefilter rejects (the audit sample).
    `baseline`: the steps of another recipe, which the pages of the sample go through too, to be counted.
    """

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    recipe: str
    bodies: Mapping[str, str] = field(compare=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    audit: AuditSampling | None = None
    baseline: tuple[Step, ...] = ()

    @property
    def fingerprint(self) -> str:
        audit: list[Any] = [] if self.audit is None else [asdict(self.audit)]
        audit += [[repr(step) for step in self.baseline]] if self.baseline else []
        return sha256_json(["extract", [repr(step) for step in self.steps], self.models, self.recipe, *audit])

    @property
    def schema(self) -> pa.Schema:
        structure = [step for step in self.steps if isinstance(step, Extract)][-1].sets
        return schemas.documents(structure if self.audit is None else {*AUDIT_SIGNALS, *structure})

    def open_tools(self, ingested: Dataset | None = None) -> Tools:
        models = loaded_models(tuple(sorted(self.places.items())))
        reader, plain = BodyReader(self.bodies, ingested), page_extractor("plain", "{}")
        return Tools(reader, extractors_of(self.steps), plain, models, extractors_of(self.baseline))

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        funnel, tally = Funnel(), BaselineTally()
        with closing(self.open_tools(dataset_of(part))) as tools:
            for records in part.batches():
                rows, ledger = [], []
                every = records.to_pylist()
                tools.reader.expect(every)
                for start in range(0, len(every), GROUP):
                    for visit in self.visits(every[start : start + GROUP], tools, funnel, tally=tally):
                        funnel.count["in"] += 1
                        if visit.rejects:
                            funnel.count["rejected"] += 1
                            ledger += ledger_rows(visit.record, visit.rejects, self.recipe)
                        else:
                            rows.append(visit.row)
                yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(counts={**funnel.counts([step.name for step in self.steps]), **tally.counts})

    def one(
        self, record: Mapping[str, Any], tools: Tools, trace: Trace | None = None
    ) -> tuple[dict[str, Any], list[Reject]]:
        """Runs one record through the steps: its document row, and the failed rules that rejected it (or none)."""
        (visit,) = self.visits([record], tools, trace=trace)
        return visit.row, visit.rejects

    def visits(
        self,
        records: Sequence[Mapping[str, Any]],
        tools: Tools,
        funnel: Funnel | None = None,
        trace: Trace | None = None,
        tally: BaselineTally | None = None,
    ) -> list["Visit"]:
        """Runs the records through the steps, all of them through one step before the next.

        A page of the audit sample that the prefilter rejects continues; `prefilter_rejected` counts the failed rules.
        Rules on the URL, and what the publisher requests (noindex, noai), apply to every page. With `tally` and a
        baseline, what that does is counted.
        """
        counted = tally if self.baseline else None
        visits = [Visit(record, tools, self.audit, self.baseline if counted else ()) for record in records]
        last = len(self.steps) - 1
        for order, step in enumerate(self.steps):
            lenient = order < last and not step.binding
            for visit in visits:
                if visit.rejects:
                    continue
                visit.take(order, step, lenient, trace)
                if order == last:
                    visit.ends(order)
                if funnel and not visit.rejects:
                    funnel.passed(order, len(visit.document.text), visit.document.tokens)
                if visit.rejects or order == last:
                    visit.rest()
        for visit in visits:
            if counted is not None:
                visit.count(counted)
            if self.audit is not None and not visit.rejects:
                visit.row["signals"] |= {
                    "audit_sample": 1 / visit.share_through if visit.audited else 0.0,
                    "prefilter_rejected": float(visit.prefilter_failures),
                }
        return visits


class Visit:
    """One record in an extract stage: its body is read once, its text is that of the last extraction.

    `rejects`: the failed rules of the step that rejected it. `outcome`: the number of the first step with a failed
    rule, of the last one if there is none; what is known of the page there decides its `share` of the audit sample and
    whether it is in it (`audited`): `chars` of the text, its `language`, None if no step has told it. Such a page goes
    through the `baseline`, which keeps a text of `baseline_tokens` of it, or None. If the prefilter rejects it, it may
    go on all the same, of such pages the part `share_through`; `prefilter_failures` is the number of failed rules that
    would have rejected it.
    """

    def __init__(
        self, record: Mapping[str, Any], tools: Tools, sampling: AuditSampling | None, baseline: Sequence[Step] = ()
    ) -> None:
        self.record = record
        self.tools = tools
        self.sampling = sampling
        self.baseline = baseline
        self.audited = False
        self.share = 0.0
        self.share_through = 0.0
        self.unlikely = False
        self.prefilter_failures = 0
        self.outcome: int | None = None
        self.chars = 0
        self.language: str | None = None
        self.baseline_tokens: int | None = None
        self.row: dict[str, Any] = {}
        self.rejects: list[Reject] = []
        self.document = Document("", record["url"] or "")
        self._known_text: BodyText | None = None

    @cached_property
    def message(self) -> HttpMessage:
        return self.tools.reader.message(self.record)

    @property
    def body(self) -> bytes:
        return self.message.body

    def _text(self) -> BodyText:
        """The body as text; kept for the next extraction unless it is long, since many pages are in memory at once."""
        if self._known_text is not None:
            return self._known_text
        text = BodyText(self.body, self.record["charset_header"], html=self.record["page"] == "html")
        if text.size <= MOST_KEPT:
            self._known_text = text
        return text

    def rest(self) -> None:
        """Frees the body and the document, which only the steps need."""
        self.__dict__.pop("message", None)
        self._known_text = None
        del self.document

    def ends(self, order: int, read: bool = True) -> bool:
        """Takes step `order` for the one at which the prefilter ends, unless an earlier one was; `read`: the page was
        read there. Returns whether the page is in the audit sample, which is decided there."""
        if self.outcome is None:
            self.outcome = order
            self.chars = len(self.document.text)
            if self.sampling:
                self.unlikely = self.sampling.is_unlikely(self.language, read)
                self.share = self.share_through = self.sampling.share_of(self.chars, self.unlikely)
                self.audited = in_sample(self.record, self.share)
            if self.audited and self.baseline:
                self.baseline_tokens = baseline_tokens(self.baseline, self.record, self.message, self.tools)
        return self.audited

    def count(self, tally: BaselineTally) -> None:
        """Counts the page; of the sample, what the baseline does with it."""
        assert self.outcome is not None
        kind = 0 if self.unlikely else self.outcome + 1
        stratum = tally.page(kind, self.chars, self.share, self.language)
        if self.audited:
            tally.sampled(stratum, self.chars, self.baseline_tokens)

    def take(self, order: int, step: Step, lenient: bool, trace: Trace | None) -> None:
        """Runs one step; `lenient`: a page of the audit sample is not rejected."""
        rejects = self._rejects(order, step, lenient, trace)
        self.language = self.document.language or self.language
        if not rejects:
            return
        if self.ends(order, not isinstance(step, Gate | Extract)) and lenient and self.goes_on(rejects):
            self.prefilter_failures += len(rejects)
        else:
            self.rejects = rejects

    def goes_on(self, rejects: Sequence[Reject]) -> bool:
        """Whether a page of the sample goes on although a step of the prefilter rejects it; the first one decides, and
        from then on the page stands for the pages of that share."""
        if self.sampling and not self.prefilter_failures:
            self.share_through = self.sampling.let_through(self.share, rejects)
        return in_sample(self.record, self.share_through)

    def _rejects(self, order: int, step: Step, lenient: bool, trace: Trace | None) -> list[Reject]:
        if isinstance(step, Gate):
            return step.on_record(self.record, self.tools.models, trace)
        if not isinstance(step, Extract):
            return step.run(self.document, self.tools.models, trace)
        html = self.record["page"] == "html"
        undeclared = step.declared_rejects(self.body, trace) if html and step.declared else []
        if undeclared and not (lenient and self.ends(order, read=False) and self.goes_on(undeclared)):
            return undeclared
        extractor = self.tools.extractors[step.name] if html else self.tools.plain
        page = extractor.extract_text(len(self.body), self._text, self.record["url"] or "")
        self.row = document_row(self.record, page, step.engine if html else "plain")
        self.row["truncated"] = self.record["truncated"] or self.message.cut
        self.document = Document(page.text, self.record["url"] or "", tokens=self.row["token_count"])
        if page.shares is not None:
            structure = dict(zip(STRUCTURE_SIGNALS, (*page.shares, float(step.is_markdown)), strict=True))
            self.document.signals |= structure
            self.row["signals"] |= structure
        for name in HEADER_SIGNALS:
            requested = bool(self.record.get(name)) or name in page.robots
            self.document.signals[name] = float(requested)
        return undeclared + step.page_rejects(page, trace)


def baseline_tokens(steps: Sequence[Step], record: Mapping[str, Any], message: HttpMessage, tools: Tools) -> int | None:
    """The tokens of the text that a baseline's rules leave of a page; None if they reject it."""
    document = Document("", record["url"] or "")
    for step in steps:
        if isinstance(step, Gate):
            rejects = step.on_record(record, tools.models)
        elif isinstance(step, Extract):
            extractor = tools.baseline[step.name] if record["page"] == "html" else tools.plain
            page = extractor.extract(message.body, record["charset_header"], document.url)
            rejects = step.page_rejects(page)
            document = Document(page.text, document.url, tokens=count_tokens(page.text))
        else:
            rejects = step.run(document, tools.models, None)
        if rejects:
            return None
    return document.tokens


def extractors_of(steps: Sequence[Step]) -> dict[str, PageExtractor]:
    """The process's extractors of these steps, by the names of the steps."""
    return {
        step.name: page_extractor(step.engine, json.dumps(dict(step.options), sort_keys=True))
        for step in steps
        if isinstance(step, Extract)
    }


@lru_cache(maxsize=8)
def page_extractor(engine: str, options: str) -> PageExtractor:
    """The process's extractor of this kind; its child process starts at the first page and ends with this process."""
    extractor = PageExtractor(engine, json.loads(options))
    atexit.register(extractor.close)
    return extractor


def document_row(record: Mapping[str, Any], page: Page, extractor: str) -> dict[str, Any]:
    names = ("id", "dump", "url", "date", "file_path", "warc_offset", "warc_length", "member_record", "content_digest")
    return {
        **{name: record[name] for name in names},
        "text": page.text,
        "title": page.title,
        "token_count": count_tokens(page.text),
        "charset": page.charset,
        "charset_evidence": page.charset_evidence,
        "extractor": page.by or extractor,
        "source": "web",
        "copies": record["copies"],
        "snapshots": record["snapshots"],
        "dumps": record.get("dumps"),
        "repeats": 1,
        "signals": {schemas.REPLACED: float(page.replaced)},
    }
