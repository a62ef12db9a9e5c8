"""From documents to a balanced mixture and to token shards in which each token is traced to its page."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.dataset.files import write_files
from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from mixers.shards import TokenShardReader
from mixers.tokenizer import Tokenizer
from pipeline.fit.tokenizer import fit_tokenizer
from tests.files import write_rows
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import sentences
from tests.pipeline.recipe_texts import mix, recipe, stage

MIX = recipe("mix", mix(tolerance=0.2, min_source_share={"web": 0.2}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    for source, count, domains in (
        ("web", 30, ["science", "dialogue"]),
        ("curated", 200, ["mathematics", "literature"]),
    ):
        rows = [
            {"text": "\n".join(sentences(i + count)), "id": f"{source}-{i}", "source": source, "domain": domains[i % 2]}
            for i in range(count)
        ]
        write_rows(folder / f"{source}.jsonl.gz", rows)
    (folder / "mix.toml").write_text(MIX)
    words = ("--recipe", folder / "mix.toml", "--input", folder / "web.jsonl.gz", folder / "curated.jsonl.gz")
    refinery("mix", *words, "--out", folder / "mixture")
    models = folder / "models"
    models.mkdir()
    fit_tokenizer([folder / "mixture"], models / "tokenizer.model", 400)
    refinery(
        "tokenize", "--recipe", "tokens", "--models", models, "--input", folder / "mixture", "--out", folder / "tokens"
    )
    return folder


def test_more_documents_and_a_lost_shard(world: Path, tmp_path: Path) -> None:
    """The table of documents names the shards by number, so all of them are made again."""
    words = ("tokenize", "--recipe", "tokens", "--models", world / "models", "--input", world / "web.jsonl.gz")
    refinery(*words, "--out", tmp_path / "out")
    words = (*words, world / "curated.jsonl.gz")
    refinery(*words, "--out", tmp_path / "fresh")
    for _ in range(2):
        refinery(*words, "--out", tmp_path / "out")
        assert made(tmp_path / "out") == made(tmp_path / "fresh")
        (tmp_path / "out" / "part-00001.bin").unlink()


def test_the_mixture_agrees_with_its_manifest(world: Path) -> None:
    mixture = Dataset(world / "mixture")
    check_invariant(mixture.manifest)
    table = mixture.to_arrow(["source", "domain", "token_count", "repeats"]).to_pylist()
    tokens: dict[str, int] = {}
    for row in table:
        assert 1 <= row["repeats"] <= 4
        tokens[row["source"]] = tokens.get(row["source"], 0) + row["repeats"] * row["token_count"]
    total = sum(tokens.values())
    shares = mixture.manifest.extra["mixture"]["shares"]
    assert shares["source"]["web"] == pytest.approx(tokens["web"] / total)
    assert tokens["web"] / total >= 0.19
    assert shares["axis"]["IQ"] == pytest.approx(0.5, abs=0.21)


def test_shares_are_of_the_tokenizer_s_tokens(world: Path, tmp_path: Path) -> None:
    """With a tokenizer, the plan of the draw agrees with the token shards to the token."""
    part = mix(1.0, min_source_share={"web": 0.2}) | {"tokenizer": "tokenizer.model"}
    (tmp_path / "mix.toml").write_text(recipe("mix", part))
    words = ("--models", world / "models", "--input", world / "web.jsonl.gz", world / "curated.jsonl.gz")
    said = refinery("mix", "--recipe", tmp_path / "mix.toml", *words, "--out", tmp_path / "mixture")
    words = ("--models", world / "models", "--input", tmp_path / "mixture")
    refinery("tokenize", "--recipe", "tokens", *words, "--out", tmp_path / "tokens")
    plan, tokens = (Dataset(tmp_path / name).manifest.extra for name in ("mixture", "tokens"))
    rows = pq.read_table(tmp_path / "tokens" / "documents.parquet").to_pylist()
    assert plan["mixture"]["counted_by"]["tokenizer"] == "tokenizer.model"
    assert plan["mixture"]["tokens"] == sum(row["length"] * row["repeats"] for row in rows)
    assert {kind: tokens["shares"][kind] for kind in ("axis", "domain", "source")} == plan["mixture"]["shares"]
    assert tokens["shares"]["axis"] == pytest.approx({"IQ": 0.5, "EQ": 0.5}, abs=0.02)
    assert f"{plan['mixture']['tokens']:,} tokens with repeats (counted by tokenizer.model)" in said
    assert "limited by max_epochs 4 of web/" in said and "alone allows" in said


def test_a_size_that_misses_a_target_is_drawn_and_the_miss_is_told(world: Path, tmp_path: Path) -> None:
    words = ("--recipe", world / "mix.toml", "--input", world / "web.jsonl.gz", world / "curated.jsonl.gz")
    changes = ("--set", "mixture.draw.targets.general=0.2", "--set", "mixture.draw.targets.IQ=0.4")
    said = refinery("mix", *words, *changes, "--set", "mixture.draw.targets.EQ=0.4", "--out", tmp_path / "mixture")
    assert "target of general missed: 20.0% asked for, 0.0% drawn; limited by the pool, which has nothing of it" in said


def test_the_best_of_the_pool_are_repeated(world: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "\n".join(sentences(i)), "id": str(i), "domain": "science", "language": "en", "edu": i / 100}
        for i in range(100)
    ]
    write_rows(tmp_path / "graded.jsonl.gz", rows)
    draw = {"quality": "edu", "grades": [{"best": 0.2, "epochs": 4}, {"best": 0.6, "epochs": 1}]}
    (tmp_path / "mix.toml").write_text(recipe("mix", stage("mixture", "mix", draw=draw)))
    words = ("--recipe", tmp_path / "mix.toml", "--input")
    refinery("mix", *words, tmp_path / "graded.jsonl.gz", "--out", tmp_path / "mixture")
    mixture = Dataset(tmp_path / "mixture")
    found = {row["id"]: row["repeats"] for row in mixture.to_arrow(["id", "repeats"]).to_pylist()}
    least = [group["min_quality"] for group in mixture.manifest.extra["mixture"]["groups"]]
    assert found == {str(i): 4 if i / 100 >= least[0] else 1 for i in range(100) if i / 100 >= least[1]}
    assert least == pytest.approx([0.8, 0.4, None], abs=0.05)
    refused = refinery("mix", *words, world / "web.jsonl.gz", "--out", tmp_path / "other", code=2)
    assert "draw.quality is 'edu', which is no number that the documents have; they have " in refused


def test_documents_are_repeated_by_the_copies_that_they_had(tmp_path: Path) -> None:
    """Rehydration. A column of words is no quality."""
    counts = {str(i): 1 if i < 20 else 3 if i < 25 else 8 for i in range(27)}
    rows = [
        {"text": "\n".join(sentences(int(i))), "id": f"{i}-{k}", "of": i} for i, n in counts.items() for k in range(n)
    ]
    write_rows(tmp_path / "copies.jsonl", rows)
    refinery("run", "--recipe", "exact", "--input", tmp_path / "copies.jsonl", "--out", tmp_path / "out")
    draw = {"grades": [{"min": 7, "epochs": 4}, {"min": 2, "epochs": 2}, {"min": 0, "epochs": 1}]}
    for name in ("copies", "of"):
        (tmp_path / f"{name}.toml").write_text(recipe("mix", stage("mixture", "mix", draw={**draw, "quality": name})))
    words = ("--input", tmp_path / "out", "--out", tmp_path / "mixture")
    assert "is no number" in refinery("mix", "--recipe", tmp_path / "of.toml", *words, code=2)
    refinery("mix", "--recipe", tmp_path / "copies.toml", *words)
    found = {row["of"]: row["repeats"] for row in Dataset(tmp_path / "mixture").to_arrow().to_pylist()}
    assert found == {i: {1: 1, 3: 2, 8: 4}[n] for i, n in counts.items()}


def test_every_token_is_traced_to_its_document(world: Path) -> None:
    folder = world / "tokens"
    manifest = Dataset(folder).manifest
    check_invariant(manifest)
    assert Dataset(folder).verify() == []
    tokenizer = Tokenizer(folder / "tokenizer.model")
    texts = {row["id"]: row for row in Dataset(world / "mixture").to_arrow().to_pylist()}
    documents = pq.read_table(folder / "documents.parquet").to_pylist()
    assert len(documents) == manifest.counts["out"] == len(texts)
    readers = {shard.path: TokenShardReader(folder / shard.path) for shard in manifest.shards}
    for row in documents:
        tokens = readers[row["shard"]].data[row["offset"] : row["offset"] + row["length"]]
        assert tokens[-1] == tokenizer.eod_id
        assert tokenizer.decode(tokens[:-1]) == texts[row["id"]]["text"]
        assert row["bytes"] == len(texts[row["id"]]["text"].encode())
        assert row["repeats"] == texts[row["id"]]["repeats"]


def test_workers_make_the_same_tokens(world: Path, tmp_path: Path) -> None:
    words = ("--models", world / "models", "--input", world / "mixture", "--workers", 2)
    refinery("tokenize", "--recipe", "tokens", *words, "--out", tmp_path / "tokens")
    assert made(tmp_path / "tokens") == made(world / "tokens")


def test_verify_finds_a_token_outside_the_vocabulary(world: Path, tmp_path: Path) -> None:
    """Also with a consistent manifest: in a dataset from elsewhere nothing else shows it."""
    refinery("verify", world / "tokens")
    folder = shutil.copytree(world / "tokens", tmp_path / "tokens")
    manifest = Dataset(folder).manifest
    shard = manifest.shards[0]
    vocab_size = manifest.params["tokenizer"]["vocab_size"]
    content = vocab_size.to_bytes(2, "little") + (folder / shard.path).read_bytes()[2:]
    (folder / shard.path).write_bytes(content)
    shards = [replace(shard, sha256=hashlib.sha256(content).hexdigest()), *manifest.shards[1:]]
    table = write_files(folder, shards, files=list(manifest.files))
    text = replace(manifest, table=table).to_bytes().decode()
    (folder / "manifest.json").write_text(text)
    (folder / "run.json").unlink()
    output = refinery("verify", folder, code=1)
    assert f"{vocab_size}], not in [0, {vocab_size})" in output and len(output.splitlines()) == 1
    (folder / "manifest.json").write_text(text.replace('"eod"', '"end"'))
    assert "params.tokenizer has no vocab_size and eod" in refinery("verify", folder, code=1)


def test_a_missing_model_names_the_command_that_makes_it(world: Path, tmp_path: Path) -> None:
    words = ("tokenize", "--recipe", "tokens", "--input", world / "mixture", "--out", tmp_path / "x")
    assert "refinery fit" in refinery(*words, "--models", tmp_path / "empty", code=2)
