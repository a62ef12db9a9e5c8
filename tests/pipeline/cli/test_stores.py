"""Every command takes addresses of an object store for what it reads and makes, and makes the bytes that a disk has."""

import random
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.storage import copy_file, place
from tests.commoncrawl.server import serve
from tests.files import write_rows
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import WORDS, text_rows, write_crawl
from tests.pipeline.recipe_texts import BRIEF, EXTRACT, INGEST, judge, mix, recipe, stage
from tests.s3_server import Server

BUCKET = "commands"
COSTS = re.compile(r"\ncost;.*|<section aria-labelledby=\"cost\".*?</section>", re.DOTALL)
FITTED = "code={at}/texts/code.jsonl --positive talk={at}/texts/talk.jsonl --negative {at}/texts/web.jsonl"
# `{at}`: on disk, or in the bucket, as `{out}` is; `{here}`: on disk. Archives that a manifest names are
# those on disk: in a bucket they have another version.
COMMANDS = {
    "export": "export --run {at}/run --out {out}/made.parquet",
    "verify": "verify {at}/run",
    "status": "status {at}/run",
    "rules": "rejects --run {at}/run",
    "rejects": "rejects --run {at}/run --rule text/copy_text --source {at}/crawl",
    "explain": "explain --from {at}/urls.txt --run {at}/run --source {at}/crawl",
    "readmit": "readmit --ledger {at}/run --recipe {at}/brief.toml --ids {at}/ids.txt --source {at}/crawl "
    "--out {out}/made",
    "takedown": "takedown --run {at}/run --url-list {at}/gone.txt --out {out}/made",
    "takedown of tokens": "takedown --run {at}/tokens --ids {at}/ids.txt --out {out}/made",
    "join": "join {at}/one {at}/two --out {out}/made",
    "mix": "mix --recipe {at}/mixed.toml --input {at}/run --out {out}/made",
    "measure": "measure --recipe {at}/brief.toml --input {at}/run/02-extract --out {out}/made",
    "measure archives": "measure --recipe {at}/brief.toml --input {here}/crawl --out {out}/made",
    "calibrate": "calibrate --signal words --keep 0.5 --min-count 1 --by all --input {at}/run/02-extract "
    "--recipe {at}/brief.toml --out {out}/made.toml",
    "compare": "compare --recipe {at}/brief.toml {at}/lax.toml --input {here}/crawl --out {out}/made",
    "report": "report --run {at}/run --run {at}/one --source {at}/crawl --out {out}/made.html",
    "recipe": "recipes new --language de --out {out}/made.toml",
    "fit tokenizer": "fit tokenizer --positive {at}/docs --vocab-size 300 --out {out}/tokenizer.model",
    "fit perplexity": "fit perplexity --positive {at}/docs --vocab-size 300 --out {out}/perplexity",
    "fit quality": "fit quality --positive {at}/texts/code.jsonl --negative {at}/texts/talk.jsonl --out {out}/q.bin",
    "fit reference": f"fit reference --positive {FITTED} --out {{out}}/reference.tsv",
    "fit coherence": "fit coherence --positive {at}/texts --out {out}/coherence",
    "fit defaults": "fit defaults --models {out} --only quality-en.json reference-en.tsv",
}
FEW = ("export", "verify", "rejects", "explain", "readmit", "takedown of tokens", "join", "report", "fit tokenizer")


class World(NamedTuple):
    here: Path
    there: Path


