"""Starts a command on several ranks of this machine, as torchrun does: when one of them dies, the others are ended.

What ends a rank is told once, as the last line. Ranks hand their errors on in the files that torchrun gives each, and
the launcher tells the first; a rank that is ended because another is gone says nothing.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from infra.errors import RefineryError, UsageError, WorkError
from infra.storage import scratch_folder
from trainer.parallel.ranks import RankLost

RUN_ID = "refinery"  # torchrun gives another
INTERRUPTED = 130
WAIT = 5.0  # seconds in which whoever started the ranks finds the one that was the first to end
MONITOR = 0.5


def launch(ranks: int, command: Sequence[str]) -> int:
    """Run `python -m refinery` with the arguments `command` on each rank; their exit code.

    UsageError and WorkError of a rank are raised here, WorkError also when one was killed.
    """
    for name in ("", ".agent.server.api"):  # the second has a level of its own
        logging.getLogger(f"torch.distributed.elastic{name}").setLevel(logging.CRITICAL)  # the error is told below
    with TemporaryDirectory(dir=scratch_folder()) as errors:  # torchrun would leave a folder of its own
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=ranks,
            run_id=RUN_ID,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            rdzv_configs={"timeout": 300},
            max_restarts=0,
            monitor_interval=MONITOR,
            logs_specs=DefaultLogsSpecs(log_dir=errors),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "refinery", *command)
        except ChildFailedError as error:
            return _cause(error.failures)
        except SignalException:
            raise KeyboardInterrupt from None
    return 0


def _cause(failures: Mapping[int, ProcessFailure]) -> int:
    """Raise the error of the rank that was the first to fail, or return its exit code if it has told the error."""
    errors = [failure.error_file_data for failure in failures.values() if "kind" in failure.error_file_data]
    errors.sort(key=lambda error: float(error["time"]))
    for error in errors:
        if error["kind"] != RankLost.__name__:
            raise (UsageError if error["kind"] == UsageError.__name__ else WorkError)(error["message"])
    for rank, failure in failures.items():
        if "kind" not in failure.error_file_data and failure.exitcode != INTERRUPTED:
            if failure.exitcode == UsageError.exit_code:
                return int(failure.exitcode)
            raise WorkError(
                f"rank {rank} ended with code {failure.exitcode}: run the same command again to go on from the latest "
                "checkpoint"
            )
    for error in errors:
        raise RankLost(error["message"])
    return INTERRUPTED


@contextmanager
def quiet_ranks() -> Iterator[None]:
    """Hand on what one of several ranks raises in the block to whoever started them. In a process that is not one of
    several, nothing is done."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    ours = os.environ.get("TORCHELASTIC_RUN_ID") == RUN_ID
    if not file:
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except RefineryError as error:
        hand_on(Path(file), error)
        # a mistake that all ranks find is told by the first one of a machine, which must end before the others
        told_elsewhere = not ours and isinstance(error, UsageError) and os.environ.get("LOCAL_RANK", "0") != "0"
        if isinstance(error, RankLost) or told_elsewhere:
            with suppress(KeyboardInterrupt):
                time.sleep(WAIT)
        elif not ours:
            raise
        sys.exit(error.exit_code)


def hand_on(file: Path, error: RefineryError) -> None:
    """Write the error where torchrun looks for it; it shows `message`."""
    now = time.time()
    body = {"message": str(error), "timestamp": int(now), "time": now, "kind": type(error).__name__}
    file.write_text(json.dumps(body), "utf-8")
