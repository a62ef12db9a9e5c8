"""Libraries that another one imports where they are installed, and that we do not need: they cost start-up time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Hidden:
    """An import finder that hides libraries."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name)


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """While it lasts, these libraries cannot be imported, unless they have been before."""
    finder: Any = _Hidden(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
