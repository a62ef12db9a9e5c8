"""Documents with planted values and topics, and recipes with one pool rule."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import open_context
from pipeline.stages.run import run
from tests.files import write_rows
from tests.pipeline.recipe_texts import recipe, stage, step

TOPICS = {
    "nature": ["river", "water", "mountain", "valley", "stream", "lake", "forest", "meadow"],
    "casino": ["bet", "win", "slot", "jackpot", "bonus", "spin", "odds", "dice"],
    "music": ["melody", "guitar", "concert", "orchestra", "violin", "harmony", "rhythm", "symphony"],
    "中文": ["天气", "河流", "森林", "山谷", "湖泊", "草原", "花园", "海洋"],
}


def scored(values: Sequence[Any], languages: Sequence[str | None]) -> list[dict[str, Any]]:
    """Documents whose language_score, which may be any number, is the value to take quantiles of."""
    return [
        {"id": f"d{i}", "text": f"document {i}", "language": language, "language_score": value}
        for i, (value, language) in enumerate(zip(values, languages, strict=True))
    ]


def topical(count: int, seed: int = 0, words: int = 30) -> list[dict[str, Any]]:
    """Documents of the topics in turn; `id` says which. Those of the casino are the shortest."""
    draw = random.Random(seed)
    names = list(TOPICS)
    made = []
    for i in range(count):
        name = names[i % len(names)]
        chosen = draw.choices(TOPICS[name], k=words * 4 if name == "中文" else words)
        text = "".join(chosen) if name == "中文" else " ".join(chosen)
        made.append({"id": f"{name}-{seed}-{i}", "text": text, "language": "zh" if name == "中文" else "en"})
    return made


def pool_recipe(path: Path, method: str, **options: Any) -> Path:
    """A recipe of one filter stage with one pool step called `rule`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe("pool", stage("pool", "filter", step("pool", name="rule", method=method, options=options))))
    return path


def judged(folder: Path, rows: Sequence[dict[str, Any]], method: str, **options: Any) -> Dataset:
    """The documents through one pool rule, in this process."""
    recipe = pool_recipe(folder / "recipe.toml", method, **options)
    given = write_rows(folder / "given.jsonl", rows)
    return run(open_context(str(recipe), LocalEngine()), read_inputs([str(given)]), folder / "out").last
