"""The record of a run's data: one `RunPart` for each stretch of steps that read by the same dataset, seed and mixture.

Together with the datasets it says which tokens every step was trained on (`audit.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data.cursor import START, Cursor
from trainer.data.mixture import MixtureStage, mixture_from_json, mixture_json


@dataclass(frozen=True)
class RunPart:
    """Steps `first_step` + 1 to `last_step`."""

    data: str
    """The sha256 of the dataset's manifest."""

    seed: int
    mixture: tuple[MixtureStage, ...]
    sequence_length: int
    global_batch_size: int
    first_step: int
    first_cursor: Cursor
    last_step: int
    last_cursor: Cursor

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.__dict__,
            "mixture": mixture_json(self.mixture),
            "first_cursor": self.first_cursor.as_dict(),
            "last_cursor": self.last_cursor.as_dict(),
        }

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> "RunPart":
        """Inverse of `as_dict`."""
        return RunPart(**{
            **body,
            "mixture": mixture_from_json(body["mixture"]),
            "first_cursor": Cursor.from_dict(body["first_cursor"]),
            "last_cursor": Cursor.from_dict(body["last_cursor"]),
        })  # fmt: skip


def present_part(
    history: Sequence[Mapping[str, Any]], data: str, config: Mapping[str, Any], step: int, cursor: Cursor
) -> RunPart:
    """The part that ends at `step`: it begins where the last one in `history` (parts as JSON) ended.

    `config`: the section `data` of the configuration, as JSON.
    """
    before = RunPart.from_dict(history[-1]) if history else None
    return RunPart(
        data=data,
        seed=config["seed"],
        mixture=mixture_from_json(config.get("mixture", ())),
        sequence_length=config["sequence_length"],
        global_batch_size=config["global_batch_size"],
        first_step=before.last_step if before else 0,
        first_cursor=before.last_cursor if before else START,
        last_step=step,
        last_cursor=cursor,
    )


def parts_of(state: Mapping[str, Any]) -> list[RunPart]:
    """All parts of a run, from the header of its state (`TrainingState.header`)."""
    data, section = state["data"]["manifest_sha256"], state["config"]["data"]
    last = present_part(state["history"], data, section, state["step"], Cursor.from_dict(state["cursor"]))
    return [*(RunPart.from_dict(part) for part in state["history"]), last]
