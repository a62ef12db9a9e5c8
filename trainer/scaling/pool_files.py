"""A law of pools as a JSON file, with a card that says what it was fitted on; one is in the package."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from infra.errors import UsageError
from infra.hashing import readable_json
from infra.names import meant
from trainer.scaling.pool_law import MOST_ERROR, NAMES, FittedPools, PoolLaw
from trainer.scaling.pool_runs import MEAN

FORMAT = "refinery-pool-law/1"
SHIPPED = "pools.json"
_LINEAR = ("e", "a", "b")
_RANGES = ("params", "tokens", "epochs", "keep_rate")
_DIGITS = 5
# A list of numbers, which stands on a line.
_LIST = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")


def as_json(laws: Mapping[str, FittedPools], card: Mapping[str, Any]) -> dict[str, Any]:
    """Laws by the name of the loss that each is of."""
    return {"format": FORMAT, "card": dict(card), "laws": {name: _law_json(law) for name, law in laws.items()}}


def law_bytes(found: Mapping[str, Any]) -> bytes:
    """Readable JSON, a draw a line."""
    text = readable_json(found).decode()
    return _LIST.sub(lambda each: f"[{' '.join(each[1].split())}]", text).encode()


def shipped_law() -> Path:
    """The file of the law that the package has."""
    return Path(str(files("trainer.scaling"))) / "shipped" / SHIPPED


def read_pool_law(path: Path, loss: str | None = None) -> tuple[FittedPools, dict[str, Any]]:
    """The law of a loss in a file (the first one of its card without a name), and {loss, losses, card}. UsageError for
    another file, and a loss that it has no law of."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}")
        names = list(found["laws"])
        first = found["card"].get("loss")
        chosen = loss or (first if first in names else names[0])
        if chosen not in names:
            raise UsageError(f"{path} has no law of the loss {chosen!r}; {meant(chosen, names)}")
        return _law_from(found["laws"][chosen]), {"loss": chosen, "losses": names, "card": found["card"]}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} is no law that `refinery plan-data --table … --out` wrote: {error}") from None


def card_of(made: Mapping[str, Any], fitted: FittedPools, runs: int, loss: str = MEAN) -> dict[str, Any]:
    """What a law was fitted on. `made`: what else is known of the runs."""
    ranges = {name: list(ends) for name, ends in fitted.ranges.items()}
    return {**made, "loss": loss, "runs": runs, "fitted": ranges, "pools": dict(fitted.rates), "error": fitted.error}


def _law_json(fitted: FittedPools) -> dict[str, Any]:
    return {
        **_one(fitted.law),
        "units": _rounded(np.array(fitted.law.units)),
        "error": fitted.error,
        "ranges": {name: list(ends) for name, ends in fitted.ranges.items()},
        "pools": dict(fitted.rates),
        "draws": [_numbers(law) for law in fitted.draws],
    }


def _one(law: PoolLaw) -> dict[str, Any]:
    numbers = _numbers(law)
    factors = dict(zip(law.factors, numbers[len(NAMES) + len(_LINEAR) :]))
    return {**dict(zip((*NAMES, *_LINEAR), numbers)), "factors": factors}


def _numbers(law: PoolLaw) -> list[float]:
    """Its shape, E, A and B, and the factors of its pools, from the strictest."""
    return _rounded(np.array([*law.shape, *law.linear, *law.factors.values()]))


def _law_from(found: Mapping[str, Any]) -> FittedPools:
    first, second, third = map(float, found["units"])
    by_name = {str(name): float(rate) for name, rate in found["pools"].items()}
    rates = dict(sorted(by_name.items(), key=lambda item: (item[1], item[0])))  # the strictest first, as in a fit
    if not rates or not all(0 < rate <= 1 for rate in rates.values()):
        raise ValueError("pools must have keep rates above 0 and at most 1")

    def law(row: Any) -> PoolLaw:
        numbers = np.array([float(each) for each in row])
        shape, linear, factors = np.split(numbers, [len(NAMES), len(NAMES) + len(_LINEAR)])
        if not np.isfinite(numbers).all() or min(shape[:3]) <= 0 or min(linear) < 0 or factors.size != len(rates):
            raise ValueError("its coefficients must be numbers, exponents and half-life above 0, losses not below it")
        return PoolLaw(shape, linear, dict(zip(rates, factors.tolist())), (first, second, third))

    middle = [*(found[name] for name in (*NAMES, *_LINEAR)), *(found["factors"][name] for name in rates)]
    draws = [law(row) for row in found["draws"]]
    if not draws or min(first, second) <= 0:
        raise ValueError("it has no draws")
    ranges = {name: (float(found["ranges"][name][0]), float(found["ranges"][name][1])) for name in _RANGES}
    error = float(found["error"])
    ends = [each for pair in ranges.values() for each in pair]
    if not (np.isfinite([first, second, third, *ends]).all() and 0 < error <= MOST_ERROR):
        raise ValueError(f"its units, ranges and error must be numbers, the error above 0 and at most {MOST_ERROR}")
    if min(ends) <= 0 or any(low > high for low, high in ranges.values()):
        raise ValueError("its ranges must be above 0, from the least to the largest")
    return FittedPools(law(middle), draws, error, ranges, rates)


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
