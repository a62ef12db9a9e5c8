"""Building blocks of the tests' recipes: steps and stages as data, and those that many recipes share."""

from typing import Any

from pipeline.recipes.toml import recipe_toml

Part = dict[str, Any]


def step(kind: str, **keys: Any) -> Part:
    return {"kind": kind, **keys}


def judge(name: str, *rules: Part, **keys: Any) -> Part:
    """A step of rules, each as `{"signal": NAME, "min": 1}`."""
    return step("judge", name=name, **keys, rules=list(rules))


def stage(name: str, command: str, *steps: Part, **keys: Any) -> Part:
    return {"name": name, "command": command, **keys, **({"step": list(steps)} if steps else {})}


def dedup(name: str, method: str) -> Part:
    return stage(name, "dedup", step("dedup", method=method))


def mix(tolerance: float, **keys: Any) -> Part:
    """Half IQ and half EQ, no document more than four times."""
    draw = {"targets": {"IQ": 0.5, "EQ": 0.5}, "max_epochs": 4.0, "tolerance": tolerance, **keys}
    return stage("mixture", "mix", draw=draw)


def recipe(name: str, *stages: Part, about: str = "what the tests run") -> str:
    """The recipe as TOML."""
    return recipe_toml({"name": name, "about": about, "stage": list(stages)})


INGEST = stage("ingest", "ingest")
PREFILTER = step("extract", name="prefilter", engine="all_text")
RESILIPARSE = step("extract", engine="resiliparse")
EXTRACT = stage("extract", "extract", RESILIPARSE)
SAME_TEXT = dedup("same-text", "text")
NEAR_COPIES = dedup("near-copies", "minhash")
REMOVE_URLS = step("rewrite", edit="remove_urls")


# Each kind of work once: records, a sandbox, rules, a reduction.
BRIEF = recipe(
    "brief", INGEST, EXTRACT, stage("filter", "filter", judge("size", {"signal": "words", "min": 50})), SAME_TEXT
)


def small(*prefilter: Part, least: int = 50, **extract: Any) -> str:
    """A recipe with every command before `mix`. `prefilter`: steps of the prefilter; `least`: the minimum of words;
    `extract`: keys of the stage of that name."""
    size = judge("size", {"signal": "words", "min": least}, {"signal": "duplicate_line_fraction", "max": 0.3})
    return recipe(
        "small",
        INGEST,
        stage("extract", "extract", *prefilter, RESILIPARSE, **extract),
        stage("filter", "filter", REMOVE_URLS, size),
        SAME_TEXT,
        NEAR_COPIES,
        dedup("paragraphs", "paragraphs"),
    )
