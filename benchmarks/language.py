"""How often language identification is right: by language and kind of text, and on crawled pages.

    python -m benchmarks language --model lid.176.ftz --texts lingua_testdata.jsonl.gz [--least .65]
    python -m benchmarks language --model lid.176.ftz --texts lingua_testdata.jsonl.gz --case upper
    python -m benchmarks language --model lid.176.ftz --pages CRAWL/*.warc.gz --index index.jsonl.gz --engine blocks

`--texts` is JSONL with `text`, `lang` (ISO 639-1) and `kind`; `--case` has the texts in capitals or in small letters.
With `--pages`, the pages' texts by an engine are held against the index's `lang`, which is what their publishers or
collectors say: not always true. The model is read as the pipeline reads it. A language that the model has no label for
is listed, and not counted; Norwegian Bokmål (nb) counts as the model's "no". `--least` is the score under which a
recipe drops a text: "kept" is the share at or above it, and "right of kept" the accuracy there.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.labelled import parse_engine, read_pages
from benchmarks.shared import add, markdown, read_rows
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.models.fasttext import LABEL, load_fasttext
from pipeline.models.language import load_language

# The same language under two labels.
SAME: Final = {"nb": "no"}


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--model", required=True)
    add(parser, "--texts", "--pages", "--index")
    add(parser, "--engine", action="store", default="blocks", help="NAME[:option=value,…]")
    parser.add_argument("--case", choices=["upper", "lower"], help="of the texts, in place of their own")
    parser.add_argument("--least", type=float, default=0.65, help="score under which a recipe drops a text")
    parser.add_argument("--least-characters", type=int, default=200, help="of a page's text, for it to be counted")


class Guess(NamedTuple):
    language: str
    kind: str
    right: bool
    score: float


def plain(language: str) -> str:
    """ "en" for "en-US", "en_us", "eng" and "en" alike."""
    head = language.replace("_", "-").partition("-")[0].lower()
    head = {"eng": "en"}.get(head, head)
    return SAME.get(head, head)


def read_labelled(path: Path) -> Iterator[tuple[str, str, str]]:
    """text, language, kind"""
    for row in read_rows(path):
        yield row["text"], plain(row["lang"]), row["kind"]


def read_crawl(
    warcs: Sequence[Path], index: Path, engine: str, least_characters: int
) -> Iterator[tuple[str, str, str]]:
    """Texts of pages whose language is known, of at least so many characters; the kind is the engine's name."""
    with PageExtractor(*parse_engine(engine)) as extractor:
        for row, message in read_pages(warcs, index, lambda row: bool(row.get("lang"))):
            text = extractor.extract(message.body, message.charset_label, row["url"]).text
            if len(text) >= least_characters:
                yield text, plain(row["lang"]), engine


def guess(
    texts: Iterable[tuple[str, str, str]], identify: Callable[[str], tuple[str, float]], known: set[str]
) -> tuple[list[Guess], dict[str, int]]:
    """The model's label of each text in a language that it has; how many texts are in each of the others."""
    guesses: list[Guess] = []
    unknown: dict[str, int] = defaultdict(int)
    for text, language, kind in texts:
        if language not in known:
            unknown[language] += 1
            continue
        label, score = identify(text)
        guesses.append(Guess(language, kind, plain(label) == language, score))
    return guesses, dict(sorted(unknown.items()))


def summarise(guesses: Sequence[Guess], least: float) -> dict[str, float]:
    kept = [guess for guess in guesses if guess.score >= least]
    return {
        "texts": len(guesses),
        "accuracy": round(sum(guess.right for guess in guesses) / len(guesses), 4),
        "kept": round(len(kept) / len(guesses), 4),
        "right_of_kept": round(sum(guess.right for guess in kept) / max(1, len(kept)), 4),
    }


def report(guesses: Sequence[Guess], least: float) -> dict[str, Any]:
    """By kind, and by language and kind; `mean` is over languages, each counting the same."""
    kinds: dict[str, list[Guess]] = defaultdict(list)
    cells: dict[str, dict[str, list[Guess]]] = defaultdict(lambda: defaultdict(list))
    for one in guesses:
        kinds[one.kind].append(one)
        cells[one.language][one.kind].append(one)
    languages = {
        language: {kind: summarise(part, least) for kind, part in sorted(row.items())}
        for language, row in sorted(cells.items())
    }
    by_kind = {}
    for kind, part in sorted(kinds.items()):
        means = [row[kind]["accuracy"] for row in languages.values() if kind in row]
        by_kind[kind] = {**summarise(part, least), "mean": round(sum(means) / len(means), 4), "languages": len(means)}
    return {"by_kind": by_kind, "by_language": languages}


def run(args: argparse.Namespace) -> dict[str, Any]:
    if bool(args.texts) == bool(args.pages and args.index):
        raise UsageError("give either --texts, or --pages and --index")
    if args.texts:
        cased = {"upper": str.upper, "lower": str.lower}.get(args.case, str)
        texts = ((cased(text), language, kind) for path in args.texts for text, language, kind in read_labelled(path))
    else:
        texts = read_crawl(args.pages, args.index, args.engine, args.least_characters)
    known = {plain(label.removeprefix(LABEL)) for label in load_fasttext(args.model).labels}
    guesses, unknown = guess(texts, load_language(args.model), known)
    return {**report(guesses, args.least), "no_label": unknown}


def show(found: dict[str, Any]) -> Iterator[str]:
    kinds, columns = found["by_kind"], ("accuracy", "mean", "kept", "right_of_kept")
    rows = (
        [kind, row["texts"], row["languages"], *(f"{row[name]:.3f}" for name in columns)] for kind, row in kinds.items()
    )
    yield from markdown(
        ["kind", "texts", "languages", "accuracy", "mean over languages", "kept", "right of kept"], rows
    )
    yield ""
    cells = {
        language: [f"{row[kind]['accuracy']:.3f} of {row[kind]['texts']}" if kind in row else "" for kind in kinds]
        for language, row in found["by_language"].items()
    }
    yield from markdown(["language", *kinds], ([language, *row] for language, row in cells.items()))
    if found["no_label"]:
        yield f"\nThe model has no label for {', '.join(f'{name} ({n})' for name, n in found['no_label'].items())}."
