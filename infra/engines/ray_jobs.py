"""Commands as jobs of a Ray cluster, through Ray's Jobs API: handed over, followed, stopped, asked about.

The command runs on the cluster's head, where Ray tells it the cluster's address, and outlives whoever submitted it.
"""

import asyncio
import logging
import os
import re
import shlex
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from infra.engines.ray_auth import with_token
from infra.errors import UsageError, WorkError
from infra.extras import check_extra

# What Ray calls a job that was submitted, alone or at the end of an address of its dashboard.
JOB: Final = re.compile(r"(?:(https?://[^/#]+)/.*?)?(raysubmit_\w+)")
# How often the log's connection may break with nothing new said, how often a job is offered to a cluster that is not
# ready, how often a job that was told to stop is asked whether it has.
ATTEMPTS = 5
SECONDS_BETWEEN = 2.0


@dataclass(frozen=True)
class RayJob:
    """A job of the cluster whose dashboard is at `address` (`http://head:8265`); None: where RAY_API_SERVER_ADDRESS
    says, else a cluster on this machine. What asks the cluster raises UsageError where there is none."""

    name: str
    address: str | None = None

    @cached_property
    def client(self) -> Any:
        return connect(self.address)

    @property
    def url(self) -> str:
        """Of its page in Ray's dashboard; `find_job` takes it."""
        return f"{self.client.get_address()}/#/jobs/{self.name}"

    def status(self) -> dict[str, Any]:
        """{job, status, command, exit_code, seconds, message}; seconds of work so far."""
        try:
            found = self.client.get_job_info(self.name)
        except RuntimeError as error:
            raise UsageError(f"there is no job {self.name} at {self.client.get_address()}: {first(error)}") from None
        except OSError as error:
            raise WorkError(f"the dashboard at {self.client.get_address()} does not answer: {first(error)}") from None
        begun, ended = found.start_time, found.end_time
        return {
            "job": self.name,
            "url": self.url,
            "status": str(found.status.value).lower(),
            "command": found.entrypoint,
            "exit_code": found.driver_exit_code,
            "seconds": round((ended - begun) / 1000, 1) if begun and ended else None,
            "message": found.message,
        }

    def text(self) -> str:
        """`status` as lines for people."""
        now = self.status()
        code = "" if now["exit_code"] is None else f" with exit code {now['exit_code']}"
        after = "" if now["seconds"] is None else f" after {now['seconds']:.0f} s"
        return f"{now['job']} {now['status']}{code}{after}: {now['command']}\n{now['message'] or ''}".strip()

    def follow(self, write: Callable[[str], object]) -> int:
        """Hands what the job prints to `write` until it ends; returns its exit code. WorkError where Ray ended it."""
        said, failures = 0, 0

        def hand_on(text: str) -> None:
            nonlocal said, failures
            said, failures = said + len(text), 0
            write(text)

        while not self.ended():
            try:
                asyncio.run(tail(self.client.tail_job_logs(self.name), said, hand_on))
            except (RuntimeError, OSError):  # the connection broke; the job goes on
                failures += 1
                if failures == ATTEMPTS:
                    raise WorkError(f"the log of {self.name} does not come; refinery status '{self.url}'") from None
                time.sleep(SECONDS_BETWEEN)
        now = self.status()
        if now["exit_code"] is None and now["status"] != "succeeded":
            raise WorkError(f"job {self.name} {now['status']}: {now['message'] or 'Ray says no more'}")
        return int(now["exit_code"] or 0)

    def ended(self) -> bool:
        return self.status()["status"] in ("succeeded", "failed", "stopped")

    def stop(self) -> bool:
        """Ends its process, and waits for that some seconds; False where it had ended before."""
        self.status()
        stopped = bool(self.client.stop_job(self.name))
        for _ in range(ATTEMPTS) if stopped else ():
            if self.ended():
                break
            time.sleep(SECONDS_BETWEEN)
        return stopped


def find_job(text: str) -> RayJob | None:
    """The job that `text` names, by its id or by an address of its dashboard; None where it is neither."""
    found = JOB.fullmatch(text)
    return RayJob(found[2], found[1]) if found else None


def submit(words: Sequence[str], address: str | None = None, runtime_env: Path | None = None) -> RayJob:
    """`refinery WORDS` as a job. `runtime_env`: a YAML file of Ray's runtime environment; without one the job has what
    is installed on the nodes. Files of this machine are sent only where it says `working_dir`."""
    check_extra("ray")
    environment = read_environment(runtime_env) if runtime_env else None
    client = connect(address)
    command = f"python -m refinery {shlex.join(words)}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            name = client.submit_job(entrypoint=command, runtime_env=environment)
        except (RuntimeError, ValueError) as error:
            # a head that has just been started
            if attempt < ATTEMPTS and "No available agent" in str(error):
                time.sleep(SECONDS_BETWEEN * attempt)
                continue
            raise WorkError(f"Ray refused the job: {first(error)}") from None
        except OSError as error:
            raise WorkError(
                f"{client.get_address()} broke the connection before it said whether it has the job ({first(error)}): "
                "look for it there before you submit it again"
            ) from None
        break
    return RayJob(name, client.get_address())


def read_environment(path: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]  # comes with Ray

    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"--runtime-env {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--runtime-env {path} is no text in UTF-8") from None
    except yaml.YAMLError as error:
        raise UsageError(f"--runtime-env {path} is no YAML: {first(error)}") from None
    if not isinstance(content, dict):
        raise UsageError(f"--runtime-env {path} has no fields: docs.ray.io calls them runtime_env")
    return content


def connect(address: str | None) -> Any:
    check_extra("ray")
    if address and urlsplit(address).scheme not in ("http", "https"):
        raise UsageError(f"--address {address}: give that of Ray's dashboard, such as http://head:8265")

    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.ERROR)
    where = address or os.environ.get("RAY_API_SERVER_ADDRESS") or "RAY_API_SERVER_ADDRESS or on this machine"
    try:
        return with_token(where, lambda: JobSubmissionClient(address))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Ray dashboard answers at {where} ({first(error)}): say --address http://HEAD:8265"
        ) from None


async def tail(pieces: AsyncIterator[str], said: int, write: Callable[[str], object]) -> None:
    """Writes what comes after the first `said` characters."""
    seen = 0
    async for piece in pieces:
        fresh = piece[max(0, said - seen) :]
        seen += len(piece)
        if fresh:
            write(fresh)


def first(error: BaseException) -> str:
    """The first line of what it says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
