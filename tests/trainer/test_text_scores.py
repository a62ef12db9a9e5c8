"""Windows: every token is scored once, with context; and a text's bits are those of the model."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from tests.trainer.conftest import documents, sentences, write_config
from trainer.api import TextScorer, evaluate, train
from trainer.baselines import open_tokenizer
from trainer.checkpoint import read_checkpoint
from trainer.data.pack import PADDING
from trainer.generate import encode
from trainer.loss import token_losses
from trainer.plans import packed_plan
from trainer.policies import KPolicy
from trainer.run_files import find_checkpoint
from trainer.text_scores import continuation_windows
from trainer.windows import TextWindow, packed, windows_of

LENGTH = 32


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("scores")
    schedule = {"warmup_steps": 5, "trunk_steps": 40, "decay_steps": 0}
    train(write_config(root, schedule=schedule, run={"checkpoint_interval_steps": 40}), data, root / "run")
    return root / "run"


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 40), st.data())
def test_every_target_is_scored_once_with_as_much_context_as_is_asked_for(
    targets: int, length: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(1, length))
    scored = np.zeros(targets, np.int64)
    for window in windows_of(0, targets, length, step):
        assert window.start <= window.first < window.end <= window.start + length
        assert window.first - window.start >= min(window.first, length - step)
        scored[window.first : window.end] += 1
    assert (scored == 1).all()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 70), max_size=9),
    st.integers(1, 24),
    st.integers(1, 4),
)
def test_packing_keeps_every_target_with_the_token_before_it(sizes: list[int], length: int, sequences: int) -> None:
    """Tokens are numbered over all texts, so that each is known where it is found."""
    ends = np.cumsum([0, *sizes])
    tokens = [np.arange(first, last) for first, last in pairwise(ends)]
    windows = [w for text, ids in enumerate(tokens) for w in windows_of(text, len(ids), length, max(1, length // 2))]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    scored = np.zeros(ends[-1], np.int64)
    for batch in packed(tokens, windows, length, sequences, before=-7):
        assert batch.targets.shape[0] <= sequences and batch.targets.shape[1] == length
        here = batch.texts != PADDING
        assert batch.real[here].all()
        np.add.at(scored, batch.targets[here], 1)
        assert (owner[batch.targets[here]] == batch.texts[here]).all()
        begins = np.isin(batch.targets, ends[:-1]) & batch.real
        assert (batch.inputs[begins] == -7).all()
        inside = batch.real & ~begins
        assert (batch.inputs[inside] == batch.targets[inside] - 1).all()
        assert (np.diff(batch.segments, axis=1) >= 0).all()
    assert (scored == 1).all()


def test_a_continuations_bits_are_what_it_adds_to_its_context(run: Path) -> None:
    """Of a context that fits; of a longer one, the last that fits is read."""
    scorer = TextScorer(run, 4)
    context, choices = sentences(3, 1)[:40], [" of the river", " xq", ""]
    found = scorer.continuation_bits([context] * 3, choices)
    whole = scorer([context, *(context + each for each in choices)], [False] * 4).bits
    assert found == pytest.approx(whole[1:] - whole[0], abs=1e-3) and found[2] == 0
    long = sentences(4, 30)
    cut = scorer.continuation_bits([long, long[-600:]], [choices[0]] * 2)
    assert cut[0] == pytest.approx(cut[1], abs=1e-3) and cut[0] > 0


def test_continuations_have_all_the_context_that_fits() -> None:
    assert continuation_windows(2, 30, 40, 32) == [TextWindow(2, 8, 30, 40)]
    assert continuation_windows(0, 3, 3, 32) == []
    assert [each[1:] for each in continuation_windows(0, 5, 105, 32)] == [
        tuple(5 + n for n in each[1:]) for each in windows_of(0, 100, 32, 16)
    ]


def test_bits_are_the_models_in_windows_of_half_a_sequence(run: Path) -> None:
    """A short text and one of several windows, each by itself through the model."""
    texts = [sentences(3, 1), sentences(4, 12)]
    scores = TextScorer(run, 4)(texts, [True, True])
    read = read_checkpoint(find_checkpoint(run))
    model, processor = read.model(), open_tokenizer(read.tokenizer)
    eod = read.data.eod_id
    for text, bits, count in zip(texts, scores.bits, scores.tokens, strict=True):
        ids = [*encode(processor, text), eod]
        assert count == len(ids)
        nats = 0.0
        for window in windows_of(0, len(ids), LENGTH, LENGTH // 2):
            before = [ids[window.start - 1] if window.start else eod]
            inputs = torch.tensor([[*before, *ids[window.start : window.end - 1]]])
            with torch.inference_mode():
                plan = packed_plan(model.config, torch.zeros_like(inputs), torch.device("cpu"), torch.float32)
                hidden = model(inputs, plan, [KPolicy(4)] * model.config.n_moe_layers).hidden_BLD
                losses = token_losses(hidden[0], model.head, torch.tensor(ids[window.start : window.end])).nats_T
            nats += float(losses[window.first - window.start :].sum())
        assert bits == pytest.approx(nats / np.log(2), rel=1e-5)
    assert scores.tokens[1] > 2 * LENGTH


def test_context_makes_windows_better_than_cuts(run: Path, data: Path) -> None:
    """`evaluate` cuts documents at the end of a sequence; the same documents in windows lose no context there."""
    texts = [document.text for document in documents()]
    scores = TextScorer(run)(texts, [True] * len(texts))
    windowed = scores.bits.sum() / sum(len(text.encode()) for text in texts)
    assert windowed < evaluate(run, data)["overall"]


def test_the_beginning_of_a_text_has_no_end(run: Path) -> None:
    scorer = TextScorer(run)
    text = sentences(5, 2)
    whole, part = scorer([text], [True]), scorer([text], [False])
    assert whole.tokens[0] == part.tokens[0] + 1 and whole.bits[0] > part.bits[0]
    assert scorer(["", text], [False, True]).bits.tolist() == pytest.approx([0.0, whole.bits[0]])


def test_about_names_the_checkpoint(run: Path) -> None:
    about = TextScorer(run, 3, "top_p=0.5").about
    read = read_checkpoint(find_checkpoint(run))
    names = {"checkpoint": read.sha256, "trained_on": read.data.manifest_sha256}
    assert about == {**names, "step": 40, "k": 3, "policy": "top_p=0.5", "window": LENGTH}
    with pytest.raises(UsageError, match="k is 99"):
        TextScorer(run, 99)
