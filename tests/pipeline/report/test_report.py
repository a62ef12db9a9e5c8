"""The report shows the contents of the folders, escapes all text, and has the same bytes for the same folders."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.hashing import readable_json
from mixers.draw import GroupPlan, MixturePlan, TargetPlan
from mixers.grades import Grading
from mixers.targets import DrawConfig
from pipeline.compare.compare import COMPARISON, summary
from pipeline.report.charts import Whisker, fit, histogram_svg, ticks, whiskers_svg
from pipeline.report.pools import bin_edges
from pipeline.report.report import write_funnel, write_report
from pipeline.report.rows import _batches
from pipeline.report.training import losses_by_k, numbered
from pipeline.report.training_log import read_training
from tests.files import ROOT
from tests.pipeline.comparisons import EVIL, EVIL_URL, write_comparison
from tests.pipeline.datasets import RECIPE, document, funnel_row, make_dataset, record, reject
from tests.pipeline.report.methods import write_methods


def make_stages(folder: Path, first: str, second: str) -> list[Dataset]:
    """Pages ingested, extracted, and judged by their number of words."""
    records = [record(n) for n in range(60)]
    documents = [document(n) for n in range(50)]
    documents[0] |= {"title": EVIL, "url": EVIL_URL, "text": f"{EVIL} \u202e &amp; \x00 text"}
    dull = [reject(n, "extract", "no_text", None, None) for n in range(50, 60)]
    few = [reject(n, "judge", "min_words", float(n), 40.0) for n in range(20)]
    few[0] |= {"url": EVIL_URL}
    long = [reject(n, "judge", "max_words", 200.0 + n, 150.0) for n in range(20, 25)]
    return [
        make_dataset(folder / "01-ingest", "ingest", records, [], [funnel_row("pages", 60, 0)], kind=Kind.RECORDS),
        make_dataset(folder / first, "extract", documents, dull, [funnel_row("extract", 50, 30_000)]),
        make_dataset(
            folder / second, "filter", [documents[0], *documents[25:]], [*few, *long], [funnel_row("judge", 26, 15_000)]
        ),
    ]


def make_run(folder: Path) -> None:
    stages = make_stages(folder, "02-extract", "03-filter")
    names = [dataset.folder.name for dataset in stages]
    (folder / "recipe.json").write_bytes(readable_json({"name": "toy"}))
    (folder / "run.json").write_bytes(readable_json({"stages": names, "last": names[-1], "recipe": asdict(RECIPE)}))


def make_comparison(folder: Path) -> None:
    """Two recipes that share their first stage."""
    strict = make_stages(folder, "02-extract-aa", "03-filter-aa")
    chains = {"strict": strict, "lax": strict[:2]}
    (folder / COMPARISON).write_bytes(readable_json(summary(chains)))
    printed = {"chains": {name: [dataset.folder.name for dataset in chain] for name, chain in chains.items()}}
    (folder / "run.json").write_bytes(readable_json(printed))


def make_mixture(folder: Path) -> None:
    plan = MixturePlan(
        (
            GroupPlan("curated", "*", "science", -1, None, 30, 3000, 2.0, 2, 0.0, 30, 3000, 6000),
            GroupPlan("web", "*", "general", -1, None, 40, 4000, 1.0, 1, 0.0, 40, 4000, 4000),
        ),
        Grading({}),
        ("min_source_share web = 0.4",),
        {"EQ": TargetPlan(0.2, 0.0, 0.0, ("the pool, which has nothing of it",)), "IQ": TargetPlan(0.5, 0.6, 0.6, ())},
        {"EQ": 9000, "IQ": 8000},
        9000,
    )
    config = DrawConfig(targets={"IQ": 0.5, "EQ": 0.2}, min_source_share={"web": 0.4}, tolerance=0.3)
    extra = {"mixture": {**plan.as_dict(), "config": config.as_params()}}
    make_dataset(folder, "mixture", [document(n) for n in range(5)], [], [funnel_row("draw", 5, 900)], extra)


def make_training(folder: Path, first: int, last: int, overrides: Mapping[str, Any] | None = None) -> None:
    """A log as `trainer/train.py` writes it, cut in its last row as by a crash."""
    folder.mkdir(parents=True)
    if overrides is None:
        (folder / "training.json").write_bytes(readable_json({"config": {}, "data": "0"}))
    else:
        (folder / "branch.json").write_bytes(readable_json({"trunk": "0", "overrides": dict(overrides)}))
    rows = [
        {"step": n, "tokens": 64 * n, "learning_rate": 0.001 if overrides is None else 0.001 / (n - first + 1),
         "loss": 3.0 + 5.0 / np.sqrt(n), "loss_by_domain": {"science": 3.5, "general": 4.0}, "mean_k": 9.5,
         "grad_norm": 1.0 / n, "load_imbalance": [1.5, 2.0 + n], "load_imbalance_by_k": [4.0, 3.0],
         "loss_by_k": {"2": 3.6, "12": 3.4}}
        for n in range(first, last + 1)
    ]  # fmt: skip
    if overrides:
        rows[3] |= {"skipped": True, "loss": None, "grad_norm": None}
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99')
    (folder / "run.json").write_bytes(readable_json({"seconds": 12.0, "tokens_per_second": 800.0}))


def evaluation() -> dict[str, Any]:
    def result(x: float) -> dict[str, Any]:
        return {"bits_per_byte": {"science": x, "literature": x + 0.2}, "iq": x, "eq": x + 0.2, "overall": x + 0.1}

    by_k = {k: result(1.5 + 1 / int(k)) | {"active_experts": float(k)} for k in ("2", "4", "12")}
    baselines = {"unigram": result(2.9), "gzip": result(2.6)}
    return {**by_k["12"], "kv_bytes_per_token": 512, "by_k": by_k, "baselines": baselines}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the demo."""
    out = tmp_path_factory.mktemp("report") / "out"
    make_run(out / "web")
    make_comparison(out / "compare")
    shutil.copyfile(out / "compare" / COMPARISON, out / COMPARISON)
    make_mixture(out / "mixture")
    make_training(out / "trunk", 1, 60)
    make_training(out / "branch-control", 61, 90, {})
    make_training(out / "branch-other", 61, 90, {"top_k": {"full_k": 4}})
    (out / "evaluation-control.json").write_text(json.dumps(evaluation()))
    return out


