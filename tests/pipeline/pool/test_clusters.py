"""The cluster filter: planted topics are found, the worst is dropped with evidence, small pools lose nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.pool.clusters import Cluster, drop_worst, sample_limit, threshold_of
from pipeline.pool.clusters_model import MAX_CHARS, fit_clusters, terms
from pipeline.steps.pool import PoolRule
from tests.pipeline.pools import TOPICS, judged, topical

OPTIONS = {"clusters": 4, "drop": 1, "score": "characters"}


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return judged(tmp_path_factory.mktemp("clusters"), topical(200), "clusters", **OPTIONS)


def topic(row: dict[str, Any]) -> str:
    return str(row["id"]).split("-")[0]


def test_clusters_are_the_topics_chinese_among_them(filtered: Dataset) -> None:
    assert Counter(topic(row) for row in filtered.ledger().to_pylist()) == {"casino": 50}
    kept = filtered.to_arrow().to_pylist()
    clusters = {(topic(row), row["signals"]["cluster"]) for row in kept}
    assert len(clusters) == len({number for _, number in clusters}) == 3
    found = filtered.manifest.extra["pool"]["found"]
    labels = {topic(row): found[int(row["signals"]["cluster"])]["terms"] for row in kept}
    assert set(labels["nature"].split()) <= set(TOPICS["nature"])
    assert any(word in labels["中文"] for word in TOPICS["中文"])


def test_the_ledger_has_score_threshold_and_the_terms_of_the_cluster(filtered: Dataset) -> None:
    found = filtered.manifest.extra["pool"]["found"]
    (worst,) = [cluster for cluster in found if not cluster["kept"]]
    least = min(cluster["score"] for cluster in found if cluster["kept"])
    for row in filtered.ledger().to_pylist():
        assert (row["step"], row["rule"]) == ("rule", "min_cluster_score")
        assert (row["value"], row["threshold"]) == (worst["score"], least) and worst["score"] < least
        assert row["survivor"] == f"cluster {worst['cluster']}: {worst['terms']}"
    assert set(worst["terms"].split()) <= set(TOPICS["casino"])
    assert filtered.manifest.counts["rejected"] == filtered.ledger().num_rows == worst["docs"] == 50


def test_a_cluster_s_score_is_the_mean_of_its_documents(filtered: Dataset) -> None:
    rows = filtered.to_arrow().to_pylist()
    for number in {row["signals"]["cluster"] for row in rows}:
        mine = [row for row in rows if row["signals"]["cluster"] == number]
        mean = np.mean([len(row["text"]) for row in mine])
        assert {row["signals"]["cluster_score"] for row in mine} == {round(float(mean), 6)}


def test_marks_lower_a_score(tmp_path: Path) -> None:
    rows = [row | {"text": row["text"] * (5 if topic(row) == "music" else 1)} for row in topical(200)]
    marks = [{"signal": "characters", "max": 600}]
    dataset = judged(tmp_path, rows, "clusters", **OPTIONS | {"marks": marks})
    assert Counter(topic(row) for row in dataset.ledger().to_pylist()) == {"music": 50}
    (worst,) = [cluster for cluster in dataset.manifest.extra["pool"]["found"] if not cluster["kept"]]
    assert (worst["marked"], worst["score"]) == (50, 0.0)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (topical(79), "79 documents are fewer than 20 for each of 4 clusters"),
        ([row | {"text": "the same words in every one"} for row in topical(200)], "too short or too alike"),
        ([row | {"text": "12 34 !!"} for row in topical(200)], "too short or too alike"),
        ([row | {"text": ""} for row in topical(200)], "too short or too alike"),
    ],
    ids=["small", "alike", "no words", "empty"],
)
def test_a_pool_without_clusters_loses_nothing_and_the_manifest_says_so(
    rows: list[dict[str, Any]], says: str, tmp_path: Path
) -> None:
    dataset = judged(tmp_path, rows, "clusters", **OPTIONS)
    assert says in dataset.manifest.extra["pool"]["note"]
    assert dataset.manifest.counts["out"] == len(rows)
    assert all(row["signals"]["cluster"] is None for row in dataset.to_arrow().to_pylist())


def test_documents_without_known_terms_pass_unassigned(tmp_path: Path) -> None:
    odd = [{"id": f"odd-{i}", "text": f"?? {i}", "language": "en"} for i in range(10)]
    dataset = judged(tmp_path, [*odd, *topical(200)], "clusters", **OPTIONS)
    assert [topic(row) for row in dataset.to_arrow().to_pylist() if row["signals"]["cluster"] is None] == ["odd"] * 10
    assert dataset.manifest.counts["rejected"] == 50


def test_a_score_measured_on_too_few_documents_drops_none(tmp_path: Path) -> None:
    dataset = judged(tmp_path, topical(200), "clusters", **OPTIONS | {"min_size": 51})
    assert dataset.manifest.counts["rejected"] == 0
    assert {cluster["score"] for cluster in dataset.manifest.extra["pool"]["found"]} == {None}


def test_a_fit_depends_on_the_texts_alone() -> None:
    texts = [row["text"] for row in topical(120)]
    first, second = (fit_clusters(texts, 4) for _ in range(2))
    assert first and second and first.rows() == second.rows()
    alone = [first.assign([text])[0] for text in texts]
    assert first.assign(texts) == alone


SCORES = st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.5])


@given(st.lists(st.tuples(st.integers(0, 500), SCORES), max_size=30), st.sampled_from([0.05, 0.1, 0.5, 1, 3, 29]))
def test_the_worst_are_dropped_and_no_more_than_wanted(rows: list[tuple[int, float | None]], drop: float) -> None:
    clusters = [Cluster(i, docs, docs, 0, score, "") for i, (docs, score) in enumerate(rows)]
    docs = sum(cluster.docs for cluster in clusters)
    found = drop_worst(clusters, drop, docs)
    gone = [cluster for cluster in found if not cluster.kept]
    if isinstance(drop, int):
        assert len(gone) <= drop
    else:
        assert sum(cluster.docs for cluster in gone) <= drop * docs + 1e-9
    threshold = threshold_of(found)
    for cluster in gone:
        assert threshold is not None and cluster.score is not None and cluster.score <= threshold
    assert [cluster.number for cluster in found] == list(range(len(rows)))


def test_ties_go_by_the_number_of_the_cluster() -> None:
    clusters = [Cluster(i, 10, 10, 0, 0.5, "") for i in range(5)]
    assert [cluster.number for cluster in drop_worst(clusters, 0.4, 50) if not cluster.kept] == [0, 1]


@given(st.integers(1, 10**12), st.integers(1, 10**6))
def test_the_sample_is_bounded_whatever_the_pool(docs: int, sample: int) -> None:
    expected = docs * sample_limit(docs, sample) / 2**64
    assert min(docs, sample) * 0.999 <= expected <= max(1.2 * sample + 201, 0)


@given(st.text(st.characters(codec=None), max_size=200))
def test_terms_of_any_text(text: str) -> None:
    for term in terms(text):
        assert term and len(term) <= 30


def test_terms_of_mixed_scripts() -> None:
    assert list(terms("The iPhone在中国 wins: 42 ไทย a")) == ["the", "iphone", "在中", "中国", "wins", "ไท", "ทย"]
    assert list(terms("x" * 31 + " 水 " + "é̈t́é")) == ["水", "é̈t́é"]
    assert sum(1 for _ in terms("河" * 10**6)) == MAX_CHARS - 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "drop is None"),
        ({"drop": 1.0}, "drop is 1.0"),
        ({"drop": 100}, "drop is 100"),
        ({"drop": True}, "drop is True"),
        ({"drop": 0.1, "clusters": 1}, "1 clusters"),
        ({"drop": 0.1, "clusters": 50, "sample": 999}, "50 clusters of a sample of 999"),
        ({"drop": 0.1, "min_size": 0.5}, "min_size is 0.5"),
        ({"drop": 0.1, "side": "low"}, "no option 'side'"),
        ({"drop": 0.1, "marks": "x"}, "marks a list"),
        ({"drop": 0.1, "marks": [{"signal": "words"}]}, "a mark is"),
        ({"drop": 0.1, "marks": [{"signal": "words", "max": "3"}]}, "must be a number"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        PoolRule("topics", "clusters", options).check()


def test_a_score_that_nothing_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no document carries signals\.quality"):
        judged(tmp_path, topical(100), "clusters", clusters=4, drop=1)
