"""The cluster filter: documents clustered by meaning, clusters scored, the worst of them dropped.

The clusters are fitted on a bounded sample of the pool, the documents with the least hash of their key
(`pipeline/pool/clusters_model.py`); every document is then assigned to its nearest cluster. A cluster's score is the
mean of a signal over its documents, times the share of them that is not marked (as advertising or spam, by rules on
other signals). The cluster and its score are stored with the documents, for the mixer. A pool that is too small for its
clusters loses nothing, and the manifest says why.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from filters.rules import Rule
from infra.dataset.reader import Dataset, ShardReader, Source
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject
from pipeline.job.tables import Tables
from pipeline.pool.apply import PoolJudge, Verdict
from pipeline.pool.clusters_model import DIGITS, MAX_CHARS, MODEL, fit_clusters, load_clusters
from pipeline.pool.values import Broadcast, WholePart, check_signal, columns_for, signal_values, value_source
from pipeline.steps.batch import plain_texts
from pipeline.steps.pool import DOCUMENTS_A_CLUSTER, mark_of

FACTS = pa.schema([("hash", pa.uint64()), ("value", pa.float64()), ("marked", pa.bool_())])
SAMPLE = pa.schema([("hash", pa.uint64()), ("beginning", pa.string())])
ASSIGNED = pa.schema([("cluster", pa.int32())])
SUMS = pa.schema(
    [("cluster", pa.int64()), ("docs", pa.int64()), ("measured", pa.int64()), ("total", pa.float64()),
     ("marked", pa.int64())]
)  # fmt: skip


@dataclass(frozen=True)
class FactsTask:
    """For every document, row by row: the hash of its key, its score, and whether a rule marks it."""

    score: str
    marks: tuple[Rule, ...]
    schema: pa.Schema = FACTS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["facts", self.score, [repr(rule) for rule in self.marks]])

    def __call__(self, part: Any) -> Iterator[Output]:
        known = {name: value_source(part, name, fresh=True) for name in (self.score, *(r.signal for r in self.marks))}
        place = ["file_path", "warc_offset", "member_record"]
        for batch in part.batches([*columns_for(list(known.values())), *place]):
            values = {name: signal_values(batch, name, how) for name, how in known.items()}
            marked = np.zeros(batch.num_rows, np.bool_)
            for rule in self.marks:
                value = values[rule.signal]
                assert rule.threshold is not None
                marked |= value < rule.threshold if rule.bound == "min" else value > rule.threshold
            places = zip(*(batch.column(name).to_pylist() for name in place), strict=True)
            hashes = [place_hash(*each) for each in places]
            columns = [
                pa.array(hashes, pa.uint64()), pa.array(values[self.score], from_pandas=True), pa.array(marked),
            ]  # fmt: skip
            yield Output(pa.RecordBatch.from_arrays(columns, schema=FACTS))


def place_hash(file_path: str, offset: int, member: int | None) -> int:
    return xxhash.xxh3_64_intdigest(f"clusters:{file_path}:{offset}:{member}".encode("utf-8", "replace"))


@dataclass(frozen=True)
class SampleTask:
    """The texts of documents whose hash is at most `limit`."""

    limit: int
    schema: pa.Schema = SAMPLE

    @property
    def fingerprint(self) -> str:
        return sha256_json(["sample", self.limit, MAX_CHARS])

    def __call__(self, part: Any, facts: ShardReader) -> Iterator[Output]:
        hashes = facts.table(["hash"])["hash"].to_numpy()
        start = 0
        for batch in part.batches(["text", "signals"]):
            here = hashes[start : start + batch.num_rows]
            start += batch.num_rows
            chosen = here <= np.uint64(self.limit)
            beginnings = [text[:MAX_CHARS] for text in plain_texts(batch.filter(pa.array(chosen)))]
            if beginnings:
                columns = [pa.array(here[chosen]), pa.array(beginnings, pa.string())]
                yield Output(pa.RecordBatch.from_arrays(columns, schema=SAMPLE))


def sample_limit(docs: int, sample: int) -> int:
    """The hash limit for which a little more than `sample` of `docs` documents are expected; the maximum if fewer."""
    wanted = sample + sample // 5 + 200
    return 2**64 - 1 if docs <= wanted else (wanted << 64) // docs


@dataclass(frozen=True)
class FitTask:
    """Fits the frozen model on the `sample` documents with the least hashes; no row if none can be fitted."""

    clusters: int
    sample: int
    schema: pa.Schema = MODEL

    @property
    def fingerprint(self) -> str:
        return sha256_json(["fit-clusters", self.clusters, self.sample])

    def __call__(self, part: WholePart) -> Iterator[Output]:
        # documents of one key, of several datasets side by side, stay in the order of these
        texts = part.dataset.to_arrow().sort_by("hash")["beginning"][: self.sample].to_pylist()
        model = fit_clusters(texts, self.clusters)
        if model:
            yield Output(pa.RecordBatch.from_pylist(model.rows(), MODEL))


@dataclass(frozen=True)
class AssignTask:
    """The cluster of every document, row by row; null if the document has no term of the model's vocabulary."""

    schema: pa.Schema = ASSIGNED
    fingerprint: str = "assign-clusters"

    def __call__(self, part: Any, whole: WholePart) -> Iterator[Output]:
        model = load_clusters(whole)
        for batch in part.batches(["text", "signals"]):
            found = model.assign(plain_texts(batch)) if model else [None] * batch.num_rows
            yield Output(pa.RecordBatch.from_pydict({"cluster": found}, ASSIGNED))


