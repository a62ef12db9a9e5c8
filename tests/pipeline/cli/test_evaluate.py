"""The command `evaluate` on a grid and of rejects: text, JSON, a picture. By domain: tests/trainer/test_evaluate.py."""

import json
from pathlib import Path

import pytest

from pipeline.cli.train_text import TRAINED_ON
from tests.files import write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.recipe_texts import judge, recipe, stage
from tests.trainer.conftest import documents, sentences, train_tokenizer, write_config, write_tokens
from trainer.api import train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate")
    tokenizer = train_tokenizer(documents(seed=9, count=80), 384)
    write_tokens(root / "tokens", documents(), tokenizer)
    write_tokens(root / "held-out", documents(seed=5, count=30), tokenizer)
    train(
        write_config(root, schedule={"warmup_steps": 1, "trunk_steps": 3, "decay_steps": 1}),
        root / "tokens",
        root / "run",
    )
    write_rows(root / "new.jsonl.gz", [{"text": sentences(700 + n, 4), "domain": "science"} for n in range(8)])
    write_rows(root / "docs.jsonl", [{"text": sentences(800 + n, 1 + n % 6)} for n in range(40)])
    size = judge("size", {"signal": "words", "min": 20})
    (root / "own.toml").write_text(recipe("own", stage("filter", "filter", size)))
    refinery("run", "--recipe", root / "own.toml", "--input", root / "docs.jsonl", "--out", root / "out")
    (root / "grid.toml").write_text(
        'bytes = 4000\n[cells.new]\ninput = "new.jsonl.gz"\n[cells.tokens]\ninput = "held-out"\nby = "domain"\n'
        '[cells.trained]\ninput = "tokens"\nwhere = { source = "encyclopedia" }\n'
    )
    return root


def test_a_grid_is_told_and_kept(root: Path) -> None:
    words = ("evaluate", "--checkpoint", root / "run", "--grid", root / "grid.toml", "--training", root / "tokens")
    told = refinery(*words, "--out", root / "metric")
    found = answer(*words)
    assert json.loads((root / "metric" / "grid.json").read_bytes()) == found
    names = ["new", "tokens/code", "tokens/general", "tokens/literature", "tokens/science", "trained"]
    assert list(found["cells"]) == names and all(name in told for name in names)
    assert found["cells"]["tokens/literature"]["axis"] == "EQ" and found["cells"]["tokens/code"]["axis"] == "IQ"
    # What was trained on is found in a dataset of tokens, whose texts are decoded; the others are other sentences.
    assert found["cells"]["trained"]["contaminated"] > 0.5 and "trained" in found["marked"]
    assert found["model"]["step"] == 3 and found["training"]["documents"] == 60
    assert found["training"]["is_the_models"] and "another dataset" not in told
    assert (root / "metric" / "grid.svg").read_text().startswith("<svg")


def test_what_was_trained_on_is_told_to_be_no_measure_of_new_text(root: Path) -> None:
    words = ("evaluate", "--checkpoint", root / "run", "--data")
    assert TRAINED_ON in refinery(*words, root / "tokens") and TRAINED_ON not in refinery(*words, root / "held-out")
    assert [answer(*words, root / each)["trained_on"] for each in ("tokens", "held-out")] == [True, False]


def test_distances_from_another_text_than_the_models_are_told(root: Path) -> None:
    words = ("evaluate", "--checkpoint", root / "run", "--grid", root / "grid.toml")
    assert "last trained on another dataset than --training" in refinery(*words, "--training", root / "docs.jsonl")


def test_rejects_are_told(root: Path) -> None:
    words = ("evaluate", "--checkpoint", root / "run", "--rejects", root / "out", "--per-rule", 5, "--k", 2)
    told, found = refinery(*words), answer(*words)
    (row,) = found["rules"]
    assert row["rule"] == "size/min_words" and row["drawn"] == 5 and row["bits_per_byte"] > 0
    assert "size/min_words" in told and "kept" in told and found["model"]["k"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "give one of --data, a tokens dataset; --grid"),
        ("--data d --grid g", "give one of --data"),
        ("--data d --out o", "--out is for --grid, --rejects and --choices"),
        ("--data d --training t", "--training is for --grid"),
        ("--grid g --k 2 --k 4", "take one --k"),
        ("--grid gone.toml", "gone.toml does not exist: give a .toml or .json file"),
        ("--rejects gone", "gone is not the folder of a run"),
        ("--grid {root}/grid.toml --training {root}/gone", "gone: no such file"),
    ],
)
def test_mistakes_are_told_in_a_line(root: Path, words: str, told: str) -> None:
    line = f"evaluate --checkpoint {root}/run {words.format(root=root)}"
    assert told in refinery(*line.split(), code=2)
