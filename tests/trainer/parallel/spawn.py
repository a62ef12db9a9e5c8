"""Runs a function on several ranks, each a process of its own that meets the others by gloo."""

import multiprocessing
import os
import socket
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

SECONDS = 100.0

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.trainer.parallel.preload"])


def on_ranks(world_size: int, function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> list[Any]:
    """What `function(*arguments)` returns on each rank, in order; both must be picklable. AssertionError with the
    tracebacks of ranks that fail, and when some have not ended after `seconds`. No process is left."""
    port = free_port()
    pipes, started = [], []
    for rank in range(world_size):
        mine, theirs = _processes.Pipe(duplex=False)
        process = _processes.Process(target=_run, args=(theirs, rank, world_size, port, function, arguments))
        process.start()
        theirs.close()
        pipes.append(mine)
        started.append(process)
    try:
        found = _answers(pipes, time.monotonic() + seconds)
    finally:
        for process in started:
            process.kill()
            process.join()
    failed = [f"rank {rank}: {answer}" for rank, (worked, answer) in sorted(found.items()) if not worked]
    assert not failed, "\n".join(failed)
    missing = sorted(set(range(world_size)) - found.keys())
    assert not missing, f"ranks {missing} have not ended after {seconds} s"
    return [found[rank][1] for rank in range(world_size)]


def _answers(pipes: list[Connection], until: float) -> dict[int, tuple[bool, Any]]:
    """What ranks have sent, up to the first failure: the others would wait for the rank that failed."""
    found: dict[int, tuple[bool, Any]] = {}
    while len(found) < len(pipes) and all(worked for worked, _ in found.values()):
        open_pipes = [pipe for rank, pipe in enumerate(pipes) if rank not in found]
        ready = wait(open_pipes, max(0.0, until - time.monotonic()))
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            try:
                found[pipes.index(pipe)] = pipe.recv()
            except EOFError:
                found[pipes.index(pipe)] = False, "ended without an answer"
    return found


def _run(
    pipe: Connection, rank: int, world_size: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ |= rank_environment(rank, world_size, port)
    torch.set_num_threads(1)
    try:
        pipe.send((True, function(*arguments)))
    except BaseException:
        pipe.send((False, traceback.format_exc()))


def rank_environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What torchrun sets."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
    return {**{name: str(value) for name, value in numbers.items()}, "MASTER_ADDR": "127.0.0.1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
