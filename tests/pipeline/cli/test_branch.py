"""The command `branch`: one branch, those of a file, and their comparison as text, JSON and a picture."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline.cli.branch_text import comparison_text
from pipeline.cli.train_text import TRAINED_ON
from pipeline.report.differences import differences_drawing
from tests.pipeline.command import answer, refinery
from tests.trainer.conftest import documents, train_tokenizer, write_config, write_tokens
from trainer.api import freeze, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("branches")
    tokenizer = train_tokenizer(documents(seed=9, count=80), 384)
    write_tokens(root / "tokens", documents(), tokenizer)
    write_tokens(root / "held-out", documents(seed=5, count=30), tokenizer)
    train(
        write_config(root, schedule={"warmup_steps": 1, "trunk_steps": 3, "decay_steps": 1}),
        root / "tokens",
        root / "run",
    )
    freeze(root / "run", root / "frozen")
    return root


def test_a_file_is_grown_and_compared(root: Path) -> None:
    file, out = root / "branches.toml", root / "out"
    file.write_text("[branches.narrow]\nwindow = 2\n[branches.web]\nmixture = { web = 1.0 }\n")
    words = ("branch", "--trunk", root / "frozen", "--config", file, "--data", root / "tokens", "--out", out)
    told = refinery(*words)
    assert "at step 3" in told and all(name in told for name in ("control", "narrow", "web"))
    grown = answer(*words)
    assert grown["grown"]["control"]["overrides"] == {} and grown["branches"]["web"]["tokens"] == 128
    told = refinery("branch", "compare", out, "--data", root / "held-out")
    assert "cost: 768 tokens, 1.50 runs instead of 3 (1.54 thousand tokens)" in told and "the control" in told
    assert TRAINED_ON not in told and TRAINED_ON in refinery("branch", "compare", out, "--data", root / "tokens")
    compared = answer("branch", "compare", out, "--data", root / "held-out", "--second", out)
    assert compared["second"]["spearman"] == 1.0 and compared["second"]["flipped_pairs"] == []
    assert json.loads((out / "branch-comparison.json").read_bytes()) == compared
    picture = ElementTree.parse(out / "branch-comparison.svg")
    words_shown = "".join(picture.getroot().itertext())
    assert "narrow" in words_shown and compared["branches"]["web"]["verdict"] in words_shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "x"], "give --trunk, a frozen trunk, and --out"),
        (["--trunk", "t", "--out", "x", "--config", "c", "--steps", "3"], "leave the others out"),
        (["--trunk", "0123456789", "--out", "x"], "no checkpoint in this folder"),
        (["compare", "nowhere", "--data", "nowhere"], "has no branches.json"),
        (["--trunk", "t", "--out", "x", "--engine", "beam"], "it has local and ray"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], told: str) -> None:
    assert told in refinery("branch", *words, code=2)


def test_what_cannot_be_decided_is_told() -> None:
    """Without an interval, of one document; and what a second mark flips."""
    row = {"bits_per_byte": 2.0, "difference": 0.01, "low": None, "high": None, "verdict": "undecided"}
    body = {
        "ranking": ["control", "a"], "control": {"bits_per_byte": 1.99}, "level": 0.95, "documents": 1,
        "held_out_tokens": 10, "noise_of_seeds": 0.02, "branches": {"a": {**row, "more_held_out_tokens": None}},
        "cost": {"tokens": 14, "runs": 1.4, "runs_without_trunk": 5, "tokens_without_trunk": 50},
        "second": {"step": 3, "spearman": -1.0, "best_agrees": False, "ranking": ["a", "control"],
                   "flipped_pairs": [["control", "a"]]},
    }  # fmt: skip
    told = comparison_text(body)
    assert "no text would decide it" in told and "another best, a; flipped: control and a" in told
    assert "1.40 runs instead of 5" in told and "another data seed alone changes 0.0200" in told
    assert ElementTree.fromstring(differences_drawing(body).alone()) is not None