@dataclass(frozen=True)
class SumTask:
    """One row for each cluster of a shard."""

    schema: pa.Schema = SUMS
    fingerprint: str = "sum-clusters"

    def __call__(self, assigned: ShardReader, facts: ShardReader) -> Iterator[Output]:
        about = facts.table(["value", "marked"])
        values, marked = about["value"].to_numpy(), about["marked"].to_numpy()
        clusters = assigned.table()["cluster"].fill_null(-1).to_numpy()
        rows = []
        for cluster in np.unique(clusters[clusters >= 0]).tolist():
            mine = clusters == cluster
            known = values[mine & ~np.isnan(values)]
            rows.append(
                {"cluster": cluster, "docs": int(mine.sum()), "measured": known.size,
                 "total": math.fsum(known.tolist()), "marked": int(marked[mine].sum())}
            )  # fmt: skip
        if rows:
            yield Output(pa.RecordBatch.from_pylist(rows, SUMS))


@dataclass(frozen=True)
class AddSums:
    """One row for each cluster of a partition. `fsum` rounds once, so the order of the shards does not matter."""

    schema: pa.Schema = SUMS
    fingerprint: str = "pool:add-sums"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        groups: dict[int, list[dict[str, Any]]] = {}
        for batch in rows:
            for row in batch.select(SUMS.names).to_pylist():
                groups.setdefault(row["cluster"], []).append(row)
        added = [
            {"cluster": cluster, "total": math.fsum(row["total"] for row in mine)}
            | {name: sum(row[name] for row in mine) for name in ("docs", "measured", "marked")}
            for cluster, mine in sorted(groups.items())
        ]
        if added:
            yield Output(pa.RecordBatch.from_pylist(added, SUMS))


@dataclass(frozen=True)
class Cluster:
    """`score`: mean of the signal, times the share that is not marked; None if too few documents have the signal."""

    number: int
    docs: int
    measured: int
    marked: int
    score: float | None
    terms: str
    kept: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {
            "cluster": self.number, "docs": self.docs, "measured": self.measured, "marked": self.marked,
            "score": self.score, "kept": self.kept, "terms": self.terms,
        }  # fmt: skip


