"""Functions that numba compiles at their first call, so that importing their modules does not import numba (a second).

Compiled code is cached on disk where possible (`__pycache__`, else the user's cache); in a read-only installation each
process compiles again (about five seconds). numba invalidates the cache when the function's file changes and not when
others do, so no kernel may call a function of another module.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from infra.hidden_imports import hidden

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Helpers = tuple[Callable[..., Any], ...]


def compiled(function: Callable[Parameters, Result], helpers: Helpers = ()) -> Callable[Parameters, Result]:
    """`function`, compiled at its first call. `helpers`: the functions that it calls, and those that they call."""

    @wraps(function)
    def call(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        result: Result = _dispatcher(function, helpers)(*arguments, **named)
        return result

    return call


def compiled_with(
    *helpers: Callable[..., Any],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """`compiled` for functions that call these."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        return compiled(function, helpers)

    return decorate


@cache
def _dispatcher(function: Callable[..., Any], helpers: Helpers) -> Any:
    numba = _numba()
    for helper in helpers:
        _register(helper)
    try:
        dispatcher = numba.njit(cache=True)(function)
    except RuntimeError:  # no folder to cache compiled code in
        return numba.njit(function)
    _go_on_without(dispatcher._cache)
    return dispatcher


def _go_on_without(cached: Any) -> None:
    """Makes a function that is compiled and cannot be written to its cache callable all the same: the disk is full, or
    (numba's "no compiled object yet", seen once) another process compiled it for the first time at the same moment.
    numba writes the index before what it names, which may be of an earlier source then: it is removed."""
    save = cached.save_overload

    def saved(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except (OSError, RuntimeError):
            with suppress(OSError):
                Path(cached._cache_file._index_path).unlink(missing_ok=True)

    cached.save_overload = saved


@cache
def _register(helper: Callable[..., Any]) -> None:
    """Once each."""
    from numba.extending import register_jitable

    register_jitable(helper)


@cache
def _numba() -> Any:
    # numba looks for both at its start, for linear algebra and foreign functions, which no kernel has: .2 CPU seconds
    with hidden("scipy", "cffi"):
        import llvmlite.binding
        import numba
        from numba.core.registry import cpu_target

        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()

    # Of 512 bits LLVM uses 256 for fear of lower clocks. Minima are multiplications of 64 bits, and take two thirds of
    # the time with all. Nothing happens if numba has compiled before; results are the same in any case.
    config: Any = numba.config
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512dq") and config.CPU_FEATURES is None:
        config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"
    return numba
