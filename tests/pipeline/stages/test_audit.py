"""The audit sample's false reject rate agrees with the documents, with Wilson's interval."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.manifest import Kind
from pipeline.job.intervals import wilson
from pipeline.stages.audit import audit_sample, audit_text
from tests.pipeline.command import answer, refinery
from tests.pipeline.datasets import document, make_dataset, record
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import PREFILTER, judge, small

SIGNALS = ("audit_sample", "prefilter_rejected")


def sampled(number: int, audit: float | None, prefilter: float | None) -> dict[str, object]:
    return document(number, signals={"audit_sample": audit, "prefilter_rejected": prefilter})


def test_counted_by_hand(tmp_path: Path) -> None:
    """Five documents of the sample; one that is kept failed the prefilter, and stands for two pages."""
    records = make_dataset(tmp_path / "1", "ingest", [record(n) for n in range(9)], [], kind=Kind.RECORDS)
    rows = [sampled(0, 1, 0), sampled(1, 2, 2), sampled(2, 1, 0), sampled(3, 1, 0), sampled(4, 1, 1)]
    rows += [sampled(5, 0, 0), sampled(6, 0, 0), sampled(7, None, None)]
    extracted = make_dataset(tmp_path / "2", "extract", rows, [], signals=SIGNALS)
    kept = make_dataset(tmp_path / "3", "filter", [row for row in rows if row["warc_offset"] != 4], [], signals=SIGNALS)
    found = audit_sample([records, extracted, kept])
    low, high = wilson(1, 8 / 2)
    assert found == {
        "sampled": 5, "kept": 7, "prefilter_rejected": 1, "lost": 2.0, "share": 0.25, "interval": [low, high],
    }  # fmt: skip
    output = audit_text(found)
    assert "rejected 1 of the 7 documents that were kept, which stand for 2: 25.0% (95 % interval 4.6% to" in output


def test_nothing_sampled_and_nothing_kept(tmp_path: Path) -> None:
    plain = make_dataset(tmp_path / "1", "extract", [document(1)], [])
    assert audit_sample([plain]) is None
    extracted = make_dataset(tmp_path / "2", "extract", [sampled(1, 1, 0)], [], signals=SIGNALS)
    empty = make_dataset(tmp_path / "3", "filter", [], [], signals=SIGNALS)
    found = audit_sample([extracted, empty])
    assert found == {"sampled": 1, "kept": 0, "prefilter_rejected": 0, "lost": 0.0, "share": None, "interval": None}
    assert "none of the 1 documents in it was kept" in audit_text(found)
    outside = make_dataset(tmp_path / "4", "filter", [sampled(2, 0, 0)], [], signals=SIGNALS)
    found = audit_sample([outside])
    assert found == {"sampled": 0, "kept": 1, "prefilter_rejected": 0, "lost": 0.0, "share": None, "interval": None}
    assert "no document is in it" in audit_text(found)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # Wilson intervals of Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_intervals(hits: int, of: int, low: float, high: float) -> None:
    assert [round(end, 4) for end in wilson(hits, of) or []] == [low, high]


@given(st.integers(1, 10**6), st.data())
def test_an_interval_holds_its_share(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    low, high = wilson(hits, of) or (1.0, 0.0)
    assert 0 <= low <= hits / of + 1e-6 and hits / of - 1e-6 <= high <= 1 and high > low
    assert wilson(of - hits, of) == pytest.approx([1 - high, 1 - low], abs=2e-6)


def test_a_run_reports_the_loss_of_its_prefilter(tmp_path: Path) -> None:
    """All pages are in the sample; the prefilter rejects those of fewer than 440 words, the recipe of 50."""
    write_crawl(tmp_path / "crawl", files=1, each=14)
    size = judge("prefilter-size", {"signal": "words", "min": 440})
    (tmp_path / "prefilter.toml").write_text(small(PREFILTER, size, audit=1))
    words = ("run", "--recipe", tmp_path / "prefilter.toml", "--input", tmp_path / "crawl", "--out", tmp_path / "out")
    found = answer(*words)["audit"]
    assert found["sampled"] >= found["kept"] > found["prefilter_rejected"] > 0
    assert found["share"] == round(found["prefilter_rejected"] / found["kept"], 6)
    assert found["lost"] == found["prefilter_rejected"]
    assert audit_text(found) in refinery(*words)
    (tmp_path / "plain.toml").write_text(small())
    words = ("run", "--recipe", tmp_path / "plain.toml", "--input", tmp_path / "crawl", "--out", tmp_path / "plain")
    assert answer(*words)["audit"] is None
