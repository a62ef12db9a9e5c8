"""A fitted law as a JSON file, so that a forecast can be made, and kept, before the run that it is of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infra.errors import UsageError
from trainer.scaling.collapse import CollapsedCurve
from trainer.scaling.curves import Floats
from trainer.scaling.schedule_law import EARLY_FOLDS, LawShape, ScheduleLaw
from trainer.scaling.sizes import SizeLaw

FORMAT = "refinery-size-law/3"
_EXPONENTS = ("alpha", "c", "gamma", "p")
_COEFFICIENTS = ("l0", "a", "b")
_DEVIATIONS = ("l0_deviation", "a_deviation", "b_deviation")


def as_json(law: SizeLaw, collapsed: Mapping[str, CollapsedCurve] | None = None) -> dict[str, Any]:
    """The law as JSON has it: its shape, for each size its parameters, coefficients, misfit and noise (nats), and the
    curves that runs of several sizes fall onto, by name."""
    shape = {"peak": law.shape.peak, **dict(zip(_EXPONENTS, np.exp(law.shape.exponents).tolist()))}
    sizes = [
        {"parameters": parameters, "misfit": each.misfit, "noise": each.noise}
        | dict(zip(_COEFFICIENTS, each.linear.tolist()))
        | dict(zip(_DEVIATIONS, each.deviations.tolist()))
        | {"early": list(each.early)}
        for parameters, each in zip(law.parameters.tolist(), law.laws)
    ]
    curves = {name: curve.as_json() for name, curve in (collapsed or {}).items()}
    return {"format": FORMAT, "shape": shape, "sizes": sizes, "collapsed": curves}


def read_law(path: Path) -> SizeLaw:
    """The law in a file that `scaling fit` wrote. UsageError for another file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}")
        shape = LawShape(np.log(_numbers(found["shape"], _EXPONENTS)), _numbers(found["shape"], ("peak",))[0])
        laws = [
            ScheduleLaw(
                shape,
                _numbers(each, _COEFFICIENTS),
                _numbers(each, _DEVIATIONS),
                float(_numbers(each, ("misfit",))[0]),
                float(_numbers(each, ("noise",))[0]),
                _early(each["early"]),
            )
            for each in found["sizes"]
        ]
        parameters = np.concatenate([_numbers(each, ("parameters",)) for each in found["sizes"]])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no law that `refinery scaling fit --out` wrote: {error}") from None
    return SizeLaw(parameters, laws)


def read_collapses(path: Path) -> dict[str, CollapsedCurve]:
    """The collapsed curves in a file that `scaling fit` wrote; none in one of before there were any."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("collapsed", {})
        return {str(name): CollapsedCurve.from_json(each) for name, each in found.items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no law that `refinery scaling fit --out` wrote: {error}") from None


def _early(found: Any) -> tuple[float, ...]:
    values = _numbers(dict(zip(EARLY_FOLDS, found, strict=True)), EARLY_FOLDS)
    return tuple(values.tolist())


def _numbers(found: Any, names: tuple[Any, ...]) -> Floats:
    values = np.array([float(found[name]) for name in names])
    if not np.isfinite(values).all() or np.any(values < 0):
        raise ValueError(f"{', '.join(map(str, names))} must be numbers, none below 0")
    return values
