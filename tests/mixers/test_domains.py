"""Labels and probabilities over the taxonomy, and their calibration."""

import numpy as np
import pytest

from infra.errors import UsageError
from mixers.domains import (
    AXIS_OF,
    DOMAINS,
    Axis,
    axis_probabilities,
    calibrate,
    calibration_error,
    domains_of,
    fit_temperature,
    from_fasttext,
    label,
    log_loss,
)


def test_the_domains_and_axes() -> None:
    assert domains_of("IQ") == ("mathematics", "code", "science", "engineering", "reasoning")
    assert domains_of("EQ") == ("literature", "dialogue", "emotion", "society", "arts")
    assert domains_of("general") == ("general",) and domains_of("code") == ("code",)
    assert len(DOMAINS) == len(set(DOMAINS)) == 11 and AXIS_OF["general"] is Axis.GENERAL
    with pytest.raises(UsageError, match="'iq'"):
        domains_of("iq")


def test_fasttext_answers_become_distributions() -> None:
    raw = from_fasttext(
        [["__label__code", "__label__science"], [], ["__label__arts"], ["__label__code"]],
        [[0.7, 0.2], [], [1.00001], [float("nan")]],
    )
    assert raw.shape == (4, 11) and np.allclose(raw.sum(axis=1), 1)
    assert raw[0, DOMAINS.index("code")] == pytest.approx(0.7 / 0.9, abs=1e-4)
    assert np.allclose(raw[1], 1 / 11) and np.allclose(raw[3], 1 / 11)
    assert raw[2].argmax() == DOMAINS.index("arts")
    with pytest.raises(UsageError, match="__label__cooking"):
        from_fasttext([["__label__cooking"]], [[1.0]])


def test_ties_and_low_probabilities() -> None:
    scores = [[0.5, 0.5], [0.9, 0.1], []]
    found = label(
        [["__label__science", "__label__code"], ["__label__arts", "__label__code"], []], scores, min_probability=0.4
    )
    assert found.domain == ["code", "arts", "general"]
    assert label([], []).domain == []


def test_a_page_may_be_both() -> None:
    both, one = label(
        [["__label__mathematics", "__label__literature"], ["__label__mathematics", "__label__code"]],
        [[0.5, 0.45], [0.6, 0.4]],
    ).probabilities_ND
    masses = axis_probabilities(np.array([both, one]))
    assert (masses >= 0.25).tolist() == [[True, True, False], [True, False, False]]
    assert np.allclose(masses.sum(axis=1), 1)


def test_temperature_changes_probabilities_and_no_label() -> None:
    rng = np.random.default_rng(0)
    raw = rng.dirichlet(np.full(11, 0.3), 50)
    for temperature in (0.5, 1.0, 3.0):
        calibrated = calibrate(raw, temperature)
        assert np.allclose(calibrated.sum(axis=1), 1)
        assert (calibrated.argmax(axis=1) == raw.argmax(axis=1)).all()
    assert calibrate(raw, 3.0).max(axis=1).mean() < raw.max(axis=1).mean() < calibrate(raw, 0.5).max(axis=1).mean()


def test_fitting_finds_the_temperature_that_made_them_over_confident() -> None:
    rng = np.random.default_rng(1)
    honest = rng.dirichlet(np.full(11, 0.5), 4000)
    truth = [DOMAINS[rng.choice(11, p=row)] for row in honest]
    boastful = calibrate(honest, 1 / 2.5)
    temperature = fit_temperature(boastful, truth)
    assert temperature == pytest.approx(2.5, abs=0.25)
    calibrated = calibrate(boastful, temperature)
    assert calibration_error(calibrated, truth) < 0.03 < calibration_error(boastful, truth)
    assert log_loss(boastful, truth, temperature) < log_loss(boastful, truth, 1.0)
    with pytest.raises(UsageError, match="held-out"):
        fit_temperature(boastful[:0], [])
