"""The limits of one page in the sandbox: CPU time and memory of its child process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one page in the sandbox. The most expensive of 2,600 pages takes trafilatura 2.4 to 3.6 CPU seconds and
    .25 GB."""

    cpu_seconds: float = 30.0
    memory_bytes: int = 2 << 30
