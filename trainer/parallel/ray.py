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


def side_by_side(workers: int, options: Sequence[str], jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the jobs return, in order; `workers` of them run at once, each in a process, with a GPU where there are as
    many. A job that is lost with its node is run again, so it must go on from where it was. `options`: as `run_on_ray`.

    What a job raises of ours is raised here, once those that have begun are done. WorkError when one is lost too often.
    """
    check_extra("ray")
    address = read_options(options).address or os.environ.get("RAY_ADDRESS") or None
    import ray
    from ray.exceptions import RayError

    start_ray(address, workers)
    try:
        gpus = ray.cluster_resources().get("GPU", 0) >= workers  # type: ignore[no-untyped-call]
        remote: Any = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=RESTARTS)(_job)
        begun: list[Any] = []
        for job in jobs:
            while len(running := ray.wait(begun, num_returns=len(begun), timeout=0)[1] if begun else []) >= workers:
                ray.wait(running, num_returns=1)
            begun.append(remote.remote(job, str(Path.cwd())))
        found = ray.get(begun)
    except RayError as error:
        reason = str(error).strip().splitlines()[-1][:300]
        raise WorkError(f"a job on Ray was lost over {RESTARTS} times ({reason}): run the same command again") from None
    finally:
        ray.shutdown()
    for each in found:
        if isinstance(each, RefineryError):
            raise each
    return list(found)


def _job(job: Callable[[], Any], folder: str) -> Any:
    """On a worker. Our errors are answers, as Ray would run the job again for what is raised."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
    try:
        return job()
    except RefineryError as error:
        return error


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
