"""A document's rank by a policy in eight bytes, beside each band of its signature: the least is the best.

It decides which document of a bucket the others are compared with. It follows the order of `policy.preference_order`
but for what eight bytes do not hold: dates to the second, a quality to 32 bits, ties by as much of the content's hash
as is left. (What differs in the id alone has equal sets of shingles, of which one document is in the bands, chosen by
the whole order.) Which documents survive is decided by the whole order (`survivors.py`).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import CONTENT, Policy, preference
from dedup.tables import Hashes

# Bits of what the policy compares; the rest is of the content. The seconds of 9,999 years take 39.
_BITS = {"chars": 32, "date": 39, "quality": 32}
# From the beginning of the year 1 to that of 1970.
_SECONDS_BEFORE = 62_135_596_800


def ranks(columns: Mapping[str, pa.Array], policy: Policy) -> Hashes:
    """uint64, shape (documents,), of `preference_columns` of documents. What is missing ranks last; documents of equal
    rank are ordered by their place, and by the policy "first" all are."""
    if CONTENT.name not in columns:
        return np.zeros(len(columns["dumps"]), np.uint64)
    content: Hashes = columns[CONTENT.name].to_numpy()
    compared = preference(policy)
    if compared is None:
        return content
    bits = _BITS[compared.column.name]
    last = (1 << bits) - 1
    number = _ascending(compared.column.name, columns[compared.column.name])
    number = number if compared.order == "ascending" else last - number
    missing = np.isnan(number)
    own = np.where(missing, last, np.clip(number, 0, last)).astype(np.uint64)
    return own << np.uint64(64 - bits) | content >> np.uint64(bits)


def _ascending(name: str, column: pa.Array) -> npt.NDArray[np.float64]:
    """A number from 0 up that grows with the value; NaN where it is missing."""
    match name:
        case "date":
            times = pc.strptime(column, format="%Y-%m-%dT%H:%M:%SZ", unit="s", error_is_null=True)
            return _floats(times.cast(pa.int64())) + _SECONDS_BEFORE
        case "quality":
            quality = column.to_numpy(zero_copy_only=False).astype(np.float32)
            bits = quality.view(np.int32).astype(np.int64)
            # the bits of a negative number grow as it falls
            ordered = np.where(bits >= 0, bits + (1 << 31), (1 << 31) - (bits & 0x7FFFFFFF)).astype(np.float64)
            return np.where(np.isnan(quality), np.nan, ordered)
        case _:
            return _floats(column)


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers
