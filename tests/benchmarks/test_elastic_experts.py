"""The benchmark of elastic experts: equal FLOPs, its data, its bars, and a run of it as a whole."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.elastic_experts import FULL_K, KS, RUNS, at_k, bars, body, flops, mean_k, toml
from benchmarks.small_tokens import fit_small, retokenize, texts_of
from tests.trainer.conftest import data, documents, tokenizer, write_tokens  # noqa: F401
from trainer.config import Config
from trainer.data.tokens import TokenDataset


def domains_of(dataset: TokenDataset) -> list[str]:
    table = dataset.documents
    return [table.domain_names[code] for code in table.domain_codes.tolist()]


def test_every_run_has_the_flops_of_plain() -> None:
    def spent(name: str) -> float:
        sections = body(name, 0, 1000)
        schedule = sections["schedule"]
        return (schedule["trunk_steps"] + schedule["decay_steps"]) * flops(sections, mean_k(sections["top_k"]))

    assert all(spent(name) == pytest.approx(spent("plain"), rel=1e-3) for name in RUNS)
    assert mean_k(body("plain", 0, 1000)["top_k"]) == FULL_K > mean_k(body("elastic", 0, 1000)["top_k"])


@pytest.mark.parametrize("name", RUNS)
def test_a_configuration_is_one(name: str) -> None:
    written = tomllib.loads(toml(body(name, 2, 1000)))
    assert written == body(name, 2, 1000)
    assert Config.from_dict(written).run.seed == 2


def test_a_small_vocabulary_has_the_same_texts(tmp_path: Path, tokenizer: bytes) -> None:  # noqa: F811
    written = documents(count=30)
    table, texts = texts_of(write_tokens(tmp_path / "tokens", written, tokenizer))
    assert sorted(texts) == sorted(document.text for document in written)
    fit_small(texts, 300, tmp_path / "small.model")
    small = retokenize(table, texts, tmp_path / "small.model", tmp_path / "small")
    assert texts_of(small)[1] == texts
    dataset = TokenDataset(small)
    assert dataset.ref.vocab_size == 300 and domains_of(dataset) == table["domain"].to_pylist()
    assert int(dataset.documents.bytes.sum()) == sum(len(text.encode()) for text in texts)


def result(at_4: float, policy: float, mean: float = 6.0) -> dict[str, Any]:
    bits = {str(k): 2.0 for k in KS} | {"4": 2.0 * at_4, "5": 2.04, "6": 2.02}
    made = {"bits": policy, "mean_k": mean, "calibration_bits": 1.0}
    return {"bits": bits, "policies": {"top_p": made, "min_p": {**made, "bits": 9.0, "calibration_bits": 2.0}}}


@pytest.mark.parametrize(
    ("plain", "elastic", "held"),
    [
        ((1.2, 2.0), (1.01, 2.005), [True] * 4),
        ((1.05, 2.0), (1.03, 2.03), [False] * 4),
        ((1.2, 2.0), (1.01, 2.015), [True, True, True, False]),
        ((1.2, 2.0), (1.01, 2.0, 8.0), [True, True, True, False]),
    ],
)
def test_the_bars(plain: tuple[float, ...], elastic: tuple[float, ...], held: list[bool]) -> None:
    found = bars({"plain": [result(*plain)] * 2, "elastic": [result(*elastic)] * 2})
    assert list(found["bars"].values()) == held and found["passed"] == all(held)


def test_between_two_k_is_a_line() -> None:
    assert at_k({"4": 3.0, "6": 2.0, "12": 1.0}, 5.5) == pytest.approx(2.25)
    assert at_k({"4": 3.0, "6": 2.0, "12": 1.0}, 12.0) == 1.0


@pytest.mark.long
def test_it_runs_as_a_whole(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    from benchmarks.__main__ import main

    words = ["elastic_experts", "--tokens", str(data), "--held-out", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--seeds", "2", "--steps", "30"]) == 1
    told = capsys.readouterr().out
    assert "MISSED: plain: k = 4 over 1.1 of k = 12" in told and "| elastic, k1 |" in told
    main([*words, "--seeds", "2", "--steps", "30"])
    assert capsys.readouterr().out == told
