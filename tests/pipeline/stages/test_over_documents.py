"""A run over documents: the gates of the extraction that it skips are run, and what it cannot do is said before."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.cli.app import main
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import needs_text
from pipeline.stages.over_documents import not_done, not_done_lines, stages_over_documents
from pipeline.stages.run import Run, run_recipe
from tests.files import write_rows
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.here import datasets, explained, run_here, stage_here, takedown_here
from tests.pipeline.pages import article, sentences, write_warc
from tests.pipeline.recipe_texts import (
    EXTRACT,
    INGEST,
    PREFILTER,
    RESILIPARSE,
    SAME_TEXT,
    dedup,
    judge,
    recipe,
    stage,
    step,
)

BLOCKED = "http://sub.bad.example/3"
GATE = step(
    "gate",
    name="url",
    lists="url-lists",
    rules=["url_blocked_domain <= 0", "url_hard_words <= 0", {"signal": "noindex", "max": 0}],
)
SIZE = judge("size", {"signal": "words", "min": 20})
WHOLE = recipe(
    "whole",
    INGEST,
    dedup("same-bytes", "payload"),
    stage(
        "extract",
        "extract",
        step("gate", name="opt-out", rules=["noai <= 0"]),
        GATE,
        PREFILTER,
        SIZE,
        {**RESILIPARSE, "name": "last", "declared": ["en"]},
        audit=0.5,
    ),
    stage("filter", "filter", SIZE),
    SAME_TEXT,
)
LEFT_OUT = [
    {"stage": "same-bytes", "steps": ["payload"], "what": "copies by payload"},
    {"stage": "extract", "steps": ["opt-out", "url"], "what": "rules on headers (noai, noindex)"},
    {"stage": "extract", "steps": ["last"], "what": "the language that a page declares"},
    {"stage": "extract", "steps": ["prefilter", "size"], "what": "the prefilter (2 steps)"},
    {"stage": "extract", "steps": ["last"], "what": "extraction: the text is taken as it is"},
    {"stage": "extract", "steps": [], "what": "the audit sample"},
]
ROWS = [{"id": str(n), "url": f"http://a.example/{n}", "text": "\n".join(sentences(n))} for n in range(8)]
ROWS[3]["url"] = BLOCKED
ROWS[5]["text"] = "short"
NO_URL = "URL rules: the input has no `url`"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("over")
    (folder / "models" / "url-lists").mkdir(parents=True)
    (folder / "models" / "url-lists" / "domains.txt").write_text("bad.example\n")
    (folder / "whole.toml").write_text(WHOLE)
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "docs.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS).drop(["url"]), folder / "bare.parquet")
    run_here(folder / "whole.toml", folder / "docs.parquet", folder / "out", folder / "models")
    return folder


def over(world: Path, text: str, given: str, out: Path) -> Run:
    out.parent.mkdir(parents=True, exist_ok=True)
    (world / f"{out.name}.toml").write_text(text)
    return run_here(world / f"{out.name}.toml", world / given, out, world / "models")


def test_the_gates_are_run_in_the_place_of_extraction(world: Path) -> None:
    assert [dataset.folder.name for dataset in datasets(world / "out")] == [
        "03-extract", "04-filter", "05-same-text",
    ]  # fmt: skip
    gates = Dataset(world / "out" / "03-extract")
    (line,) = gates.ledger().to_pylist()
    assert (line["url"], line["step"], line["rule"], line["value"]) == (BLOCKED, "url", "max_url_blocked_domain", 1)
    assert gates.to_arrow(["id"])["id"].to_pylist() == [row["id"] for row in ROWS if row["url"] != BLOCKED]
    (first, *_) = gates.to_arrow(["signals"])["signals"].to_pylist()
    assert first["url_blocked_domain"] == 0 and first["url_hard_words"] is None and "noindex" not in first


def test_it_is_the_same_by_hand(world: Path, tmp_path: Path) -> None:
    models, recipe_file = world / "models", world / "whole.toml"
    extract = stage_here(recipe_file, "extract", "extract", world / "docs.parquet", tmp_path / "03-extract", models)
    filtered = stage_here(recipe_file, "filter", "filter", extract.folder, tmp_path / "04-filter", models)
    stage_here(recipe_file, "dedup", "same-text", filtered.folder, tmp_path / "05-same-text", models)
    assert made(tmp_path) == made(world / "out")


def test_what_is_left_out_is_in_the_summary_and_on_stderr(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "--recipe", world / "whole.toml", "--input", world / "docs.parquet", "--models", world / "models")
    assert answer(*words, "--out", tmp_path / "json")["not_done"] == LEFT_OUT
    assert json.loads((tmp_path / "json" / "run.json").read_bytes())["not_done"] == LEFT_OUT
    with pytest.raises(SystemExit):
        main([str(word) for word in (*words, "--out", tmp_path / "out", "--workers", 1)])
    said = capsys.readouterr().err.splitlines()
    assert said[:5] == [
        "the input is documents, so recipe 'whole' leaves out",
        "  same-bytes: copies by payload",
        "  extract: rules on headers (noai, noindex); the language that a page declares;",
        "    the prefilter (2 steps); extraction: the text is taken as it is; the audit",
        "    sample",
    ]
    assert said[5].startswith("extract: 0 of 1")


def test_a_refused_run_says_the_reason_alone(world: Path) -> None:
    words = ("run", "--recipe", world / "whole.toml", "--input", world / "bare.parquet", "--models", world / "models")
    assert "made with other arguments" in refinery(*words, "--out", world / "out", code=2)


def test_without_addresses_url_rules_do_nothing_and_say_so(world: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with open_engine("local", 1) as engine:
        run = run_recipe(
            str(world / "whole.toml"), [str(world / "bare.parquet")], tmp_path, engine, models=str(world / "models"),
            say=said.append,
        )  # fmt: skip
    assert run.summary()["not_done"] == [*LEFT_OUT, {"stage": "extract", "steps": ["url"], "what": NO_URL}]
    assert NO_URL in " ".join(line.strip() for line in said)
    assert run.datasets[0].manifest.counts["rejected"] == 0
    assert run.last.manifest.counts["out"] == len(ROWS) - 1


def test_a_gate_in_a_filter_stage(world: Path, tmp_path: Path) -> None:
    """Over archives it comes after the text, over documents it is all that is done."""
    gate = step("gate", name="late", lists="url-lists", rules=["url_blocked_domain <= 0"])
    pages = [(row["url"], article(n)) for n, row in enumerate(ROWS)]
    write_warc(world / "pages.warc.gz", pages)
    text = recipe("late", INGEST, EXTRACT, stage("late", "filter", gate))
    for given in ("pages.warc.gz", "docs.parquet"):
        run = over(world, text, given, tmp_path / given)
        assert [row["url"] for row in run.last.ledger().to_pylist()] == [BLOCKED]
        assert run.summary()["funnel"][-1]["step"] == "late"
    alone = over(world, recipe("alone", stage("late", "filter", gate)), "docs.parquet", tmp_path / "alone")
    assert alone.last.manifest.counts["rejected"] == 1 and alone.summary()["not_done"] == []
    with pytest.raises(UsageError, match="recipe 'alone' looks at `url` alone, which the input has not"):
        over(world, recipe("alone", stage("late", "filter", gate)), "bare.parquet", tmp_path / "bare")


def test_headers_are_not_known_in_a_filter_stage(world: Path) -> None:
    (world / "headers.toml").write_text(recipe("headers", stage("f", "filter", GATE)))
    with pytest.raises(UsageError, match="'noindex' is set in the extract stage alone"):
        run_here(world / "headers.toml", world / "docs.parquet", world / "never", world / "models")


def test_explain_replays_the_gates(world: Path) -> None:
    lost = explained(BLOCKED, world / "out", models=world / "models")
    assert lost["rejected_by"] == ["url/max_url_blocked_domain"]
    assert [(s["stage"], s["step"], s["rule"], s["value"], s["passed"]) for s in lost["steps"]] == [
        ("extract", "url", "max_url_blocked_domain", 1, False),
        ("extract", "url", "max_url_hard_words", None, True),
        ("extract", "url", "max_noindex", None, True),
    ]
    kept = explained(ROWS[0]["url"], world / "out", models=world / "models")
    assert kept["state"] == "kept" and [s["stage"] for s in kept["steps"]][-2:] == ["filter", "same-text"]


def test_a_run_of_an_earlier_version_has_no_gates_to_replay(world: Path, tmp_path: Path) -> None:
    strict = recipe("strict", stage("f", "filter", SIZE))
    run = over(world, strict, "docs.parquet", tmp_path / "strict")
    old = json.loads((world / "out" / "recipe.json").read_bytes())
    (run.folder / "recipe.json").write_text(json.dumps(old))  # its extract stage was skipped
    (run.folder / "01-f").rename(run.folder / "04-filter")
    one = explained(BLOCKED, run.folder, models=world / "models")
    assert one["state"] == "kept" and [s["stage"] for s in one["steps"]] == ["filter"]


def test_status_report_and_takedown_know_the_stage(world: Path, tmp_path: Path) -> None:
    assert [row["stage"] for row in answer("status", world / "out")["stages"]] == [
        "03-extract", "04-filter", "05-same-text",
    ]  # fmt: skip
    refinery("report", "--run", world / "out", "--out", tmp_path / "report.html")
    assert BLOCKED in (tmp_path / "report.html").read_text()
    (tmp_path / "list.txt").write_text(BLOCKED + "\n" + ROWS[0]["url"] + "\n")
    receipt = takedown_here(world / "out", tmp_path / "without", tmp_path / "list.txt")
    assert (receipt["documents"], receipt["rejected"]) == (1, 1)
    assert Dataset(tmp_path / "without" / "03-extract").manifest.counts["out"] == len(ROWS) - 2


def test_readmit_runs_the_gates_of_its_recipe(world: Path, tmp_path: Path) -> None:
    """What one recipe's rules rejected, the other's gate rejects; what was short is let in."""
    strict = recipe("strict", stage("f", "filter", judge("none", {"signal": "words", "min": 10_000})))
    run = over(world, strict, "docs.parquet", tmp_path / "strict")
    words = ("--recipe", world / "whole.toml", "--models", world / "models")
    told = answer("readmit", "--ledger", run.folder, *words, "--out", tmp_path / "again")
    assert (told["in"], told["readmitted"], told["rejected"]) == (len(ROWS), len(ROWS) - 2, 2)
    assert told["not_done"] == LEFT_OUT
    assert Dataset(tmp_path / "again" / "03-extract").ledger()["url"].to_pylist() == [BLOCKED]


def test_readmit_runs_them_for_documents_beside_records(world: Path, tmp_path: Path) -> None:
    write_warc(tmp_path / "page.warc.gz", [("http://b.example/1", article(1)), (BLOCKED, article(2))])
    text = recipe("two", INGEST, EXTRACT, stage("f", "filter", judge("none", {"signal": "words", "min": 10_000})))
    (tmp_path / "two.toml").write_text(text)
    extracted = run_here(Path("extract"), tmp_path / "page.warc.gz", tmp_path / "pages").folder
    given = shutil.copy(world / "docs.parquet", tmp_path)
    documents = run_here(Path("extract"), Path(given), tmp_path / "documents").folder
    both = ("filter", "--recipe", tmp_path / "two.toml", "--input", extracted, documents, "--out", tmp_path / "both")
    refinery(*both)
    words = ("--recipe", world / "whole.toml", "--models", world / "models", "--source", tmp_path)
    told = answer("readmit", "--ledger", tmp_path / "both", *words, "--out", tmp_path / "again")
    assert (told["in"], told["readmitted"], told["rejected"]) == (len(ROWS) + 2, len(ROWS) - 1, 3)
    for folder in ("03-extract", "03-extract-documents"):
        assert Dataset(tmp_path / "again" / folder).ledger()["url"].to_pylist() == [BLOCKED]
    refinery("verify", tmp_path / "again")


def test_compare_says_it_of_each_recipe(world: Path, tmp_path: Path) -> None:
    told = answer(
        "compare", "--recipe", world / "whole.toml", "exact", "--input", world / "docs.parquet",
        "--models", world / "models", "--out", tmp_path,
    )  # fmt: skip
    assert told["not_done"][str(world / "whole.toml")] == LEFT_OUT
    assert [row["what"] for row in told["not_done"]["exact"]] == ["extraction: the text is taken as it is"]
    assert told["recipes"]["exact"]["docs"] == len(ROWS)
    assert told["recipes"][str(world / "whole.toml")]["docs"] == len(ROWS) - 2


@pytest.mark.parametrize("name", ["yi", "fineweb", "falcon", "dclm-pool", "fineweb2"])
def test_shipped_recipes_keep_their_gates_on_addresses(name: str) -> None:
    loaded = load_recipe(name)
    first = stages_over_documents(loaded)[0]
    assert (first.name, first.command, [step.name for step in first.steps]) == ("extract", "filter", ["url"])
    assert all(len(line) <= 80 for line in not_done_lines(loaded.name, not_done(loaded.stages)))


def test_a_stage_that_reads_no_text_says_so() -> None:
    found = {
        name: needs_text(stages_over_documents(load_recipe(name)))
        for name in ("url-only", "extract", "exact", "minhash", "language", "fineweb", "mixture", "tokens")
    }
    assert [name for name, needs in found.items() if not needs] == ["url-only"]


def test_a_recipe_of_url_rules_alone_asks_for_addresses(world: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "bare.jsonl", [{"text": "a text without an address"}])
    words = ("run", "--recipe", "url-only", "--input", tmp_path / "bare.jsonl", "--models", world / "models")
    said = refinery(*words, "--out", tmp_path / "out", code=2)
    assert "recipe 'url-only' looks at `url` alone, which the input has not: see --url-column" in said
    assert not (tmp_path / "out").exists()
