"""A token is drawn from the distribution that is asked for."""

import numpy as np
import pytest
import torch

from infra.errors import UsageError
from trainer.sampling import Sampling, random_streams, sample

LOGITS = torch.tensor([2.0, -1.0, 0.5, 1.0, -torch.inf, 0.0])
DRAWS = 20_000


def frequencies(sampling: Sampling) -> np.ndarray:
    """At even places of the unit interval: the distribution itself, to 1 / DRAWS a token."""
    places = ((np.arange(DRAWS) + 0.5) / DRAWS).tolist()
    return np.bincount(sample(LOGITS.expand(DRAWS, -1), sampling, places), minlength=6) / DRAWS


def softmax(temperature: float, kept: list[int]) -> np.ndarray:
    weights = np.zeros(6)
    weights[kept] = np.exp(LOGITS.double().numpy()[kept] / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(1.0), [0, 1, 2, 3, 5]),
        (Sampling(0.5), [0, 1, 2, 3, 5]),
        (Sampling(3.0, top_k=2), [0, 3]),
        (Sampling(1.0, top_k=1), [0]),
        (Sampling(1.0, top_k=50), [0, 1, 2, 3, 5]),
        (Sampling(1.0, top_p=0.57), [0, 3]),  # .563 and .207
        (Sampling(1.0, top_p=0.56), [0]),
        (Sampling(1.0, top_p=1e-9), [0]),
        (Sampling(1.0, top_p=0.6, top_k=2), [0]),  # .73 of the two
        (Sampling(0.0, top_p=0.1), [0]),
        (Sampling(1e-300), [0]),
    ],
)
def test_the_distribution(sampling: Sampling, kept: list[int]) -> None:
    expected = softmax(max(sampling.temperature, 1e-2), kept)
    assert np.abs(frequencies(sampling.check()) - expected).max() < 2 / DRAWS


def test_equal_prompts_have_other_numbers_and_the_others_do_not_matter() -> None:
    alone = [stream.random() for stream in random_streams([[1, 2], [1, 2], [12]], 5)]
    assert len(set(alone)) == 3
    among = [stream.random() for stream in random_streams([[7], [12], [1, 2], [3], [1, 2]], 5)]
    assert [among[2], among[4], among[1]] == alone
    assert alone != [stream.random() for stream in random_streams([[1, 2], [1, 2], [12]], 6)]


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        (Sampling(-1.0), "temperature"),
        (Sampling(float("nan")), "temperature"),
        (Sampling(top_p=0.0), "top_p"),
        (Sampling(top_p=1.1), "top_p"),
        (Sampling(top_k=0), "top_k"),
    ],
)
def test_numbers_out_of_range_are_refused(sampling: Sampling, name: str) -> None:
    with pytest.raises(UsageError, match=name):
        sampling.check()
