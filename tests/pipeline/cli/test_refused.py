"""A command that is refused says why in one line, with exit code 2, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.app import main
from tests.files import write_rows
from tests.pipeline.command import all_commands
from tests.pipeline.here import run_here
from tests.pipeline.pages import text_rows, write_crawl
from tests.pipeline.recipe_texts import EXTRACT, INGEST, NEAR_COPIES, judge, mix, recipe, stage, step

SIZE = judge("size", {"signal": "words", "min": 5})
LANGUAGE = step("label", what="language", model="language", keep=["en"])
EVERY = recipe(
    "every",
    INGEST,
    EXTRACT,
    stage("filter", "filter", LANGUAGE, SIZE),
    NEAR_COPIES,
    mix(0.1),
    stage("tokens", "tokenize", tokenizer="tokenizer.model"),
)
SMALL = recipe("small", INGEST, EXTRACT, stage("filter", "filter", SIZE), NEAR_COPIES)
STAGES = ("ingest", "extract", "filter", "dedup", "mix", "tokenize")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small.toml` and a run of it; `every.toml`, whose models are missing; inputs of every kind."""
    folder = tmp_path_factory.mktemp("refused")
    write_crawl(folder / "crawl", files=1)
    alone = {"mix": recipe("mix", mix(0.0)), "records": recipe("records", INGEST)}
    for name, text in {"small": SMALL, "every": EVERY, **alone}.items():
        (folder / f"{name}.toml").write_text(text)
    run_here(folder / "small.toml", folder / "crawl", folder / "run")
    write_rows(folder / "rows.jsonl", text_rows(9))
    write_rows(folder / "no-text.parquet", [{"number": 1}])
    (folder / "no-parquet.parquet").write_bytes(b"PAR1 broken")
    (folder / "nothing.parquet").touch()
    (folder / "list.txt").write_text("http://host1.example/1\n")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / "ids.txt").write_text("an-id\n")
    (folder / "empty").mkdir()
    (folder / "damaged").mkdir()
    (folder / "damaged" / "language").write_bytes(b"no fastText")
    return folder


RECORDS, DOCUMENTS = "{w}/run/01-ingest", "{w}/run/02-extract"


def with_inputs(command: str, recipe: str, second: str = "") -> Iterator[str]:
    """What no command can read, and no command can be told. `second`: of two recipes."""
    given = f"{command} --recipe {recipe} {second}"
    yield f"{given} --input {{w}}/nowhere.warc.gz :: no such file"
    for wrong in ("notes.pdf", "empty", "nothing-*.jsonl"):
        yield f"{given} --input {{w}}/{wrong} :: {wrong.partition('.')[0].partition('-')[0]}"
    if command not in ("ingest", "extract"):  # which refuse documents, whatever is in them
        yield f"{given} --input {{w}}/no-text.parquet :: no column `text`"
        for wrong in ("no-parquet", "nothing"):
            yield f"{given} --input {{w}}/{wrong}.parquet :: cannot be read as Parquet"
    yield f"{given} --input {{w}}/rows.jsonl --engine spark :: no engine 'spark'"
    yield f"{given} --input {{w}}/rows.jsonl --workers 0 :: --workers must be at least 1"
    yield f"{command} --recipe nameless {second} --input {{w}}/rows.jsonl :: no recipe 'nameless'"
    yield f"{command} --recipe {{w}}/nowhere.toml {second} --input {{w}}/rows.jsonl :: nowhere.toml cannot be read"


