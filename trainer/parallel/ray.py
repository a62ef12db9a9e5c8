"""Ranks by Ray Train: on this machine or a cluster, where a rank that is lost is started again on another node.

Ray Train places the workers, makes their process group, and starts all of them again when one is lost; each then goes
on from the latest checkpoint, as after any stop. Nodes see data and run under the same paths. Ray (the extra `ray`) is
imported when a run begins.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.engines.ray import read_options, start_ray
from infra.errors import RefineryError, UsageError, WorkError
from infra.extras import check_extra
from trainer.parallel.ranks import RankLost

RESTARTS = 20  # of the ranks of one command, when workers or nodes are lost


def run_on_ray(
    workers: int, options: Sequence[str], folder: Path, work: Callable[..., dict[str, Any]], arguments: Sequence[Any]
) -> dict[str, Any]:
    """What `work(*arguments)` returns on rank 0 of `workers` ranks. `options`: of the engine, as for the data's stages.
    `folder`: where Ray Train keeps what it notes of the run; all nodes see it.

    What a rank raises of ours is raised here. WorkError when ranks are lost too often.
    """
    check_extra("ray")
    address = read_options(options).address or os.environ.get("RAY_ADDRESS") or None
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError
    except ImportError as error:
        raise UsageError(f"Ray Train cannot be used ({error}): pip install 'refinery[ray]'") from None

    start_ray(address, workers)
    try:
        gpus = ray.cluster_resources().get("GPU", 0) >= workers  # type: ignore[no-untyped-call]
        made: Any = TorchTrainer  # whose declared types are those of its first version
        trainer = made(
            _rank,
            train_loop_config={"work": work, "arguments": tuple(arguments), "folder": str(Path.cwd())},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(
                storage_path=str(folder.resolve()), failure_config=FailureConfig(max_failures=RESTARTS)
            ),
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
        )
        found = trainer.fit().return_value
    except TrainingFailedError as error:
        reason = str(error).strip().splitlines()[-1][:300]
        raise WorkError(f"ranks on Ray ended over {RESTARTS} times ({reason}): run the same command again") from None
    finally:
        ray.shutdown()
    if isinstance(found, RefineryError):
        raise found
    return dict(found)


def _rank(config: dict[str, Any]) -> dict[str, Any] | RefineryError:
    """On a worker. Our errors are answers, as Ray would start the ranks again for what is raised."""
    with contextlib.suppress(OSError):
        os.chdir(config["folder"])
    try:
        answer: dict[str, Any] = config["work"](*config["arguments"])
        return answer
    except RankLost:
        raise
    except RefineryError as error:
        return error
