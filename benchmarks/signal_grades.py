"""How well a dataset's signals tell what readers found: AUC of quality and of each property, by language.

    python -m benchmarks signal_grades --documents OUT/08-clusters --graded graded.jsonl

`--documents`: a dataset whose documents have the signals `quality` and those of `properties`. `--graded`: rows of `id`
(a document's address, or its id), `grades` (1 to 5 overall, one of each reader) and, where readers gave them, a grade
from 0 to 3 for each property (`informative`, `literary` and so on; a list where there were several readers). A text is
good with a mean of 3, very good with 3.75, and has a property with a mean of 2. AUC is of these against the others;
matched in length it is of pairs of one class of length (six classes, by quantiles of the language's texts), so that a
signal that tells length alone has about .5; "-" where no class has texts of both kinds. Intervals: 95 %, of draws of
hosts with replacement, where there are five hosts and more.

Nothing is fitted: for a figure of unseen pages, the models of the run have nothing of these texts.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.grades import GOOD, VERY_GOOD
from benchmarks.rows import GRADES, ID, Field, checked_rows, short
from benchmarks.shared import markdown
from filters.url import host
from infra.dataset.reader import Dataset
from infra.dataset.schema import signal_names
from infra.errors import UsageError
from pipeline.fit.bag_of_words import LENGTH_CLASSES
from pipeline.fit.properties import HAS, TOP, matched_auc
from pipeline.fit.texts import auc
from pipeline.models.properties import PROPERTIES

DRAWS, SEED = 400, 0
# Draws of fewer hosts tell no interval.
LEAST_HOSTS = 5
QUALITY: Final = "quality"
COLUMNS = ("language", "what", "by", "texts", "hosts", "have it", "AUC (95 %)", "matched in length (95 %)")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Text(NamedTuple):
    """A document that readers graded: its host (without one, its id), its characters, its signals and the mean of the
    grades by name."""

    host: str
    length: int
    signals: Mapping[str, float]
    grades: Mapping[str, float]


class SignalTask(NamedTuple):
    what: str
    grade: str
    least: float
    by: str


TASKS = (
    SignalTask("good", "overall", GOOD, QUALITY),
    SignalTask("very good", "overall", VERY_GOOD, QUALITY),
    SignalTask("good", "overall", GOOD, "length"),
    *(SignalTask(name, name, HAS, name) for name in PROPERTIES),
)


def _property_fault(value: Any) -> str | None:
    given = value if isinstance(value, list) else [value]
    fine = given and all(type(each) in (int, float) and 0 <= each <= TOP for each in given)
    return None if fine else f"is {short(value)}"


FIELDS = [Field(name, f"0 to {TOP}, or a list of these", _property_fault, may_lack=True) for name in PROPERTIES]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--documents", type=Path, required=True, help="a dataset of documents with their signals")
    parser.add_argument("--graded", nargs="+", type=Path, required=True, help="JSON lines: id, grades, properties")


def run(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in args.graded:
        for row in checked_rows(path, ID, GRADES, *FIELDS):
            grades = given[str(row["id"])]
            grades["overall"] += row["grades"]
            for name in PROPERTIES:
                if name in row:
                    grades[name] += row[name] if isinstance(row[name], list) else [row[name]]
    texts = texts_of(Dataset(args.documents), given)
    if not texts:
        raise UsageError(f"no document of {args.documents} has an id or address of {', '.join(map(str, args.graded))}")
    rows = [
        {"language": language, **found}
        for language, mine in sorted(texts.items())
        for task in TASKS
        if (found := measured(mine, task))
    ]
    if not rows:
        raise UsageError(f"all graded documents of {args.documents} are of one kind: give good and poor ones")
    return {"texts": {language: len(mine) for language, mine in texts.items()}, "rows": rows}


def texts_of(documents: Dataset, given: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, list[Text]]:
    """By language, the documents that have grades, by their address or their id."""
    known = signal_names(documents.schema) if "signals" in documents.schema.names else []
    wanted = [name for name in (QUALITY, *PROPERTIES) if name in known]
    if not wanted:
        raise UsageError(f"{documents.folder} has no signal {QUALITY} nor one of properties: give a stage after both")
    found = defaultdict(list)
    columns = ["id", "url", "language", "text", *(f"signals.{name}" for name in wanted)]
    for row in (row for part in documents.parts() for batch in part.batches(columns) for row in batch.to_pylist()):
        names = [name for name in sorted({row["url"], row["id"]} - {None}) if name in given]
        if not names:
            continue
        grades: dict[str, list[float]] = defaultdict(list)
        for name in names:
            for what, each in given[name].items():
                grades[what] += each
        signals = {name: value for name, value in row["signals"].items() if value is not None}
        signals["length"] = len(row["text"])
        means = {what: float(np.mean(each)) for what, each in grades.items()}
        source = host(row["url"] or "") or str(row["id"])
        found[row["language"] or ""].append(Text(source, signals["length"], signals, means))
    return dict(found)


def measured(texts: Sequence[Text], task: SignalTask) -> dict[str, Any] | None:
    """The two AUC with their intervals; null where no text or every one has it, or none has the grade or the signal."""
    texts = [text for text in texts if task.grade in text.grades and task.by in text.signals]
    values = np.array([text.signals[task.by] for text in texts])
    has = np.array([text.grades[task.grade] >= task.least for text in texts], bool)
    if not 0 < has.sum() < len(texts):
        return None
    lengths = np.array([text.length for text in texts])
    of_class = np.digitize(lengths, np.quantile(lengths, np.arange(1, LENGTH_CLASSES) / LENGTH_CLASSES))
    hosts = defaultdict(list)
    for number, text in enumerate(texts):
        hosts[text.host].append(number)
    members = list(hosts.values())
    rng = np.random.default_rng(SEED)
    both = [_both(values, has, of_class)]
    for _ in range(DRAWS if len(members) >= LEAST_HOSTS else 0):
        drawn = np.concatenate([members[number] for number in rng.integers(len(members), size=len(members))])
        if 0 < has[drawn].sum() < len(drawn):
            both.append(_both(values[drawn], has[drawn], of_class[drawn]))
    found = {"what": task.what, "by": task.by, "texts": len(texts), "hosts": len(members), "has": int(has.sum())}
    for name, drawn_values in (("auc", [each[0] for each in both]), ("matched", [each[1] for each in both])):
        told = not np.isnan(drawn_values[0])
        ends = np.nanquantile(drawn_values, [0.025, 0.975]) if told and len(both) > 1 else None
        found[name] = round(drawn_values[0], 3) if told else None
        found[f"{name} interval"] = None if ends is None else [round(float(each), 3) for each in ends]
    return found


def _both(values: Floats, has: Bools, of_class: NDArray[np.intp]) -> tuple[float, float]:
    """The AUC, and the one matched in length: NaN where no class of length has texts of both kinds."""
    pairs = any(0 < has[of_class == each].sum() < (of_class == each).sum() for each in range(LENGTH_CLASSES))
    return auc(values[has], values[~has]), matched_auc(values, has, of_class) if pairs else float("nan")


def show(measures: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [
            row["language"], row["what"], row["by"], f"{row['texts']:,}", f"{row['hosts']:,}", f"{row['has']:,}",
            _with(row["auc"], row["auc interval"]), _with(row["matched"], row["matched interval"]),
        ]
        for row in measures["rows"]
    ]  # fmt: skip
    yield from markdown(COLUMNS, rows)


def _with(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")