@pytest.fixture(scope="module")
def page(folders: Path) -> str:
    out = folders.parent / "report.html"
    write_report([folders], out)
    return out.read_text("utf-8")


class Words(HTMLParser):
    """The tags, the attributes and the visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_section_is_there_in_order(page: str) -> None:
    titles = re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", page)
    assert titles == [
        "What was run", "Funnels", "Ratios", "Overlap", "Rejected, by rule", "Values against thresholds", "Languages",
        "Before and after", "The mixture", "Trunk and branches", "Training", "Bits per byte", "Cost", "Kept documents",
        "Just rejected", "Pages by rule",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "web kept 26 of 60 documents (43.3\u00a0%, 95 % interval 31.6\u00a0% to 55.9\u00a0%).",  # a run
        "recipe of compare",  # a recipe of a comparison
        "26 docs · 43.3\u00a0%",  # its funnel
        "judge/min_words",  # a rule
        "just rejected · value 19, threshold 40",  # a rejected page against its rule
        "mixture: limited by min_source_share web = 0.4.",
        "mixture: target of EQ missed: 20.0% asked for, 0.0% drawn; limited by the pool, which has nothing of it.",
        "60.0\u00a0% (target 50.0\u00a0%)",
        "frozen at 60",  # where the branches leave
        "branch: top_k.full_k = 4",
        "evaluation-control: 1.683 bits per byte (unigram 3.000, gzip 2.700).",
        "Experts active: 12 at k = 12, 4 at k = 4, 2 at k = 2.",
    ],
)
def test_its_sentences(page: str, words: str) -> None:
    assert words in Words(page).text


def test_a_ratio_is_drawn_with_its_interval(folders: Path, page: str) -> None:
    numbers = json.loads((folders / "compare" / COMPARISON).read_text())["ratio"]["strict"]["lax"]
    low, high = numbers["docs_interval"]
    assert f"{numbers['docs']:.3g} ({low:.3g} to {high:.3g})" in Words(page).text


def test_a_comparison_that_was_also_printed_is_shown_once(page: str) -> None:
    assert re.findall(r"<h3>(strict|lax)</h3>", page) == ["lax", "strict"] * 3


def test_markup_in_pages_is_escaped(page: str) -> None:
    words = Words(page)
    assert EVIL in words.text and EVIL_URL in words.text
    assert not words.tags & {"script", "img", "iframe", "object", "link", "base", "form", "foreignobject"}
    assert all(not name.startswith("on") and name not in ("src", "srcset", "action") for name, _ in words.attributes)
    assert all((value or "").startswith("#") for name, value in words.attributes if name.endswith("href"))
    assert "url(" not in page and "@import" not in page
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", page)


def test_hostile_names_in_charts_and_json(tmp_path: Path) -> None:
    body = {"docs": 1, "chars": 1, "tokens": 1, "funnel": [{"stage": EVIL, "step": "\ud800\x00]]>", "docs": 1}]}
    recipe = body | {"by_language": {EVIL: {"docs": 1}}, "rejected_by": {EVIL: 1}}
    content = {
        "input": {"counts": {"out": 1}, "chars": 0},
        "recipes": {EVIL: recipe},
        "ratio": {EVIL: {EVIL: {"docs": 1}}},
    }
    (tmp_path / COMPARISON).write_text(json.dumps(content))
    write_report([tmp_path], tmp_path / "report.html")
    assert "script" not in Words((tmp_path / "report.html").read_text("utf-8")).tags
    write_funnel(tmp_path / COMPARISON, tmp_path / "funnel.svg")
    picture = ET.parse(tmp_path / "funnel.svg")
    assert picture.getroot().tag.endswith("svg")
    assert not any(element.tag.endswith("script") for element in picture.iter())


def test_same_folders_same_bytes(folders: Path, page: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / folders.name
    shutil.copytree(folders, moved)
    names = ["web", "compare", "mixture", "trunk", "branch-control", "branch-other"]
    outs = [tmp_path / f"{number}.html" for number in range(3)]
    write_report([moved], outs[0])
    write_report([moved / name for name in names], outs[1])
    write_report([folders / name for name in reversed(names)], outs[2])
    assert outs[0].read_text("utf-8") == page
    assert outs[1].read_bytes() == outs[2].read_bytes()
    assert str(tmp_path) not in page


def test_sections_appear_only_when_there_is_something_to_show(folders: Path, tmp_path: Path) -> None:
    write_report([folders / "trunk"], tmp_path / "report.html")
    titles = re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", (tmp_path / "report.html").read_text("utf-8"))
    assert titles == ["What was run", "Training", "Cost"]


def test_a_training_is_shown_by_step_by_domain_by_layer_and_by_k(folders: Path, page: str, tmp_path: Path) -> None:
    titles = ["Gradient norm by step", "Experts per token by step", "Load imbalance by step", "Learning rate by step"]
    titles += ["Loss by domain: trunk (trunk)", "Load imbalance by layer", "Load imbalance by k", "Loss by k"]
    assert [title for title in titles if f"<title>{title}</title>" not in page] == []
    # The mean over layers of the last row of each run, and layer 1 and k = 12 at the ends.
    log = read_training(folders / "branch-other", "other")
    assert log.columns["load_imbalance"][-1] == (1.5 + 92.0) / 2
    assert numbered(log.by_layer, 0) == {"0": 1.5, "1": 91.5}
    assert numbered(log.load_by_k, 1) == {"1": 4.0, "2": 3.0}
    assert losses_by_k(log) == {"2": pytest.approx(3.6), "12": pytest.approx(3.4)}
    assert log.skipped == (64,) and np.isnan(log.losses[3])
    assert re.search(r"Skipped steps.*?branch-other.*?<td[^>]*>1</td>\s*<td[^>]*>64</td>", page, re.DOTALL)


def test_an_unfinished_run_is_reported_as_far_as_it_is(folders: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folders / "web", run)
    (run / "run.json").unlink()
    shutil.rmtree(run / "03-filter")
    write_report([run], tmp_path / "report.html")
    assert "run kept 50 of 60 documents" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.txt", "", "contains nothing to report.*runs, comparisons"),
        (COMPARISON, "{", "cannot be read as JSON"),
        (COMPARISON, "[]", "contains a list where a JSON object was expected"),
        (COMPARISON, '{"recipes": {}}', "is not the output of `refinery compare`"),
        ("evaluation.json", '{"a": ', "cannot be read as JSON"),
        ("evaluation.json", '{"bits_per_byte": 1}', "is not the output of `refinery evaluate --json`"),
        ("manifest.json", "{}", "cannot be read as a manifest"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        write_report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_missing_folder_and_a_folder_as_output(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        write_report([tmp_path / "gone"], tmp_path / "report.html")
    with pytest.raises(UsageError, match="name of the HTML file"):
        write_report([folders], tmp_path)


def test_many_rules_and_rows_stay_small(tmp_path: Path) -> None:
    ledger = [
        reject(n * 300 + m, "judge", f"max_signal_{m:03d}", float(n), 5.0)
        | {"url": "https://example.org/" + "x" * 5000}
        for n in range(8)
        for m in range(300)
    ]
    make_dataset(tmp_path / "filter", "filter", [document(1, text="long " * 100_000)], ledger)
    write_report([tmp_path], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert len(page) < 400_000
    assert "The first 30 of 300 rules." in page and page.count("threshold 5<") == 30 * 4 + 30
    assert "long " * 800 + "…" in page and "long " * 801 not in page


def test_reading_is_bounded(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, "filter", [document(n) for n in range(600)], [])
    assert sum(batch.num_rows for batch in _batches(dataset.parts(), ["url"], 301)) == 301


def test_charts_are_well_formed_and_say_what_they_show(page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) > 20
    for chart in charts:
        root = ET.fromstring(chart)
        assert root.attrib["role"] == "img"
        assert [child.tag.split("}")[1] for child in root[:2]] == ["title", "desc"] and root[0].text and root[1].text


def test_thresholds_beside_each_other_have_one_number() -> None:
    chart = histogram_svg("t", "a", [0, 10, 20, 30, 40], [3, 1, 0, 0], [0, 0, 2, 5], [20.0, 20.1, 20.3, 35.5])
    assert chart.count('class="mark"') == 4
    assert ">20<" in chart and ">35.5<" in chart
    assert ">20.1<" not in chart and ">20.3<" not in chart


def test_the_threshold_is_between_rejected_and_kept() -> None:
    chart = histogram_svg("t", "a", [0, 10, 20, 30, 40], [3, 1, 0, 0], [0, 0, 2, 5], [20.0])
    mark = re.search(r'class="mark" x1="([0-9.]+)"', chart)
    assert mark and float(mark[1]) == 180
    assert "4 rejected" in chart and "7 kept" in chart


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12))
@settings(max_examples=50, deadline=None)
def test_ticks_are_few_even_and_hold_the_range(low: float, width: float) -> None:
    high = low + max(width, abs(low) * 1e-6)
    found = ticks(low, high)
    steps = np.diff(found)
    assert 2 <= len(found) <= 8 and np.allclose(steps, steps[0], rtol=1e-3)
    assert found[0] <= low + steps[0] * 1e-6 and found[-1] >= high - steps[0] * 1e-6


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20),
    st.lists(st.floats(0, 1e9), max_size=9),
    st.floats(-1e9, 1e9),
)
@example(rejected=[3.0, 5e-324, 5e-324], kept=[], threshold=1.0)
@example(rejected=[0.0], kept=[], threshold=5e-324)
@settings(max_examples=50, deadline=None)
def test_bins_rise_and_one_begins_at_the_threshold(rejected: list[float], kept: list[float], threshold: float) -> None:
    edges = bin_edges(np.array(rejected), np.array(kept), [threshold])
    assert len(edges) == 31 and (np.diff(edges) > 0).all()
    assert edges[0] < threshold < edges[-1]
    assert np.abs(edges - threshold).min() <= 1e-6 * (1 + abs(threshold))


def test_bins_are_logarithmic_over_two_decades() -> None:
    edges = bin_edges(np.array([1.0, 2.0]), np.array([100.0, 10_000.0]), [50.0])
    assert np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0])) and np.isclose(edges, 50.0).any()


@given(st.text(max_size=80), st.floats(20, 400))
@settings(max_examples=50, deadline=None)
def test_labels_fit_their_room(text: str, room: float) -> None:
    fitted = fit(text, room)
    assert "\n" not in fitted and len(fitted) <= max(room / 6.05, 2)


def test_a_ratio_of_zero_is_at_the_left_edge() -> None:
    chart = whiskers_svg("t", "a", [Whisker("none", 0.0, 0.0, 0.0), Whisker("some", 0.05, 0.01, 0.2)])
    assert 'cx="8"' in chart and ">0.01<" in chart


def test_the_picture_of_the_funnels(folders: Path, tmp_path: Path) -> None:
    words = ["pipeline.report.report", "funnel", str(folders / COMPARISON), str(tmp_path / "f.svg")]
    subprocess.run([sys.executable, "-m", *words], check=True, cwd=ROOT)
    words = [element.text for element in ET.parse(tmp_path / "f.svg").iter() if element.tag.endswith("text")]
    assert words.count("documents") == 2 and {"lax", "strict", "26 docs · 43.3\u00a0%"} <= set(words)
    first = (tmp_path / "f.svg").read_bytes()
    write_funnel(folders / "compare" / COMPARISON, tmp_path / "f.svg")
    assert (tmp_path / "f.svg").read_bytes() == first


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH")
@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("folder", ["out", "hostile", "methods"])
def test_in_a_browser(folders: Path, tmp_path: Path, width: int, folder: str) -> None:
    """Nothing is wider than the window, everything unfolded, and the page asks the network for nothing.

    The copy has no content policy, so that a script can measure, and a reference to elsewhere would be followed.
    """
    made = folders
    if folder != "out":
        made = tmp_path / folder
        made.mkdir()
        (write_comparison if folder == "hostile" else write_methods)(made)
    write_report([made], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    script = (
        "<script>onload=()=>{document.querySelectorAll('details').forEach(d=>d.open=true);const root=document."
        "documentElement,wide=[...document.querySelectorAll('body *')].filter(e=>!e.closest('.scroll table')&&"
        "e.getBoundingClientRect().right>innerWidth+.5).length;parent.document.documentElement.dataset.measured=[innerWidth,root.scrollWidth,"
        "wide,performance.getEntriesByType('resource').length].join()}</script>"
    )
    policy = re.compile(r"<meta http-equiv=[^\n]*\n")
    assert len(policy.findall(page)) == 1
    copy = escape(policy.sub("", page).replace("</head>", script + "</head>", 1))
    # A frame, since the browser's own window is never narrower than 500.
    frame = tmp_path / "frame.html"
    frame.write_text(f'<!doctype html><iframe style="border:0" width="{width}" height="800" srcdoc="{copy}"></iframe>')
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
        "--no-first-run", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    measured = re.search(r'data-measured="([^"]*)"', printed)
    assert measured, "the script did not run"
    assert measured[1] == f"{width},{width},0,0"