def documents(seed: int, words: list[str]) -> list[dict[str, str]]:
    draw = random.Random(seed)
    rows = ([draw.choice([*words, *WORDS[:9]]) for _ in range(draw.randint(40, 120))] for _ in range(160))
    texts = (". ".join(" ".join(row[at : at + 8]).capitalize() for at in range(0, len(row), 8)) for row in rows)
    return [
        {"text": text, "url": f"http://h{number % 40}.example/{seed}/{number}"} for number, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, one_server: Server) -> World:
    """The same files on disk and in a bucket, and the same runs, each made where it is."""
    here = tmp_path_factory.mktemp("commands")
    one_server.faults.clear()
    one_server.make_bucket(BUCKET)
    write_crawl(here / "crawl", files=2, each=6)
    for folder in ("docs", "texts"):
        (here / folder).mkdir()
    for number in range(2):
        write_rows(here / "docs" / f"{number}.jsonl", [*text_rows(5 + number), *text_rows(4)])
    for seed, (name, words) in enumerate({"code": WORDS[10:25], "talk": WORDS[25:40], "web": WORDS[40:]}.items()):
        write_rows(here / "texts" / f"{name}.jsonl", documents(seed, words))
    (here / "brief.toml").write_text(BRIEF)
    (here / "lax.toml").write_text(
        recipe("lax", INGEST, EXTRACT, stage("size", "filter", judge("size", {"signal": "words", "min": 60})))
    )
    (here / "mixed.toml").write_text(recipe("mixed", mix(1.0, targets={"general": 1.0}, tokens=2000)))
    (here / "gone.txt").write_text("host:host1.example\n")
    (here / "urls.txt").write_text("http://host1.example/1\nhttp://host5.example/5\n")
    (here / "ids.txt").write_text("0\n1\n<urn:uuid:part-0.warc-4>\n")
    there = place(f"s3://{BUCKET}/world")
    for file in [path for path in here.rglob("*") if path.is_file()]:
        copy_file(file, there / file.relative_to(here).as_posix())
    for at in (here, there):
        refinery("run", "--recipe", at / "brief.toml", "--input", here / "crawl", "--out", at / "run")
        for number, name in enumerate(("one", "two")):
            refinery("run", "--recipe", "exact", "--input", here / "docs" / f"{number}.jsonl", "--out", at / name)
        refinery("fit", "tokenizer", "--positive", at / "docs", "--vocab-size", 300, "--out", at / "m/tokenizer.model")
        refinery("tokenize", "--recipe", "tokens", "--models", at / "m", "--input", at / "one", "--out", at / "tokens")
    assert made(here / "tokens") == made(there / "tokens") and made(here / "run") == made(there / "run")
    return World(here, there)


@pytest.mark.parametrize(
    "name", [each if each in FEW else pytest.param(each, marks=pytest.mark.long) for each in COMMANDS]
)
def test_the_command(name: str, world: World, tmp_path: Path) -> None:
    said, left = [], []
    for at in world:
        result = (tmp_path if at == world.here else at) / name.replace(" ", "-")
        result.mkdir(exist_ok=True)
        printed = refinery(*COMMANDS[name].format(at=at, here=world.here, out=result).split())
        said.append(COSTS.sub("", printed.replace(str(result), "RESULT").replace(str(at), "AT")))
        left.append(results_in(result))
    assert "".join(said[0].split()) == "".join(said[1].split())  # columns are as wide as what is in them
    assert left[0] == left[1] and (left[0] or "--out" not in COMMANDS[name])


def results_in(folder: Path) -> dict[str, bytes]:
    """What a command has made, without what the machine and the time decide."""
    if datasets := made(folder):
        return datasets
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found = {name: file.read_bytes() for name, file in files.items() if not Path(name).name.startswith(".")}
    return {name: COSTS.sub("", content.decode()).encode() if name.endswith(".html") else content
            for name, content in found.items()}  # fmt: skip


@pytest.mark.long
def test_one_archive_at_two_places_is_known(world: World, tmp_path: Path) -> None:
    """On disk, in the bucket, and at an http address: a join of two of them has files in common."""
    name, runs = "part-0.warc.gz", []
    with serve(world.here) as server:
        for number, given in enumerate(
            (world.there / "crawl" / name, f"{server.url}/crawl/{name}", world.here / "crawl" / name)
        ):
            runs.append(tmp_path / str(number))
            refinery("run", "--recipe", world.here / "brief.toml", "--input", given, "--out", runs[-1])
    for first, second in ((0, 1), (1, 2), (2, 0)):
        said = refinery("join", runs[first], runs[second], "--out", tmp_path / "joined", code=2)
        assert f"have files in common, {name!r}" in said


def test_what_is_trained_is_on_this_machine() -> None:
    for command in ("train --data tokens --config tiny --out s3://commands/trunk", "freeze s3://commands/t --out f"):
        assert "is not on this machine" in refinery(*command.split(), code=2)