def cases() -> Iterator[str]:
    """COMMAND :: what its line says. {w} is the world; `--out {o}` is added unless the command has one."""
    for stage_of in STAGES:
        yield from with_inputs(stage_of, "{w}/every.toml")
        yield f"{stage_of} --recipe {{w}}/every.toml --stage other --input {{w}}/crawl :: stage called 'other'"
    for stage_of in STAGES[:2]:
        yield f"{stage_of} --recipe tokens --input {{w}}/crawl :: has no {stage_of} stage"
    for stage_of in STAGES[1:]:
        yield f"{stage_of} --recipe {{w}}/every.toml --input {{w}}/crawl :: not archives"
    for stage_of in STAGES[2:]:
        yield f"{stage_of} --recipe {{w}}/every.toml --input {RECORDS} :: reads documents"
    yield f"ingest --recipe {{w}}/every.toml --input {DOCUMENTS} :: reads WARC"
    yield "ingest --recipe {w}/every.toml --input {w}/rows.jsonl :: reads WARC"
    yield f"extract --recipe {{w}}/every.toml --input {DOCUMENTS} :: reads records"
    yield "extract --recipe {w}/every.toml --input {w}/rows.jsonl :: not documents"
    yield f"extract --recipe {{w}}/every.toml --input {RECORDS} --source {{w}}/nowhere :: is not a folder"
    for stage_of, model in (("filter", "language"), ("tokenize", "tokenizer.model")):
        yield f"{stage_of} --recipe {{w}}/every.toml --input {DOCUMENTS} --models {{w}}/empty :: '{model}' is not in"
    yield f"filter --recipe {{w}}/every.toml --input {DOCUMENTS} --models {{w}}/damaged :: language"
    yield f"mix --recipe {{w}}/mix.toml --input {DOCUMENTS} --engine local :: tolerance"  # the whole pool shows it

    yield from with_inputs("run", "{w}/small.toml")
    yield "run --recipe {w}/small.toml --input {w}/crawl {w}/rows.jsonl :: not both"
    yield f"run --recipe {{w}}/small.toml --input {RECORDS} :: reads documents"
    yield "run --recipe {w}/every.toml --input {w}/crawl --models {w}/empty :: 'language' is not in"
    yield "run --recipe {w}/records.toml --input {w}/rows.jsonl :: no stage that reads documents"

    yield from with_inputs("measure", "{w}/small.toml")
    yield "measure --recipe {w}/small.toml --input {w}/crawl {w}/rows.jsonl :: not both"
    yield f"measure --recipe {{w}}/small.toml --input {RECORDS} {DOCUMENTS} :: reads records"
    yield "measure --recipe {w}/small.toml --signals wrods --input {w}/crawl :: no signal 'wrods'"
    yield "measure --recipe {w}/small.toml --signals safety --input {w}/crawl :: no label or combine step"
    yield "measure --recipe {w}/every.toml --input {w}/crawl --models {w}/empty :: 'language' is not in"
    yield "measure --recipe tokens --input {w}/crawl :: no extract step"

    yield from with_inputs("compare", "{w}/small.toml", "exact")
    yield "compare --recipe {w}/small.toml --input {w}/crawl :: two recipes or more"
    yield "compare --recipe exact minhash --input {w}/crawl {w}/rows.jsonl :: not both"
    yield f"compare --recipe exact minhash --input {RECORDS} :: reads documents"
    yield "compare --recipe exact {w}/every.toml --input {w}/crawl --models {w}/empty :: 'language' is not in"
    yield "compare --recipe exact minhash --input {w}/crawl --gold {w}/nowhere.jsonl :: cannot be read"
    yield "compare --recipe exact {w}/records.toml --input {w}/rows.jsonl :: no stage that reads documents"

    for ledger in ("nowhere", "empty"):
        yield f"readmit --recipe exact --ledger {{w}}/{ledger} :: no finished dataset"
    yield "readmit --recipe exact --ledger {w}/run/01-ingest :: nothing to read again"
    yield "readmit --recipe {w}/mix.toml --ledger {w}/run :: does not begin at archives"
    yield "readmit --recipe nameless --ledger {w}/run :: no recipe 'nameless'"
    yield "readmit --recipe {w}/every.toml --models {w}/empty --ledger {w}/run :: is not in"
    yield "readmit --recipe exact --ledger {w}/run --rule size/max_words :: no record was rejected by"
    yield "readmit --recipe exact --ledger {w}/run --ids {w}/nowhere :: nowhere cannot be read"
    yield "readmit --recipe exact --ledger {w}/run --source {w}/nowhere :: is not a folder"
    yield "readmit --recipe tokens --ledger {w}/run --models {w}/empty :: is not in"
    yield "readmit --recipe exact --ledger {w}/run --engine spark :: no engine 'spark'"

    yield "join {w}/run {w}/run :: two runs or more"
    yield "join {w}/run {w}/nowhere :: nowhere is not the folder of a run"
    yield f"join {{w}}/run {RECORDS} :: is not the folder of a run"
    yield "join {w}/run {w}/empty --source {w}/nowhere :: is not a folder"
    yield "join {w}/run {w}/empty --engine spark :: no engine 'spark'"

    listed = "takedown --url-list {w}/list.txt"
    yield "takedown --run {w}/run --url-list {w}/nowhere :: nowhere cannot be read"
    yield "takedown --run {w}/run :: --url-list FILE, or --ids FILE"
    yield f"{listed} --run {{w}}/crawl :: contains no finished dataset"
    for place in ("run", "run/inside"):
        yield f"{listed} --run {{w}}/run --out {{w}}/{place} :: choose a new folder beside it"
    for run in ("nowhere", "empty"):
        yield f"takedown --run {{w}}/{run} --ids {{w}}/ids.txt :: no finished dataset"

    words = "calibrate --signal words --keep 0.1 --out {o}.toml"
    yield f"{words} --recipe nameless --input {{w}}/rows.jsonl :: no recipe 'nameless'"
    yield f"{words} --recipe exact --input {{w}}/rows.jsonl :: no min rule on 'words'"
    yield f"{words} --recipe {{w}}/small.toml --step other --input {{w}}/rows.jsonl :: step 'other'"
    yield f"{words} --recipe {{w}}/small.toml --input {{w}}/nowhere :: nowhere"
    yield f"{words} --recipe {{w}}/small.toml --input {{w}}/crawl :: not archives"

    yield "report --run {w}/nowhere :: is not a folder"
    yield "report --run {w}/empty :: nothing to report"
    yield "report --run {w}/run --source {w}/nowhere :: is not a folder"

    for command in ("perplexity", "coherence", "domains", "tokenizer", "benchmarks"):
        yield f"fit {command} --positive {{w}}/nowhere :: nowhere"
    for command in ("bag-of-words --out {o}.tsv", "quality", "safety"):
        yield f"fit {command} --positive {{w}}/rows.jsonl --negative {{w}}/nowhere :: nowhere"
    yield "fit reference --out {o}.tsv --positive code={w}/nowhere --negative {w}/rows.jsonl :: nowhere"
    yield "fit reference --out {o}.bin --positive {w}/rows.jsonl --negative {w}/rows.jsonl :: is a .tsv file"
    yield "fit importance --positive {w}/rows.jsonl --negative {w}/nowhere :: must end in"
    files = "--positive {w}/rows.jsonl --negative {w}/rows.jsonl"
    yield f"fit combination --out {{o}}.json {files} --signal words :: measure the texts first"


