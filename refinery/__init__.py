"""Common Crawl to a strict, fully accounted corpus, and a model trained on it: what users import, and nothing else.

`docs/python.md` lists every name with an example. Each is loaded when it is first used: `import refinery` itself loads
none of the libraries that the work needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from infra.errors import RefineryError, UsageError, WorkError

if TYPE_CHECKING:
    from filters.catalog import SIGNALS
    from filters.rules import Rule
    from filters.signal import Signal
    from filters.view import View
    from infra.dataset.reader import Dataset
    from pipeline.recipes.recipe import Recipe
    from pipeline.stages.run import Run
    from refinery.corpus import (
        add_to_index,
        check_recipe,
        compare,
        estimate,
        explain,
        export,
        index_report,
        join,
        load_recipe,
        open_dataset,
        rejects,
        run,
    )
    from refinery.training import (
        audit,
        branch,
        calibrate_experts,
        compare_branches,
        evaluate,
        evaluate_grid,
        evaluate_rejects,
        export_model,
        freeze,
        generate,
        grow_branches,
        plan_data,
        plan_training,
        train,
    )

__all__ = [
    "SIGNALS",
    "Dataset",
    "Recipe",
    "RefineryError",
    "Rule",
    "Run",
    "Signal",
    "UsageError",
    "View",
    "WorkError",
    "add_to_index",
    "audit",
    "branch",
    "calibrate_experts",
    "check_recipe",
    "compare",
    "compare_branches",
    "estimate",
    "evaluate",
    "evaluate_grid",
    "evaluate_rejects",
    "explain",
    "export",
    "export_model",
    "freeze",
    "generate",
    "grow_branches",
    "index_report",
    "join",
    "load_recipe",
    "open_dataset",
    "plan_data",
    "plan_training",
    "rejects",
    "run",
    "train",
]  # fmt: skip

_HOMES = {
    "filters.catalog": ("SIGNALS",),
    "filters.rules": ("Rule",),
    "filters.signal": ("Signal",),
    "filters.view": ("View",),
    "infra.dataset.reader": ("Dataset",),
    "pipeline.recipes.recipe": ("Recipe",),
    "pipeline.stages.run": ("Run",),
    "refinery.corpus": (
        "add_to_index",
        "check_recipe",
        "compare",
        "estimate",
        "explain",
        "export",
        "index_report",
        "join",
        "load_recipe",
        "open_dataset",
        "rejects",
        "run",
    ),
    "refinery.training": (
        "audit",
        "branch",
        "calibrate_experts",
        "compare_branches",
        "evaluate",
        "evaluate_grid",
        "evaluate_rejects",
        "export_model",
        "freeze",
        "generate",
        "grow_branches",
        "plan_data",
        "plan_training",
        "train",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would let any name pass

    def __getattr__(name: str) -> Any:
        """The public name, loaded from its module; the package's version as `__version__`."""
        if name == "__version__":
            return import_module("importlib.metadata").version("refinery")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_HOME_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