@dataclass(frozen=True)
class ClusterJudge:
    """Rejects the documents of dropped clusters; `threshold`: the score of the worst kept cluster that has one. The
    ledger's evidence is the cluster's terms."""

    step: str
    clusters: tuple[Cluster, ...]
    threshold: float | None
    names: tuple[str, ...] = ("cluster", "cluster_score")

    @property
    def fingerprint(self) -> str:
        return sha256_json(["clusters", self.step, self.threshold, [cluster.as_dict() for cluster in self.clusters]])

    def __call__(self, known: dict[str, Any]) -> Verdict:
        number = known["cluster"] if self.clusters else None
        if number is None:
            return Verdict(dict.fromkeys(self.names), None)
        cluster = self.clusters[number]
        signals = {"cluster": float(number), "cluster_score": cluster.score}
        if cluster.kept:
            return Verdict(signals, None)
        evidence = f"cluster {number}: {cluster.terms}"
        return Verdict(signals, Reject(self.step, "min_cluster_score", cluster.score, self.threshold, evidence))


def decide_clusters(
    tables: Tables, step: str, options: Mapping[str, Any], source: Source
) -> tuple[PoolJudge, Dataset, dict[str, Any]]:
    """Returns the judge by clusters, the table that it reads, and the clusters for the manifest."""
    marks = tuple(mark_of(mark, f"stage {tables.stage!r}") for mark in options["marks"])
    for name in (options["score"], *(rule.signal for rule in marks)):
        check_signal(name, source, f"stage {tables.stage!r}")
    facts = tables.map("facts", FactsTask(options["score"], marks), source)
    docs = facts.manifest.counts["out"]
    count = options["clusters"]
    if docs < count * DOCUMENTS_A_CLUSTER:
        note = f"nothing dropped: {docs} documents are fewer than {DOCUMENTS_A_CLUSTER} for each of {count} clusters"
        return ClusterJudge(step, (), None), facts, {"docs": docs, "found": [], "note": note}
    sample = tables.map("sample", SampleTask(sample_limit(docs, options["sample"])), source, facts)
    fitted = tables.map("model", FitTask(count, options["sample"]), Broadcast(sample))
    assigned = tables.map("assigned", AssignTask(), source, Broadcast(fitted, len(source.parts())))
    sums = tables.reduce("added", [tables.map("sums", SumTask(), assigned, facts)], "cluster", AddSums())
    found = drop_worst(clusters_of(sums, fitted, options["min_size"]), options["drop"], docs)
    about: dict[str, Any] = {"docs": docs, "found": [cluster.as_dict() for cluster in found]}
    if not found:
        about["note"] = f"nothing dropped: the texts are too short or too alike for {count} clusters"
    return ClusterJudge(step, found, threshold_of(found)), assigned, about


def clusters_of(sums: Dataset, fitted: Dataset, min_size: int) -> list[Cluster]:
    """Every cluster of the model by number, including empty ones."""
    (whole,) = Broadcast(fitted).parts()
    model = load_clusters(whole)
    known = {row["cluster"]: row for part in sums.parts() for row in part.table().to_pylist()}
    clusters = []
    for number, label in enumerate(model.labels if model else ()):
        row = known.get(number, {"docs": 0, "measured": 0, "total": 0.0, "marked": 0})
        score = None
        if row["measured"] >= max(min_size, 1):
            score = round(row["total"] / row["measured"] * (1 - row["marked"] / row["docs"]), DIGITS)
        clusters.append(Cluster(number, row["docs"], row["measured"], row["marked"], score, label))
    return clusters


def drop_worst(clusters: list[Cluster], drop: float | int, docs: int) -> tuple[Cluster, ...]:
    """Drops the worst `drop` clusters; for a share, as many of the worst as together have at most that share of `docs`.

    Clusters without a score are kept, and so is the best that has one. Equal scores: the lower number is dropped first.
    """
    judged = sorted((c for c in clusters if c.score is not None), key=lambda c: (c.score, c.number))[:-1]
    if isinstance(drop, int):
        worst = {cluster.number for cluster in judged[:drop]}
    else:
        left = Fraction(repr(drop)) * docs
        worst = set()
        for cluster in judged:
            left -= cluster.docs
            if left < 0:
                break
            worst.add(cluster.number)
    return tuple(replace(cluster, kept=cluster.number not in worst) for cluster in clusters)


def threshold_of(clusters: tuple[Cluster, ...]) -> float | None:
    return min((c.score for c in clusters if c.kept and c.score is not None), default=None)
