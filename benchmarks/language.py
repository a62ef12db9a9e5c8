"""How often language identification is right: by language and kind of text, and on crawled pages.

    python -m benchmarks language --model lid.176.ftz --texts lingua_testdata.jsonl.gz [--least .65]
    python -m benchmarks language --model lid.176.ftz --texts lingua_testdata.jsonl.gz --case upper
    python -m benchmarks language --model language --texts lingua_testdata.jsonl.gz --code programs.jsonl.gz
    python -m benchmarks language --model lid.176.ftz --pages CRAWL/*.warc.gz --index index.jsonl.gz --engine blocks

`--texts` is JSONL with `text`, `lang` (ISO 639-1) and `kind`; `--case` has the texts in capitals or in small letters.
With `--pages`, the pages' texts by an engine are held against the index's `lang`, which is what their publishers or
collectors say: not always true. The model is read as the pipeline reads it. A language that the model has no label for
is listed, and not counted; Norwegian Bokmål (nb) counts as the model's "no". `--least` is the score under which a
recipe drops a text: "kept" is the share at or above it, and "right of kept" the accuracy there.

`--model` may be the folder of a vote of two identifiers; `--languages-of lid.176.ftz` then counts the languages of that
model alone, so that both are measured on the same texts. `--half 1` is the half of the texts that the vote's numbers
were not chosen on. Close languages are reported apart, by what each was taken for. The cost is CPU time a text, the
least of three passes. With `--code`, pages are made of five sentences of a language each, with the beginnings of these
programs before, between and after them, `CODE_CHARS` characters of each.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from time import process_time
from typing import Any, Final, NamedTuple
from zlib import crc32

from benchmarks.labelled import parse_engine, read_pages
from benchmarks.shared import add, markdown, read_rows
from infra.errors import UsageError
from pipeline.extract.page import PageExtractor
from pipeline.models.language import languages_of, load_language
from pipeline.models.language_vote import CLOSE, Spoken

# The same language under two labels.
SAME: Final = {"nb": "no", "sh": "sr"}
# Texts that are timed.
MOST_TIMED: Final = 3_000
# Pages with code: sentences of each, and how much of each program, in turn: unequal, so that no sentence is where an
# identifier happens to look.
SENTENCES, AMONG_CODE = "sentences", "sentences among code"
PAGE_SENTENCES, CODE_CHARS = 5, (150, 900, 400, 700, 250, 1050, 550)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--model", required=True)
    add(parser, "--texts", "--pages", "--index")
    add(parser, "--engine", action="store", default="blocks", help="NAME[:option=value,…]")
    parser.add_argument("--case", choices=["upper", "lower"], help="of the texts, in place of their own")
    parser.add_argument(
        "--code", action="append", type=Path, default=[], help="programs (JSONL) to put among sentences"
    )
    parser.add_argument("--half", type=int, choices=[0, 1], help="of the texts, by a hash")
    parser.add_argument("--languages-of", type=Path, help="a model: only languages that it too has a label for")
    parser.add_argument("--least", type=float, default=0.65, help="score under which a recipe drops a text")
    parser.add_argument("--least-characters", type=int, default=200, help="of a page's text, for it to be counted")


class Guess(NamedTuple):
    language: str
    kind: str
    label: str
    score: float

    @property
    def right(self) -> bool:
        return self.label == self.language


def plain(language: str) -> str:
    """ "en" for "en-US", "en_us", "eng" and "en" alike."""
    head = language.replace("_", "-").partition("-")[0].lower()
    head = {"eng": "en"}.get(head, head)
    return SAME.get(head, head)


def read_labelled(path: Path) -> Iterator[tuple[str, str, str]]:
    """text, language, kind"""
    for row in read_rows(path):
        yield row["text"], plain(row["lang"]), row["kind"]


def among_code(texts: Iterable[tuple[str, str, str]], programs: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Pages of `PAGE_SENTENCES` sentences of a language each among programs. UsageError where none is long enough."""
    code = cycle([program for program in programs if len(program) >= min(CODE_CHARS)] or _none_long())
    lengths, by_language = cycle(CODE_CHARS), defaultdict(list)
    for text, language, kind in texts:
        if kind == SENTENCES:
            by_language[language].append(text)
    for language, sentences in sorted(by_language.items()):
        for at in range(0, len(sentences) - PAGE_SENTENCES + 1, PAGE_SENTENCES):
            lines = [next(code)[: next(lengths)]]
            for sentence in sentences[at : at + PAGE_SENTENCES]:
                lines += [sentence, next(code)[: next(lengths)]]
            yield "\n".join(lines), language, AMONG_CODE


def _none_long() -> list[str]:
    raise UsageError(f"no program has {min(CODE_CHARS)} characters: give others as --code")


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
    texts: Iterable[tuple[str, str, str]], identify: Callable[[str], Spoken], known: set[str]
) -> tuple[list[Guess], dict[str, int]]:
    """The model's label of each text in a language that it has; how many texts are in each of the others."""
    guesses: list[Guess] = []
    unknown: dict[str, int] = defaultdict(int)
    for text, language, kind in texts:
        if language not in known:
            unknown[language] += 1
            continue
        label, score, _ = identify(text)
        guesses.append(Guess(language, kind, plain(label), score))
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
    return {"by_kind": by_kind, "by_language": languages, "close": close_languages(guesses)}


def close_languages(guesses: Sequence[Guess]) -> dict[str, dict[str, dict[str, int]]]:
    """Of each kind, what each of the close languages was taken for; all outside the group are "other"."""
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in guesses:
        for group in CLOSE:
            if one.language in group:
                found[one.kind][one.language][one.label if one.label in group else "other"] += 1
    return {kind: {name: dict(row) for name, row in sorted(rows.items())} for kind, rows in sorted(found.items())}


def cost(texts: Sequence[str], identify: Callable[[str], Spoken]) -> float:
    """CPU milliseconds a text: each text's least of three passes, so that other work on the machine counts less."""
    least = [float("inf")] * len(texts)
    for _ in range(3):
        for i, text in enumerate(texts):
            start = process_time()
            identify(text)
            least[i] = min(least[i], process_time() - start)
    return round(1000 * sum(least) / max(1, len(least)), 3)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if bool(args.texts) == bool(args.pages and args.index):
        raise UsageError("give either --texts, or --pages and --index")
    if args.texts:
        cased = {"upper": str.upper, "lower": str.lower}.get(args.case, str)
        texts = ((cased(text), language, kind) for path in args.texts for text, language, kind in read_labelled(path))
    else:
        texts = read_crawl(args.pages, args.index, args.engine, args.least_characters)
    if args.half is not None:
        texts = (row for row in texts if crc32(row[0].encode()) % 2 == args.half)
    if args.code:
        texts = among_code(texts, [row["text"] for path in args.code for row in read_rows(path)])
    known = {plain(label) for label in languages_of(args.languages_of or args.model)}
    identify, rows = load_language(args.model), list(texts)
    guesses, unknown = guess(rows, identify, known)
    return {
        **report(guesses, args.least),
        "no_label": unknown,
        "milliseconds": cost([text for text, _, _ in rows[:MOST_TIMED]], identify),
    }


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
    for kind, close in found["close"].items():
        yield ""
        labels = sorted({label for row in close.values() for label in row})
        yield from markdown(
            [f"close languages, {kind}", *labels],
            ([name, *(row.get(label, 0) for label in labels)] for name, row in close.items()),
        )
    yield f"\n{found['milliseconds']} ms of CPU time a text."
    if found["no_label"]:
        yield f"\nThe model has no label for {', '.join(f'{name} ({n})' for name, n in found['no_label'].items())}."
