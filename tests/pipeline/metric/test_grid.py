"""A grid's answer: what is known of the scorer comes out, distances order distributions, and copies are found."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.cli.metric_text import grid_text
from pipeline.metric.answers import grid_answer
from pipeline.metric.compressor import xz_bits_per_byte
from pipeline.metric.overlap import MIN_SHARE, TrainingOverlap
from tests.files import write_rows
from tests.pipeline.metric.texts import LettersScorer, prose

# Distributions of which each has more of the training text's words than the one before.
MIXED = 6


def mixed(number: int, seed: int) -> str:
    """Sentences, of which `number` of `MIXED` are about the sea."""
    return ". ".join(prose("sea" if n < number else "proof", 1000 * seed + n, 40) for n in range(MIXED))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    write_rows(folder / "training.jsonl", [{"text": prose("sea", n)} for n in range(150)])
    for number in range(MIXED + 1):
        rows = [{"text": mixed(number, 50 * number + n + 1), "domain": "literature"} for n in range(12)]
        write_rows(folder / "cells" / f"sea-{number}.jsonl.gz", rows)
    copied = [{"text": prose("sea", n), "domain": "code"} for n in (3, 4, 5)]
    write_rows(folder / "cells" / "copied.jsonl", [*copied, {"text": prose("sea", 900), "domain": "code"}])
    write_rows(folder / "cells" / "alone.jsonl", [{"text": prose("proof", 77), "domain": "general"}])
    return folder


@pytest.fixture(scope="module")
def answer(folder: Path) -> dict[str, Any]:
    return grid_answer(LettersScorer(), folder / "cells", [str(folder / "training.jsonl")], folder / "out")


def test_bits_are_the_scorers(answer: dict[str, Any], folder: Path) -> None:
    texts = [mixed(2, 100 + n + 1) for n in range(12)]
    size, bits = sum(map(len, texts)), float(LettersScorer()(texts, [True] * 12).bits.sum())
    row = answer["cells"]["sea-2"]
    assert row["bits_per_byte"] == pytest.approx(bits / size)
    assert row["low"] < row["bits_per_byte"] < row["high"]
    assert (row["documents"], row["all_documents"], row["bytes"], row["tokens"]) == (12, 12, size, size)
    assert row["over_xz"] == pytest.approx(row["bits_per_byte"] / row["xz"])
    assert answer["model"] == {"checkpoint": "letters"}


def test_axes_are_means_over_distributions(answer: dict[str, Any]) -> None:
    assert {axis: group["cells"] for axis, group in answer["axes"].items()} == {
        "IQ": 1,
        "EQ": MIXED + 1,
        "general": 1,
    }
    several = [row["bits_per_byte"] for row in answer["cells"].values() if row["axis"] == "EQ"]
    group = answer["axes"]["EQ"]
    assert group["bits_per_byte"] == pytest.approx(np.mean(several)) and group["low"] < group["bits_per_byte"]
    assert answer["axes"]["general"]["low"] is None and list(answer["languages"]) == ["und"]


def test_distance_falls_as_the_training_text_is_more_of_it(answer: dict[str, Any]) -> None:
    distances = [answer["cells"][f"sea-{number}"]["distance"] for number in range(MIXED + 1)]
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.1 * distances[0]
    for row in answer["cells"].values():
        if row["entropy"] is not None:
            assert row["cross_entropy"] == pytest.approx(row["entropy"] + row["distance"])


def test_copies_of_the_training_text_are_marked_and_left_out(answer: dict[str, Any]) -> None:
    assert answer["marked"] == ["copied"]
    row = answer["cells"]["copied"]
    assert row["contaminated"] == 0.75
    alone = LettersScorer()([prose("sea", 900)], [True])
    assert row["clean_bits_per_byte"] == pytest.approx(alone.bits[0] / alone.tokens[0])
    # The one document that is alone has no entropy of its own.
    assert answer["cells"]["alone"]["distance"] is None and answer["cells"]["alone"]["low"] is None
    relations = answer["relations"]
    assert relations["bits_per_byte from cross_entropy"]["cells"] == MIXED + 2
    assert relations["bits_per_byte from entropy and distance"]["cells"] == MIXED + 1


def test_it_is_kept_as_json_and_as_a_picture(answer: dict[str, Any], folder: Path) -> None:
    assert json.loads((folder / "out" / "grid.json").read_bytes()) == answer
    words = "".join(ElementTree.parse(folder / "out" / "grid.svg").getroot().itertext())
    assert all(name in words for name in answer["cells"]) and "n-gram model of the training text" in words
    told = grid_text(answer)
    assert "copied *" in told and "mean of 7: EQ" in told and "75.0%" in told and "R2" in told


def test_without_a_training_text_there_are_no_distances(folder: Path) -> None:
    answer = grid_answer(LettersScorer(), folder / "cells", out=folder / "bare")
    assert answer["training"] is None and answer["marked"] == [] and not any(answer["relations"].values())
    assert "distance" not in grid_text(answer).splitlines()[0]
    assert "training" not in (folder / "bare" / "grid.svg").read_text()


def test_the_order_of_files_changes_nothing(answer: dict[str, Any], folder: Path) -> None:
    rows = [{"text": prose("sea", n)} for n in range(150)]
    for part in (0, 1):
        write_rows(folder / "parts" / f"{1 - part}.jsonl", rows[part::2][::-1])
    again = grid_answer(LettersScorer(), folder / "cells", [str(folder / "parts")])
    assert again["cells"] == answer["cells"] and again["relations"] == answer["relations"]


def test_xz_finds_what_texts_repeat_among_them() -> None:
    text = prose("sea", 1)
    once, twice = xz_bits_per_byte([text]), xz_bits_per_byte([text, text])
    assert once is not None and twice is not None and twice < 0.6 * once
    assert xz_bits_per_byte([]) is None and xz_bits_per_byte([""]) is None


def test_overlap_is_the_share_of_runs_wherever_they_stand() -> None:
    text, other = prose("sea", 1, 100), prose("proof", 2, 100)
    guard = TrainingOverlap([text, other, "too short"])
    words = text.split()
    guard.see(" ".join([*words[50:], *words[:30]]))
    for n in range(200):
        guard.see(prose("proof", 100 + n))
    shares = guard.shares()
    assert MIN_SHARE < shares[0] < 1 and shares[1:].tolist() == [0.0, 0.0]
