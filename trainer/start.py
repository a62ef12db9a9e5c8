"""What comes before torch is imported: the shipped configurations, and the error where torch is not installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from infra.errors import UsageError
from infra.extras import extra

CONFIGS = resources.files("trainer") / "configs"


def shipped_configs() -> list[str]:
    """The names of the shipped configurations."""
    return sorted(item.name.removesuffix(".toml") for item in CONFIGS.iterdir() if item.name.endswith(".toml"))


def config_file(name: str) -> Path:
    """The path of a configuration: a shipped one by its name, any other by its path. UsageError when there is none."""
    names = shipped_configs()
    if name in names:
        return Path(str(CONFIGS / f"{name}.toml"))
    if not Path(name).is_file():
        raise UsageError(f"no configuration {name!r}: give a .toml file, or one of {', '.join(names)}")
    return Path(name)


@contextmanager
def importing_torch() -> Iterator[None]:
    """To be entered before the trainer's modules are imported. UsageError where torch is not installed."""
    set_environment()
    with extra("train"):
        yield


def set_environment() -> None:
    """What torch reads once, when it is imported or makes its first large tensor, unless it is set already."""
    # Threads that spin while they wait make a step several times slower on a machine that does other work too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Large tensors lie in huge pages where Linux gives them: a token's experts are anywhere in 100 MB and more.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
