"""What a report takes from JSON that another program, or an older version, may have written."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError

Floats = npt.NDArray[np.float64]


def number(value: Any) -> float | None:
    """`value` as a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@contextmanager
def well_formed(path: Path, made_by: str) -> Iterator[None]:
    """UsageError that names the file, where what is read of it is not there or is of another kind."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UsageError(f"{path} is not what {made_by} writes: {error!r}; rename it, or make it again") from None


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file. UsageError for a file that holds none."""
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(body, dict):
        raise UsageError(f"{path} contains a {type(body).__name__} where a JSON object was expected")
    return body
