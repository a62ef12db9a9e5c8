"""The published recipes on pages made for them: which page each step rejects, by which rule, and what remains.

`published_pages.py` has a page for every rule. A fate is the list of failing rules that the ledger must have, all of
one step; a page without one is kept. Copies and their originals stand in the order in which the ledger must see them.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.inputs.inputs import read_inputs
from pipeline.job.context import open_context, resolve_recipe
from pipeline.recipes.parse import load_recipe
from pipeline.stages.run import Run, run
from pipeline.steps.judge import Judge
from tests.files import write_rows
from tests.pipeline import published_pages as made
from tests.pipeline.pages import article as page
from tests.pipeline.pages import write_warc

Fates = dict[str, list[str]]
N_GRAMS = [f"duplicate_{n}_gram_character_fraction" for n in range(5, 11)]


def fates(step: str, rules: dict[str, Any], prefix: str = "") -> Fates:
    """{page: signal or signals} → {page: ["step/max_signal"]}; a signal may bring its own bound ("min_words")."""
    found: Fates = {}
    for name, signals in rules.items():
        each = [signals] if isinstance(signals, str) else signals
        named = [signal if signal[:4] in ("min_", "max_") else f"max_{prefix}{signal}" for signal in each]
        found[name] = [f"{step}/{rule}" for rule in named]
    return found


LANGUAGE = {"german": ["language/language_not_kept"], "three languages": ["language-score/min_language_score"]}
COPIES = {
    "equal lines": ["duplicate_line_fraction"],
    "equal paragraphs": ["duplicate_paragraph_fraction"],
    "one long line twice": ["duplicate_line_character_fraction", *N_GRAMS],
    "one long paragraph twice": [
        "duplicate_line_fraction",
        "duplicate_line_character_fraction",
        "duplicate_paragraph_character_fraction",
        *N_GRAMS,
    ],
    **{f"the same {n} words": [f"top_{n}_gram_character_fraction"] for n in (2, 3, 4)},
}
AGAIN = {f"{n} words again": f"duplicate_{n}_gram_character_fraction" for n in range(5, 11)}
REPETITION = fates("gopher-repetition", {**COPIES, **AGAIN})
# DCLM counts the first copy too: more rules fail, and pages that datatrove keeps ("5 words twice") go.
FIRST_COPIES = {
    "one long paragraph twice": [
        "duplicate_line_fraction",
        "duplicate_paragraph_fraction",
        *COPIES["one long paragraph twice"][1:],
    ],
    **{name.replace("again", "twice"): signal for name, signal in AGAIN.items()},
}
DCLM_REPETITION = fates("gopher-repetition", {**COPIES, **FIRST_COPIES}, "dclm_")
QUALITY = fates(
    "gopher-quality",
    {
        "too short": "min_gopher_words",
        "too long": "max_gopher_words",
        "short words": "min_gopher_mean_word_length",
        "long words": "max_gopher_mean_word_length",
        "tags": "max_gopher_hash_ratio",
        "points": "max_gopher_ellipsis_ratio",
        "bullets": "max_gopher_bullet_line_fraction",
        "teasers": "max_gopher_ellipsis_line_fraction",
        "numbers": "min_gopher_alphabetic_word_fraction",
        "no stop words": "min_gopher_stop_words",
    },
)
DCLM_QUALITY = {
    name: [rules[0].replace("gopher_", "dclm_").replace("hash", "symbol").replace("ellipsis_ratio", "symbol_ratio")]
    for name, rules in QUALITY.items()
}
C4 = {"lorem ipsum": "lorem_ipsum_lines", "curly bracket": "curly_bracket_lines", "few sentences": "min_{}_sentences"}
FINEWEB = fates(
    "fineweb",
    {
        "no ends": "min_fineweb_punctuated_line_fraction",
        "short lines": "fineweb_short_line_fraction",
        "one line twice": "fineweb_duplicate_line_character_fraction",
        "a list": "fineweb_newline_word_ratio",
    },
)


def c4(prefix: str) -> Fates:
    return fates("c4", {name: rule.format(prefix) for name, rule in C4.items()}, f"{prefix}_")


SHOUTING = {"shouting": ["line-corrections/max_removed_word_fraction"]}
NEAR_COPY = {"near copy": ["minhash/copy_minhash"]}
FALCON = {**LANGUAGE, **SHOUTING, **NEAR_COPY, "same address": ["url/copy_url"]}
DCLM = {**LANGUAGE, **DCLM_QUALITY, **DCLM_REPETITION, **SHOUTING, **NEAR_COPY, "part": ["minhash/copy_minhash"]}
# ccnet: what is left of a page is its lines that no other page has.
CCNET = {
    "too short": ["length/min_characters"],
    "shared": ["paragraphs/no_unique_line"],
    "shared too": ["paragraphs/no_unique_line"],
    "three languages": ["language-score/min_language_score"],
}
EXPECTED: dict[str, Fates] = {
    "falcon": {**FALCON, **REPETITION, **QUALITY},
    "falcon-dclm": {**FALCON, **DCLM_REPETITION, **DCLM_QUALITY},
    "fineweb": {**LANGUAGE, **REPETITION, **QUALITY, **c4("c4_any_ending"), **FINEWEB, **NEAR_COPY},
    "dclm-pool": DCLM,
    "dclm": {**DCLM, "spam": ["classifier/min_quality"]},
    "gopher": {"german": LANGUAGE["german"], **QUALITY, **REPETITION, "same text": ["text/copy_text"], **NEAR_COPY},
    "c4": {
        **LANGUAGE,
        **c4("c4_tfds"),
        "too long": ["length/max_characters"],
        "no ends": ["c4/min_c4_tfds_sentences"],
        "same address": ["url/copy_url"],
        # of equal lines those of "article" stay: the hash of the page decides
        "same text": ["paragraphs/no_unique_line"],
        "mostly the same": ["left/min_c4_tfds_sentences"],
    },
    "ccnet": CCNET,
    "ccnet-head": {**CCNET, **{f"tail {i}": ["head/max_perplexity"] for i in range(84)}},
}
TWICE = [f"{n} words twice" for n in range(5, 11)]
KEPT = {
    "falcon": ["one like", "an address", *TWICE],
    "falcon-dclm": ["one like", "an address"],
    "fineweb": ["mentions", "contact", *TWICE],
    "dclm-pool": ["one like", "spam"],
    "dclm": ["one like"],
    "gopher": ["three languages", *TWICE],
    "c4": ["mentions"],
    "ccnet": ["german", "signed", "signed too"],
    # German has no model: its bucket is `all`, and stays
    "ccnet-head": ["german", "signed", "signed too", *(f"head {i}" for i in range(32))],
}
Finished = tuple[str, list[dict[str, str]], Run]


def documents(wanted: Collection[str]) -> list[dict[str, str]]:
    rows = []
    for name, text in made.all_pages().items():
        if name in wanted:
            older = name == "same address"
            url = f"http://host.example/{'article' if older else name}"
            rows.append({"id": name, "url": url, "text": text, "date": f"2024-0{1 if older else 5}-01T00:00:00Z"})
    return rows


def finish(recipe: str, source: Path, models: Path, out: Path) -> Run:
    context = open_context(recipe, open_engine("local"), str(models))
    return run(context, read_inputs([str(source)]), out)


def rejections(datasets: Sequence[Dataset]) -> Fates:
    found: Fates = {}
    for dataset in datasets:
        for row in dataset.ledger().to_pylist():
            found.setdefault(row["id"], []).append(f"{row['step']}/{row['rule']}")
    return found


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def finished(
    request: pytest.FixtureRequest, published_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    folder = tmp_path_factory.mktemp(request.param)
    rows = documents({"article", "long article", *EXPECTED[request.param], *KEPT[request.param]})
    source = write_rows(folder / "pages.jsonl", rows)
    return request.param, rows, finish(request.param, source, published_models, folder / "out")


def test_each_page_goes_by_its_rules_and_no_others(finished: Finished) -> None:
    recipe, rows, done = finished
    assert rejections(done.datasets) == EXPECTED[recipe]
    kept = [row["id"] for row in rows if row["id"] not in EXPECTED[recipe]]
    assert done.last.to_arrow()["id"].to_pylist() == kept


def test_the_documents_that_remain_after_each_step(finished: Finished) -> None:
    recipe, rows, done = finished
    step_of = {name: rules[0].split("/")[0] for name, rules in EXPECTED[recipe].items()}
    remaining = {row["id"] for row in rows}
    for row in done.summary()["funnel"]:
        if row["stage"] != "extract":  # its gate passes all of these; a later step may have the same name
            remaining -= {name for name, step in step_of.items() if step == row["step"]}
        assert row["docs"] == len(remaining), row
    assert remaining == {row["id"] for row in rows} - step_of.keys()


def test_no_rule_is_without_a_page(finished: Finished) -> None:
    recipe, _, done = finished
    rules = {
        f"{step.name}/{rule.rule.name}"
        for stage in load_recipe(recipe).stages
        for step in stage.steps
        if isinstance(step, Judge)
        for rule in step.rules
    }
    bitten = {rule for failed in rejections(done.datasets).values() for rule in failed}
    assert rules <= bitten


def test_what_edits_leave(finished: Finished) -> None:
    recipe, _, done = finished
    texts = {row["id"]: row["text"] for row in done.last.to_arrow().to_pylist()}
    if "one like" in texts:
        assert texts["one like"].endswith("\nto read it")
        assert "12 likes" not in texts["one like"]
    if "an address" in texts:
        assert texts["an address"].endswith("There is more of it at  for those who ask.")
    if "mentions" in texts:
        assert texts["mentions"] == made.article(64)
    if "contact" in texts:
        assert texts["contact"].endswith("email@example.com or to the machine at 192.0.2.1, not at 10.0.0.1 here.")
    if recipe == "ccnet":
        assert texts["signed"] == made.article(92).split("\n", 1)[1]  # neither title nor signature


# FineWeb2 has a threshold for each language and takes no English, so that its pages are German, one for each step.
FINEWEB2 = {
    "article": ["language/language_not_kept"],
    "three languages": ["language/language_not_kept"],
    "german near copy": ["minhash/copy_minhash"],
    "german equal lines": ["gopher-repetition/max_duplicate_line_fraction"],
    "german list": ["fineweb-quality/max_fineweb_newline_word_ratio"],
    "german too short": ["gopher-quality/min_gopher_words"],
}


def test_fineweb2_in_german(published_models: Path, tmp_path: Path) -> None:
    rows = documents([*FINEWEB2, "german", "german contact"])
    done = finish("fineweb2", write_rows(tmp_path / "pages.jsonl", rows), published_models, tmp_path / "out")
    assert rejections(done.datasets) == FINEWEB2
    assert [(row["step"], row["docs"]) for row in done.summary()["funnel"]] == [
        ("url", 8), ("language", 6), ("language-score", 6), ("minhash", 5), ("gopher-repetition", 4),
        ("fineweb-quality", 3), ("gopher-quality", 2), ("mask_email", 2), ("mask_ipv4", 2), ("remove_bar_lines", 2),
    ]  # fmt: skip
    texts = {row["id"]: row["text"] for row in done.last.to_arrow().to_pylist()}
    assert texts.keys() == {"german", "german contact"}
    assert texts["german contact"].endswith("an email@example.com oder an 192.0.2.1 hier.")


# What is known before extraction, by address: who rejects the page for which rule.
REFINED = ("falcon", "falcon-dclm", "dclm-pool", "dclm")
GATE: dict[str, dict[str, str]] = {
    "http://plain.example/page": {},
    "http://plain.example/chat": {},
    "http://www.sub.bad.example/": dict.fromkeys([*REFINED, "fineweb"], "max_url_blocked_domain"),
    "http://plain.example/free-prize": {
        **dict.fromkeys(REFINED, "max_url_strict_words"),
        "fineweb": "max_url_joined_strict_words",
    },
    "http://plain.example/free/prize": {"fineweb": "max_url_joined_strict_words"},
    "http://plain.example/casino": {
        **dict.fromkeys(REFINED, "max_url_hard_words"),
        "fineweb": "max_url_cased_hard_words",
    },
    "http://plain.example/Casino": dict.fromkeys(REFINED, "max_url_hard_words"),
    "http://plain.example/webcam-chat": {
        **dict.fromkeys(REFINED, "max_url_soft_words"),
        "fineweb": "max_url_cased_soft_words",
    },
    "https://en.wikipedia.org/wiki/River": dict.fromkeys(["falcon", "falcon-dclm"], "max_url_curated_source"),
}


@pytest.mark.parametrize("recipe", sorted(EXPECTED))
def test_from_archives_the_gate_and_the_extractor(recipe: str, published_models: Path, tmp_path: Path) -> None:
    source = write_warc(tmp_path / "pages.warc.gz", [(url, page(i)) for i, url in enumerate(GATE)])
    done = finish(recipe, source, published_models, tmp_path / "out")
    extracted = next(dataset for dataset in done.datasets if dataset.manifest.stage == "extract")
    failed = {row["url"]: f"{row['step']}/{row['rule']}" for row in extracted.ledger().to_pylist()}
    assert failed == {url: f"url/{rules[recipe]}" for url, rules in GATE.items() if recipe in rules}
    assert extracted.manifest.counts["out"] == len(GATE) - len(failed)
    assert done.last.manifest.counts["out"] > 0


def test_a_classifier_that_is_not_there_is_named(published_models: Path, tmp_path: Path) -> None:
    for name in ("lid.176.ftz", "url-lists"):
        (tmp_path / name).symlink_to(published_models / name)
    resolve_recipe(load_recipe("dclm-pool"), str(tmp_path))
    with pytest.raises(UsageError, match=r"'dclm-quality.bin' is not in .*: get DCLM's openhermes.* put it there"):
        resolve_recipe(load_recipe("dclm"), str(tmp_path))
