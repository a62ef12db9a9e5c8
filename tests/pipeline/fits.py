"""The hash of a fitted model."""

from pathlib import Path

from pipeline.models.store import resolve


def sha256_of(name: str, models: Path) -> str:
    """The hash of a model in the folder, as a recipe records it."""
    return resolve([name], models)[name].sha256
