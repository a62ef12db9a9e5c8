"""WebMainBench's own metrics, run by the Python of an environment that has `webmainbench==0.1.0` (`--peer-python`).

Reads JSON lines of `found` and `gold` (Markdown) and writes, for each, `code_edit`, `table_TEDS` and `formula_edit` as
the package computes them (null where neither text has any), and `tree_TEDS`. The package passes its trees to APTED as
strings, each of which APTED takes for one node: its TEDS tells little more than whether a table was found. `tree_TEDS`
is the same measure with the trees passed as trees.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any


def metrics() -> Any:
    """The package's calculator, without its extractors, which need torch, and without a language model."""
    spec = find_spec("webmainbench")
    assert spec is not None and spec.origin is not None
    package = ModuleType("webmainbench")
    package.__path__ = [str(Path(spec.origin).parent)]
    sys.modules["webmainbench"] = package
    openai = ModuleType("openai")
    openai.OpenAI = None  # type: ignore[attr-defined]
    sys.modules.setdefault("openai", openai)
    from webmainbench.metrics import MetricCalculator  # type: ignore[import-not-found]

    return MetricCalculator()


def tree_teds(teds: Any, found: str, gold: str) -> float | None:
    """TEDS of the tables that the package finds in two texts; None where neither has one."""
    from apted import APTED, Config  # type: ignore[import-not-found]

    tables = [teds._extract_table_content(text) for text in (found, gold)]
    trees = [teds._parse_html_table(teds._normalize_to_html(table)) for table in tables]
    if None in trees:
        return None if trees == [None, None] else 0.0

    class Costs(Config):  # type: ignore[misc]
        def rename(self, one: Any, other: Any) -> float:
            if one["tag"] != other["tag"] or bool(one["children"]) != bool(other["children"]):
                return 1.0
            if one["children"]:
                return 0.0
            cost: float = teds.config_apted._levenshtein(one["text"], other["text"])
            return min(1.0, cost)

        def children(self, node: Any) -> Any:
            return node["children"]

    most = max(map(teds._count_nodes, trees))
    return max(0.0, 1 - float(APTED(*trees, Costs()).compute_edit_distance()) / most)


def main() -> None:
    answers = sys.stdout
    calculator = metrics()
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = nowhere  # the package prints what it does
        for line in sys.stdin:
            row = json.loads(line)
            results = calculator.calculate_all(row["found"], row["gold"])
            scores: dict[str, float | None] = {
                name: results[name].score if results[name].success else None
                for name in ("code_edit", "table_TEDS", "formula_edit")
            }
            scores["tree_TEDS"] = tree_teds(calculator.metrics["table_TEDS"], row["found"], row["gold"])
            answers.write(json.dumps(scores) + "\n")


if __name__ == "__main__":
    main()
