"""Starts a command on several ranks of this machine, as torchrun does: when one of them dies, the others are ended."""

import logging
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from infra.errors import UsageError, WorkError

OURS = (UsageError.exit_code, WorkError.exit_code)


def launch(ranks: int, command: Sequence[str]) -> int:
    """Run `python -m refinery` with the arguments `command` on each rank, which print for themselves; their exit code.

    WorkError when a rank was killed.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id="refinery",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        rdzv_configs={"timeout": 300},
        max_restarts=0,
        monitor_interval=0.5,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the error is told below
    try:
        elastic_launch(config, sys.executable)("-m", "refinery", *command)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode in OURS:
            return int(failure.exitcode)
        raise WorkError(
            f"rank {rank} ended with code {failure.exitcode}: run the same command again to go on from the latest "
            "checkpoint"
        ) from None
    return 0
