"""The report's comparison of recipes and its sample pages, against small cases made by hand."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from infra.hashing import readable_json
from pipeline.compare.compare import COMPARISON, summary
from pipeline.job.intervals import wilson
from pipeline.report.charts import Bar, FunnelChart, histogram_svg, log_bars_svg, percent
from pipeline.report.report import write_report
from pipeline.report.rows import RuleSample, kept_signals, nearest_within, part_of, rows_at, rows_by_key
from pipeline.report.samples import Texts
from pipeline.report.views import StageView, bound_of, signal_of, top_rules
from tests.pipeline.command import refinery
from tests.pipeline.comparisons import EVIL, EVIL_URL, stages, write_comparison
from tests.pipeline.datasets import document, make_dataset, reject
from tests.pipeline.pages import write_crawl, write_warc
from tests.pipeline.recipe_texts import PREFILTER, judge, small


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pages") / "compare"
    folder.mkdir()
    write_comparison(folder)
    write_report([folder], folder.parent / "report.html")
    return (folder.parent / "report.html").read_text("utf-8")


def section(page: str, key: str) -> str:
    """The words of a section: tags out, entities read, a bar between cells."""
    found = re.search(rf'<h2 id="{key}">(.*?)</section>', page, re.DOTALL)
    assert found, f"no section {key}"
    return " ".join(unescape(re.sub(r"<[^>]+>", " | ", found[1])).split())


def group(page: str, heading: str) -> list[tuple[str, str, str]]:
    """(URL, facts, text) of the pages of a folded group."""
    found = re.search(rf"<summary>{re.escape(heading)}</summary>(.*?)</details>", page, re.DOTALL)
    assert found, f"no group {heading}"
    pages = found[1].split('<div class="page">')[1:]
    parts = [[re.search(rf'class="{c}"[^>]*>(.*?)</', p, re.DOTALL) for c in ("url", "facts", "text")] for p in pages]
    return [tuple(unescape(part[1]) if part else "" for part in each) for each in parts]  # type: ignore[misc]


def test_pages_on_both_sides_of_a_threshold(page: str) -> None:
    pages = group(page, "strict: filter / size/min_words")
    assert [facts for _, facts, _ in pages] == [
        "just kept · value 130, threshold 130 · zh",
        "just kept · value 131, threshold 130 · en",
        "just rejected · value 129, threshold 130",
        "just rejected · value 128, threshold 130",
        "clearly rejected · value 100, threshold 130",
        "clearly rejected · value 101, threshold 130",
    ]
    assert pages[2][0] == "https://example.org/29" and pages[2][2].startswith("text of page 29 xxx")
    assert pages[1][2].startswith("text of page 31 xxx") and len(pages[1][2]) == 201
    assert pages[4][0] == EVIL_URL and pages[4][2].startswith(EVIL)
    assert pages[0][0] == EVIL_URL and pages[0][2] == EVIL


def to_read(page: str, heading: str) -> list[tuple[str, str, str]]:
    """(URL, facts, text) of the pages under a heading, each of which is folded."""
    found = re.search(rf"<summary>{re.escape(heading)}</summary>(.*?)</section>|$", page, re.DOTALL)
    assert found and found[1], f"no group {heading}"
    inside = found[1].split('<details class="group">')[0]
    parts = re.findall(
        r'<details class="page"><summary><span class="url" dir="auto">(.*?)</span><br><span class="facts" '
        r'dir="auto">(.*?)</span></summary>\s*<p class="text" dir="auto">(.*?)</p>\s*</details>', inside, re.DOTALL,
    )  # fmt: skip
    return [(unescape(url), unescape(facts), unescape(text)) for url, facts, text in parts]


def test_thirty_pages_on_each_side_can_be_read(page: str) -> None:
    kept, rejected = to_read(page, "strict: kept"), to_read(page, "strict: just rejected")
    assert len(kept) == 29 and len(rejected) == 30  # it keeps 29 in all
    assert len({url for url, _, _ in kept}) >= 28 and any(text == EVIL for _, _, text in kept)
    assert rejected[0][1] == "just rejected by size/min_words · value 129, threshold 130"
    assert rejected[0][2].startswith("text of page 29 ") and len(rejected[0][2]) > 400
    assert any(text.startswith(EVIL) for _, _, text in rejected)


def test_hosts_and_languages_before_and_after(page: str) -> None:
    words = section(page, "composition")
    assert "strict: by language" in words and "strict: by host" in words
    row = re.search(r"\| en \| \| ([^|]*) \| \| [^|]* \| \| ([^|]*) \| \| [^|]* \| \| ([^|]*) \| \| ([^|]*) \|", words)
    assert row, words
    before, after = int(row[1]), int(row[2])
    told = [percent(after / before), " to ".join(map(percent, wilson(after, before)))]
    assert [row[3], row[4]] == [" ".join(cell.split()) for cell in told]


def test_a_copy_names_its_survivor(page: str) -> None:
    ((url, facts, text),) = group(page, "strict: copies / copies/text")
    assert url == "https://example.org/33" and facts == "rejected · see <urn:uuid:31> (similarity 1)"
    assert text.startswith("text of page 33 ")


def test_recipes_beside_each_other(page: str) -> None:
    assert "compare: side by side" in section(page, "funnels")
    assert "strict | | 48.3 % · 48.3 %" in section(page, "funnels")
    words = section(page, "overlap")
    assert "| lax | | · | | 31 (51.7 %) |" in words and "| strict | | 0 | | · |" in words
    assert "lax, not strict | | 31 | | size 30, copies 1 | | size/min_words 30, copies/text 1" in words
    words = section(page, "gold")
    # of the pages 1 to 40, ten are kept: 30 to 40 but 33; of the other twenty all but page 0
    assert "strict | | 25.0 % · 95.0 %" in words
    assert (
        "Long: 40 pages whose true text has 9 words or more. The rest: 0 with a shorter one, 20 without one." in words
    )
    assert f"type: {EVIL} | | 20 | | 0 |" in words
    assert "strict | | 9.0 | | 8.0 | | 7.5" in section(page, "cost")
    assert "language en" in section(page, "ratios") and "95 % of tokens" in section(page, "ratios")


def test_the_audit_sample_is_a_line_at_the_top(page: str) -> None:
    assert "strict, audit sample: the prefilter would have rejected 1 of the 4 documents" in section(page, "what")


def test_the_result_of_a_pool_step_is_a_table(page: str) -> None:
    words = section(page, "pool")
    assert f"7 | | {EVIL} | | 0.25 | | a, {EVIL}" in words and "keep 0.5, method clusters" in words


def test_hostile_pages_stay_text(page: str) -> None:
    assert "<script" not in page and "<img" not in page and "onerror=alert(2)>" not in page
    assert page.count("alert(1)") > 5


def test_a_comparison_without_its_datasets_or_from_an_older_version(tmp_path: Path) -> None:
    write_comparison(tmp_path / "a")
    body = json.loads((tmp_path / "a" / COMPARISON).read_text())
    for name in ("overlap", "gold"):
        del body[name]
    for recipe in body["recipes"].values():
        del recipe["audit"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / COMPARISON).write_text(json.dumps(body))
    write_report([tmp_path / "b"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    titles = re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", page)
    assert titles == ["What was run", "Funnels", "Ratios", "Rejected, by rule", "Languages"]


@pytest.mark.parametrize("broken", ['{"rows": 1}', '{"rows": [{"kept": {"x": 1}}]}', '{"rows": [1]}', "3"])
def test_a_broken_comparison_is_one_line(tmp_path: Path, broken: str) -> None:
    write_comparison(tmp_path)
    body = json.loads((tmp_path / COMPARISON).read_text()) | {"gold": json.loads(broken)}
    (tmp_path / COMPARISON).write_text(json.dumps(body))
    with pytest.raises(UsageError, match="is not the output of `refinery compare`"):
        write_report([tmp_path], tmp_path / "report.html")


def test_a_printed_comparison_with_its_cost_is_shown_once(tmp_path: Path) -> None:
    write_comparison(tmp_path / "compare")
    body = json.loads((tmp_path / "compare" / COMPARISON).read_text())
    (tmp_path / COMPARISON).write_text(json.dumps(body | {"cost": {"recipes": {}}}))
    write_report([tmp_path], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8").count("side by side</h3>") == 1


PREFILTERED = small(PREFILTER, judge("prefilter-size", {"signal": "words", "min": 100}))


def test_pages_without_a_text_are_read_again_where_their_archive_is_at_hand(tmp_path: Path) -> None:
    crawl, out, heading = tmp_path / "crawl", tmp_path / "out", "out: extract / prefilter-size/min_words"
    write_crawl(crawl, files=1, each=12)
    evil = "<html><body><main><p>Short and &lt;script&gt;alert(1)&lt;/script&gt; bad.</p></main></body></html>"
    write_warc(crawl / "evil.warc.gz", [("http://evil.example/<script>", evil)])
    (tmp_path / "prefilter.toml").write_text(PREFILTERED)
    refinery("run", "--recipe", tmp_path / "prefilter.toml", "--input", crawl, "--out", out)
    write_report([out], tmp_path / "there.html")
    pages = group((tmp_path / "there.html").read_text("utf-8"), heading)
    assert {url: text for url, _, text in pages}["http://evil.example/<script>"] == f"Short and {EVIL} bad."
    crawl.rename(tmp_path / "moved")
    write_report([out], tmp_path / "gone.html")
    gone = group((tmp_path / "gone.html").read_text("utf-8"), heading)
    assert [page[:2] for page in gone] == [page[:2] for page in pages] and not any(text for *_, text in gone)
    refinery("report", "--run", out, "--out", tmp_path / "moved.html", "--source", tmp_path / "moved")
    assert (tmp_path / "moved.html").read_bytes() == (tmp_path / "there.html").read_bytes()
    # an archive of that name with something else in it
    for name in ("part-0.warc.gz", "evil.warc.gz"):
        (tmp_path / "moved" / name).write_bytes(b"\x1f\x8b something else" * 100)
    write_report([out], tmp_path / "other.html", tmp_path / "moved")
    assert (tmp_path / "other.html").read_bytes() == (tmp_path / "gone.html").read_bytes()


def test_texts_need_the_same_partitions(tmp_path: Path) -> None:
    made = stages(tmp_path)
    other = make_dataset(tmp_path / "other", "extract", [document(1)], [])
    rows = rows_at(made[2].ledger_parts(), [0], ["file_path", "warc_offset", "member_record"])
    assert list(Texts().of(StageView("x", made[2], made[1], {}), rows)) == [("a.warc.gz", 0, 0)]
    assert Texts().of(StageView("x", made[2], other, {}), rows) == {}
    assert Texts().of(StageView("x", made[2], None, {}), rows) == {}


def test_rows_by_number_and_by_key(tmp_path: Path) -> None:
    dataset = stages(tmp_path)[1]
    found = rows_at(dataset.parts(), [59, 0, 10, 39, 40], ["warc_offset"])
    assert found == {row: {"warc_offset": row} for row in (0, 10, 39, 40, 59)}
    assert [part_of(dataset.parts(), row) for row in (0, 9, 10, 39, 40, 59)] == [0, 0, 1, 1, 2, 2]
    keys = {("a.warc.gz", 12, 0), ("b.warc.gz", 13, 0), ("a.warc.gz", 999, 0)}
    assert list(rows_by_key(dataset.parts()[1], keys, ["url"])) == [("a.warc.gz", 12, 0)]


def test_signals_of_kept_documents(tmp_path: Path) -> None:
    """Signals of the documents, and the language score, which is a column of its own; null is NaN."""
    rows = [document(0, language_score=0.5), document(1, signals={"words": None}), document(2, language_score=0.75)]
    found = kept_signals(make_dataset(tmp_path, "filter", rows, [], cuts=(1,)), ["words", "language_score", "other"])
    assert {name: values.tolist()[::2] for name, values in found.items()} == {
        "words": [100.0, 102.0], "language_score": [0.5, 0.75],
    }  # fmt: skip
    assert all(np.isnan(values[1]) for values in found.values())


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.floats(-1e6, 1e6))
@settings(max_examples=60, deadline=None)
def test_nearest_rows_pass_and_none_is_nearer(values: list[float], threshold: float) -> None:
    array = np.array([*values, float("nan")])
    for bound, passing in (
        ("min", [v for v in values if v >= threshold]),
        ("max", [v for v in values if v <= threshold]),
    ):
        chosen = [values[row] for row in nearest_within(array, bound, threshold, 3)]
        assert sorted(abs(v - threshold) for v in chosen) == sorted(abs(v - threshold) for v in passing)[:3]


@given(st.lists(st.floats(0, 1e6), max_size=12))
@settings(max_examples=60, deadline=None)
def test_near_and_far_share_no_row(gaps: list[float]) -> None:
    sample = RuleSample()
    for row, gap in enumerate(gaps):
        sample.gaps.append(gap)
        sample.rows.append(row)
    near = sample.nearest(2)
    far = sample.farthest(2, len(near))
    assert not {*near} & {*far} and len(near) + len(far) == min(len(gaps), 4)
    assert all(gaps[one] <= gaps[other] for one in near for other in far)


def test_rules_are_shared_out_fairly(tmp_path: Path) -> None:
    def view(name: str, rules: int) -> StageView:
        ledger = [reject(n, "s", f"max_{n:02d}", 1.0, 0.0) for n in range(rules)]
        return StageView(name, make_dataset(tmp_path / name, "s", [], ledger), None, {})

    some = [view("a", 9), view("b", 1), view("c", 9)]
    assert [(v.label, len(rules)) for v, rules in top_rules(some, 7)] == [("a", 3), ("b", 1), ("c", 3)]
    assert [(v.label, len(rules)) for v, rules in top_rules(some, 100)] == [("a", 9), ("b", 1), ("c", 9)]
    assert not list(top_rules([], 5))


def test_a_funnel_has_the_steps_that_took_something() -> None:
    def row(step: str, docs: int, chars: int) -> dict[str, Any]:
        return {"stage": "filter", "step": step, "docs": docs, "chars": chars, "tokens": chars // 5}

    rows = (row("in", 10, 0), row("extract", 10, 900), row("idle", 10, 900), row("cut", 4, 300), row("masks", 4, 290))
    chart = FunnelChart("x", 10, (*rows, row("last", 4, 290)))
    assert [bar.label for bar in chart.bars()] == ["filter / extract", "filter / cut", "filter / masks"]
    assert chart.idle() == ["filter / in", "filter / idle", "filter / last"]


def test_a_histogram_has_one_scale_for_both_sides() -> None:
    """Of 10 rejected and of 1,000 kept pages half each are in one bin: columns of one height."""
    chart = histogram_svg("t", "a", [0, 1, 2, 3, 4], [5, 5, 0, 0], [0, 0, 500, 500], [2.0])
    heights = [float(height) for height in re.findall(r"M[0-9.]+ 84v(-?[0-9.]+)h", chart)]
    assert heights == [-48.0, -48.0, 48.0, 48.0]
    chart = histogram_svg("t", "a", [0, 1, 2, 3, 4], [5, 5, 0, 0], [0, 0, 100, 900], [2.0])
    heights = [float(height) for height in re.findall(r"M[0-9.]+ 84v(-?[0-9.]+)h", chart)]
    assert heights == [-26.7, -26.7, 5.3, 48.0]


def test_names_of_rules() -> None:
    assert [signal_of("s/min_min_words"), bound_of("s/min_min_words")] == ["min_words", "min"]
    assert [bound_of("s/max_x"), bound_of("s/language_not_kept"), bound_of("extract/empty")] == ["max", "", ""]


def test_shares_on_a_logarithmic_axis() -> None:
    """0.1 is halfway on an axis of two decades, 0.01 at its left end, 0 nowhere."""
    chart = log_bars_svg("t", "a", [Bar("x", "n", (0.1, 0.011)), Bar("y", "n", (1.0, 0.0))], ("one", "other"))
    widths = [float(w) for c, w in re.findall(r'<rect class="(s\d)"[^>]* width="([0-9.]+)" height="5"', chart)]
    assert widths == [180.0, 7.5, 360.0]
    assert [t for t in ("1.0\u00a0%", "10.0\u00a0%", "100.0\u00a0%") if f">{t}<" in chart] == [
        "1.0\u00a0%",
        "10.0\u00a0%",
        "100.0\u00a0%",
    ]


def test_many_recipes_stay_small(tmp_path: Path) -> None:
    """Nine recipes with forty rules each, long addresses and texts in wide characters: below three megabytes."""
    chains = {}
    documents = [document(n, text="字" * 5000, url="https://example.org/" + "路" * 500) for n in range(40)]
    extract = make_dataset(tmp_path / "02-extract", "extract", documents, [])
    for name in "abcdefghi":
        ledger = [
            reject(n, name, f"max_signal_{rule:02d}_of_{name}", 9.0 + n + rule, 5.0)
            | {"url": "https://x.example/" + "路" * 500}
            for n in range(20)
            for rule in range(40)
        ]
        chains[name] = [extract, make_dataset(tmp_path / f"03-{name}", "filter", documents[20:], ledger)]
    (tmp_path / COMPARISON).write_bytes(readable_json(summary(chains)))
    printed: Any = {"chains": {name: [dataset.folder.name for dataset in chain] for name, chain in chains.items()}}
    (tmp_path / "run.json").write_bytes(readable_json(printed))
    write_report([tmp_path], tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_a_moved_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    write_comparison(tmp_path / "one" / "compare")
    shutil.copytree(tmp_path / "one", tmp_path / "other" / "place")
    outs = []
    for folder in ("one", "other/place"):
        out = tmp_path / f"{len(outs)}.html"
        write_report([tmp_path / folder], out)
        outs.append(out.read_bytes())
    assert outs[0] == outs[1] and str(tmp_path).encode() not in outs[0]
