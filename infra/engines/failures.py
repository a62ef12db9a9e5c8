"""What a job raised, brought to the driver as it was, through runners that hand on no more than a text.

The worker leaves the exception, pickled, beside the receipts of the dataset that it works on; the driver raises it in
place of the runner's. A file that is left behind is a temporary file like any other.
"""

import pickle
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.dataset.receipts import RECEIPTS
from infra.errors import WorkError
from infra.storage import TEMPORARY, place, write_bytes

FAILED = f"{TEMPORARY}failed-"


def died(reason: str) -> WorkError:
    """Of a worker that died too often, and said nothing."""
    told = " ".join(reason.split())[:300]
    return WorkError(
        f"a worker died again and again ({told}): free some memory, use fewer --workers or say --memory, and run the "
        "same command again"
    )


def ended_by(runner: str, reason: str) -> WorkError:
    """Of a pipeline that a runner of Beam did not begin, or ended, for its own reason."""
    told = " ".join(reason.split())[:600]
    return WorkError(
        f"Beam's {runner} did not finish the pipeline ({told}): its own log may say more; run the same command again "
        "when that is mended"
    )


@contextmanager
def noted(folder: str) -> Iterator[None]:
    """In a worker: leaves in `folder` what the block raises, which goes on."""
    try:
        yield
    except Exception as error:
        leave(place(folder), error)
        raise


def leave(folder: Path, error: Exception) -> None:
    error.add_note("".join(traceback.format_exception(error)))
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # of a class that pickle cannot make again
        content = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    write_bytes(folder / RECEIPTS / f"{FAILED}{uuid.uuid4().hex}", content)


def take_failure(folder: Path) -> Exception | None:
    """One of the exceptions that workers left, the same whichever came first; all are removed."""
    found = []
    for path in (folder / RECEIPTS).glob(f"{FAILED}*"):
        error = pickle.loads(path.read_bytes())
        found.append((type(error).__name__, str(error), error))
        path.unlink(missing_ok=True)
    return min(found, key=lambda each: each[:2])[2] if found else None
