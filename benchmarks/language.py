"""How often language identification is right: by language and kind of text, and on crawled pages.

    python -m benchmarks.language --model lid.176.ftz --texts lingua_testdata.jsonl.gz [--least .65] [--json]
    python -m benchmarks.language --model lid.176.ftz --warcs CRAWL/*.warc.gz --index index.jsonl.gz --engine blocks

`--texts` is JSONL with `text`, `lang` (ISO 639-1) and `kind`. With `--warcs`, the pages' texts by an engine of
`benchmarks/extraction.py` are held against the index's `lang`, which is what their publishers or collectors say: not
always true. The model is read as the pipeline reads it. A language that the model has no label for is listed, and not
counted; Norwegian Bokmål (nb) counts as the model's "no". `--least` is the score under which a recipe drops a text:
"kept" is the share at or above it, and "right of kept" the accuracy there.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.extraction import parse_engine, read_lines, read_pages
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.models.fasttext import LABEL, load_fasttext
from pipeline.models.language import load_language

# The same language under two labels.
SAME: Final = {"nb": "no"}


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


def read_texts(path: Path) -> Iterator[tuple[str, str, str]]:
    """text, language, kind"""
    for row in read_lines(path):
        yield row["text"], plain(row["lang"]), row["kind"]


def read_crawl(
    warcs: Sequence[Path], index: Path, engine: str, least_characters: int
) -> Iterator[tuple[str, str, str]]:
    """Texts of pages whose language is known, of at least so many characters; the kind is the engine's name."""
    name, options = parse_engine(engine)
    with PageExtractor(name, options) as extractor:
        for row, message in read_pages(warcs, index, lambda row: bool(row.get("lang"))):
            text = extractor.extract(message.body, message.charset_label, row["url"]).text
            if len(text) >= least_characters:
                yield text, plain(row["lang"]), engine


def guess(
    texts: Iterable[tuple[str, str, str]], identify: Callable[[str], tuple[str, float]], known: set[str]
) -> tuple[list[Guess], dict[str, int]]:
    """What the model says of each text in a language it knows; how many texts are in each that it does not."""
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


def print_tables(found: dict[str, Any], unknown: dict[str, int]) -> None:
    print("| kind | texts | languages | accuracy | mean over languages | kept | right of kept |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in found["by_kind"].items():
        rates = " | ".join(f"{row[name]:.3f}" for name in ("accuracy", "mean", "kept", "right_of_kept"))
        print(f"| {kind} | {row['texts']} | {row['languages']} | {rates} |")
    kinds = list(found["by_kind"])
    print(f"\n| language | {' | '.join(kinds)} |\n| --- |{' --- |' * len(kinds)}")
    for language, row in found["by_language"].items():
        cells = (f"{row[kind]['accuracy']:.3f} of {row[kind]['texts']}" if kind in row else "" for kind in kinds)
        print(f"| {language} | {' | '.join(cells)} |")
    if unknown:
        print(f"\nThe model has no label for {', '.join(f'{name} ({count})' for name, count in unknown.items())}.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--warcs", nargs="*", type=Path, default=[])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--engine", default="blocks")
    parser.add_argument("--least", type=float, default=0.65)
    parser.add_argument("--least-characters", type=int, default=200, help="of a page's text, for it to be counted")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if bool(args.texts) == bool(args.warcs and args.index):
        parser.error("give either --texts, or --warcs and --index")
    try:
        if args.texts:
            texts = read_texts(args.texts)
        else:
            texts = read_crawl(args.warcs, args.index, args.engine, args.least_characters)
        known = {plain(label.removeprefix(LABEL)) for label in load_fasttext(args.model).labels}
        guesses, unknown = guess(texts, load_language(args.model), known)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    found = report(guesses, args.least)
    if args.json:
        print(json.dumps({**found, "no_label": unknown}, indent=1))
    else:
        print_tables(found, unknown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
