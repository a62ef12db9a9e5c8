"""The extras of the package: what `pip install refinery` leaves out, and the one line that says how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from infra.errors import UsageError

# By the extra's name (its packages are in pyproject.toml): what it is for, and a module of it.
EXTRAS = {
    "ray": ("the Ray engine", "ray"),
    "beam": ("the Beam engine", "apache_beam"),
    "train": ("training", "torch"),
    "tensorboard": ("writing TensorBoard's event files", "tensorboard"),
}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the imports of an extra: UsageError with the command that installs it, where it is missing."""
    purpose, module = EXTRAS[name]
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module:
            raise
        raise UsageError(f"{purpose} needs {module}, which is not installed: pip install 'refinery[{name}]'") from None


def check_extra(name: str) -> None:
    """UsageError as by `extra` where the extra is missing, without the seconds that its import takes."""
    module = EXTRAS[name][1]
    with extra(name):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