def has_engine(command: Any) -> bool:
    return any("--engine" in parameter.opts for parameter in command.params)


# Of a training the ranks look at data and configuration, once the engine has started them.
TRAINING = {"train", "branch"}
WITH_ENGINE = {name for name, command in all_commands().commands.items() if has_engine(command)} - TRAINING


@pytest.mark.parametrize("case", [*cases()])
def test_nothing_is_left(
    case: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no engine is started before."""
    monkeypatch.setattr("infra.engines.ray.start_ray", lambda *_: pytest.fail("Ray is started"))
    command, _, says = case.partition(" :: ")
    words = command.format(w=world, o=tmp_path / "new" / "out").split()
    words += () if "--out" in words else ("--out", str(tmp_path / "new" / "out"))
    words += ("--engine", "ray") if words[0] in WITH_ENGINE and "--engine" not in words else ()
    with pytest.raises(SystemExit) as stopped:
        main(words)
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.endswith((" of 1", " of 0"))]  # progress
    assert (stopped.value.code, said.out, len(lines)) == (2, "", 1), said
    assert lines[0].startswith("refinery: ") and says in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_every_command_with_an_engine_is_tried() -> None:
    assert {case.split()[0] for case in cases()} >= WITH_ENGINE


@pytest.mark.parametrize("made_before", [False, True], ids=["no folder", "an empty folder"])
def test_what_a_stage_notices_late_is_undone_too(made_before: bool, world: Path, tmp_path: Path) -> None:
    """An archive that has gone is met by the worker that wants to read it."""
    folder = tmp_path / "world"
    write_crawl(folder / "crawl", files=1)
    run_here(world / "small.toml", folder / "crawl", folder / "run")
    for archive in (folder / "crawl").iterdir():
        archive.unlink()
    out = tmp_path / "out"
    if made_before:
        out.mkdir()
    with pytest.raises(SystemExit):
        main(["extract", "--recipe", "extract", "--input", str(folder / "run" / "01-ingest"), "--out", str(out)])
    assert list(tmp_path.iterdir()) == ([folder, out] if made_before else [folder])
    assert not made_before or list(out.iterdir()) == []


def test_what_is_finished_stays(world: Path, tmp_path: Path) -> None:
    """A later stage that is refused takes nothing from the stages before it: only the whole pool shows that there is
    too little for a mixture."""
    (tmp_path / "late.toml").write_text(recipe("late", INGEST, EXTRACT, stage("filter", "filter", SIZE), mix(0.0)))
    with pytest.raises(SystemExit):
        main(f"run --recipe {tmp_path}/late.toml --input {world}/crawl --out {tmp_path}/out".split())
    assert (tmp_path / "out" / "03-filter" / "manifest.json").is_file()
    assert not (tmp_path / "out" / "04-mixture" / "manifest.json").exists()
