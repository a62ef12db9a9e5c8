"""A broken model of a later stage is refused in one line before a run writes anything; a whole one is loaded once."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.fit.perplexity import perplexity_from
from pipeline.fit.texts import Sample
from pipeline.models import bag_of_words
from pipeline.models.bag_of_words import BagOfWords
from pipeline.models.loaded import load_once
from pipeline.models.perplexity import LANGUAGE_MODELS, SENTENCEPIECE, check_perplexity, load_perplexity
from pipeline.models.scorers import SCORERS
from tests.pipeline.here import run_here
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import INGEST, RESILIPARSE, Part, judge, recipe, stage, step

JUNK = b"no model"
SIZE = stage("filter", "filter", judge("size", {"signal": "words", "min": 1}))
EXTRACT = stage("extract", "extract", RESILIPARSE)
GATED = stage("extract", "extract", step("gate", lists="m", rules=["url_soft_words <= 1"]), RESILIPARSE)
Files = bytes | Mapping[str, bytes]


def last(*steps: Part) -> list[Part]:
    """The stages after `ingest`; these steps are in the last."""
    return [EXTRACT, SIZE, stage("last", "filter", *steps)]


def label(what: str) -> list[Part]:
    return last(step("label", what=what, model="m"))


def write(path: Path, files: Files) -> None:
    if isinstance(files, bytes):
        path.write_bytes(files)
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)


@pytest.fixture(scope="module")
def perplexity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a language model."""
    path = tmp_path_factory.mktemp("models") / "perplexity"
    texts = [
        f"the {animal} walks over the {place} ." for animal in ("fox", "dog", "horse") for place in ("hill", "wall")
    ]
    perplexity_from([Sample(text, text) for text in texts * 20], path, 50, {}, "")
    return {file.name: file.read_bytes() for file in path.iterdir()}


# By the scorer, or what else is broken: the stages, and the files of the model.
BROKEN: dict[str, tuple[list[Part], Files]] = {
    "lists": ([GATED, SIZE], {"urls.txt": b"\xff"}),
    "language": (label("language"), JUNK),
    "domain": (label("domain"), {"model.bin": JUNK, "calibration.json": b"{}"}),
    "combination": (last(step("combine", signal="quality", model="m")), JUNK),
    "tokenizer": ([EXTRACT, SIZE, stage("tokens", "tokenize", tokenizer="m")], JUNK),
    "redpajama": (label("redpajama"), {"importance/books.json": JUNK}),
    "coherence": (label("coherence"), {"en.json": JUNK, "en.words.txt": JUNK, "en.vectors.i8": JUNK}),
    "contamination": (label("contamination"), {"index.json": JUNK, "items.txt": JUNK}),
    **{
        what: (label(what), JUNK)
        for what in (
            "bag_of_words",
            "grade",
            "hate",
            "perplexity",
            "properties",
            "quality",
            "reference",
            "safety",
            "topics",
        )
    },
}


def refusal(stages: list[Part], files: Files, folder: Path) -> str:
    """What a run says of the model; asserts that it leaves nothing."""
    (folder / "models").mkdir()
    write(folder / "models" / "m", files)
    (folder / "recipe.toml").write_text(recipe("broken", INGEST, *stages))
    write_crawl(folder / "crawl", files=1)
    with pytest.raises(UsageError) as refused:
        run_here(folder / "recipe.toml", folder / "crawl", folder / "out", folder / "models")
    assert not (folder / "out").exists()
    return str(refused.value)


@pytest.mark.parametrize("name", sorted({*BROKEN, *SCORERS}))
def test_junk_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    said = refusal(*BROKEN[name], tmp_path)
    assert f"{tmp_path}/models/m" in said and "\n" not in said


@pytest.mark.parametrize(
    ("part", "spoil"),
    [
        ("lm.arpa", lambda content: JUNK),
        ("lm.arpa", lambda content: content[: len(content) // 2]),
        ("lm.arpa", lambda content: b"# a comment\n" + JUNK),
        ("sentencepiece.model", lambda content: JUNK),
        ("sentencepiece.model", lambda content: content[:-1]),
        ("sentencepiece.model", lambda content: b""),
    ],
)
def test_a_broken_language_model(
    part: str, spoil: Callable[[bytes], bytes], perplexity: dict[str, bytes], tmp_path: Path
) -> None:
    said = refusal(label("perplexity"), {**perplexity, part: spoil(perplexity[part])}, tmp_path)
    assert part in said and "\n" not in said


@pytest.mark.parametrize("start", [b"", b"\n \n", b"# as KenLM allows\n"])
def test_a_whole_language_model_is_not_refused(start: bytes, perplexity: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path, {**perplexity, LANGUAGE_MODELS[1]: start + perplexity[LANGUAGE_MODELS[1]]})
    check_perplexity(tmp_path)
    assert load_perplexity(tmp_path)("the fox walks") > 1


def test_a_language_model_is_checked_without_its_libraries(
    perplexity: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, perplexity)
    for library in ("kenlm", "sentencepiece"):
        monkeypatch.setitem(sys.modules, library, None)
    check_perplexity(tmp_path)
    (tmp_path / SENTENCEPIECE).write_bytes(JUNK)
    with pytest.raises(ImportError):
        check_perplexity(tmp_path)


def test_a_table_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a run and its work in the same process share it."""
    read: list[Path] = []
    load = bag_of_words.load_bag_of_words
    monkeypatch.setattr(bag_of_words, "load_bag_of_words", lambda path: read.append(path) or load(path))
    (tmp_path / "models").mkdir()
    table = tmp_path / "models" / "m"
    table.write_text(BagOfWords(0.5, {"fox": (1.0, 2.0)}).as_text())
    judged = judge("score", {"signal": "bag_of_words", "min": 0.1})
    (tmp_path / "recipe.toml").write_text(
        recipe("words", INGEST, *last(step("label", what="bag_of_words", model="m"), judged))
    )
    write_crawl(tmp_path / "crawl", files=1)
    run_here(tmp_path / "recipe.toml", tmp_path / "crawl", tmp_path / "out", tmp_path / "models")
    assert read == [table]
    table.write_text(BagOfWords(-9.0, {"fox": (1.0, 2.0)}).as_text())
    made = run_here(tmp_path / "recipe.toml", tmp_path / "crawl", tmp_path / "again", tmp_path / "models")
    assert read == [table, table]
    assert made.last.manifest.counts["out"] == 0


def test_what_could_not_be_loaded_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(JUNK)
    load = SCORERS["bag_of_words"].load
    with pytest.raises(UsageError):
        load_once(load, path)
    path.write_text(BagOfWords(0.5, {"fox": (1.0, 2.0)}).as_text())
    assert load_once(load, path) is load_once(load, path)
