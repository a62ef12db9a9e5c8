"""How the gain of `joined` is fitted and measured."""

import random

import pytest

from benchmarks.confidence import COLLECTIONS, HOSTS, Compared, fit_gain, folds_of, gains_of, is_asked, report, show
from pipeline.extract.gain import Signs


def rows(count: int, seed: int = 0) -> list[Compared]:
    """Pages of three collections, on which the gain follows from the signs."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        for unseen in (HOSTS, COLLECTIONS):
            signs = Signs(*(draw.random() for _ in range(4)))
            gain = 0.2 - 0.4 * signs.terms[0] - 0.5 * signs.terms[1] + 0.3 * signs.terms[2] + draw.gauss(0, 0.01)
            source = ("one", "two", "three")[number % 3]
            found.append(Compared(source, "article", "ab"[number % 2], unseen, signs, 1.0, 0.5, 0.4, 0.5 + gain))
    return found


def test_the_weights_that_made_the_gains_are_found() -> None:
    weights = fit_gain(rows(3000), 1.01, 1.01)
    assert weights[:2] == (1.01, 1.01)
    assert weights[2:] == pytest.approx((0.2, -0.4, -0.5, 0.3), abs=0.01)


def test_others_are_asked_below_the_bounds() -> None:
    row = rows(1)[0]._replace(signs=Signs(0.7, 0.5, 0.6, 0.5), found=0.5)
    assert is_asked(row, 0.8, 0.7)
    assert (
        not is_asked(row, 0.7, 0.7) and not is_asked(row, 0.8, 0.6) and not is_asked(row._replace(found=0.2), 0.8, 0.7)
    )


def test_gains_are_those_of_weights_that_have_not_seen_the_collection() -> None:
    pages = rows(300)
    assert folds_of(row.source for row in pages if row.unseen == HOSTS) == {
        name: name for name in ("one", "two", "three")
    }
    assert folds_of(["a"] * 100 + ["b", "c"]) == {"a": "a", "b": "others", "c": "others"}
    odd = [row._replace(trafilatura=1.0 - row.trafilatura) if row.source == "one" else row for row in pages]
    gains = gains_of(odd, 1.01, 1.01)
    of_one = [gain for row, gain in zip(odd, gains, strict=True) if row.source == "one"]
    assert sum(of_one) < 0 < sum(gains_of(pages, 1.01, 1.01)), "what holds for the others alone loses here"


def test_the_report_counts_every_page() -> None:
    found = report(rows(300))
    assert found["pages"] == 300
    assert [sum(line["pages"] for line in bins) for bins in found["bins"].values()] == [300, 300]
    assert sum(line["pages"] for line in found["parts"] if line["part"].startswith("source")) == 300
    assert all(line["better"] + line["worse"] <= line["changed"] <= line["trafilatura"] for line in found["bounds"])
    assert any(line.startswith("| hosts | 0.8 |") for line in show(found))
