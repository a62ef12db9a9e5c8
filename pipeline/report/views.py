"""Views: every dataset of a report, once, with the beginning of its ledger and of its signals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from pipeline.report.read import PoolOutcome, read_account
from pipeline.report.rows import RuleSample, kept_signals, read_ledger
from pipeline.report.values import Floats

TOP_RULES = 30

Rules = list[tuple[str, RuleSample]]


@dataclass(frozen=True)
class StageView:
    """A dataset of one or more pools. `before`: the dataset that its stage read; `archives`: the paths of the archives
    when they were ingested, by `file_path`."""

    label: str
    dataset: Dataset
    before: Dataset | None
    archives: Mapping[str, str]

    @cached_property
    def rules(self) -> Rules:
        """The rules that rejected most, first."""
        counts = self.dataset.manifest.rejected_by
        found = sorted(read_ledger(self.dataset).items(), key=lambda item: (-counts.get(item[0], 0), item[0]))
        return found[:TOP_RULES]

    @cached_property
    def kept(self) -> dict[str, Floats]:
        """The values of these rules' signals in the first kept documents; NaN for null."""
        return kept_signals(self.dataset, {signal_of(name) for name, sample in self.rules if sample.thresholds})


def views(pools: Sequence[PoolOutcome]) -> list[StageView]:
    """Every dataset once, named by all pools that it belongs to: recipes may share their first stages."""
    owners: dict[str, list[str]] = {}
    found: dict[str, tuple[Dataset, Dataset | None, Mapping[str, str]]] = {}
    for pool in pools:
        before: Dataset | None = None
        archives = places_of(pool)
        for dataset in pool.datasets:
            owners.setdefault(str(dataset.folder), []).append(pool.label)
            found.setdefault(str(dataset.folder), (dataset, before, archives))
            before = dataset
    return [
        StageView(f"{', '.join(dict.fromkeys(owners[folder]))}: {dataset.manifest.stage}", dataset, before, archives)
        for folder, (dataset, before, archives) in found.items()
    ]


def places_of(pool: PoolOutcome) -> Mapping[str, str]:
    if not pool.datasets or pool.datasets[0].kind is not Kind.RECORDS:
        return {}
    places = read_account(pool.datasets[0]).get("inputs")
    return {name: str(path) for name, path in places.items()} if isinstance(places, Mapping) else {}


def top_rules(seen: Sequence[StageView], most: int) -> Iterator[tuple[StageView, Rules]]:
    """Yields `most` rules in all, round-robin: the first of every view, then the second of every view, and so on."""
    ranked = sorted((rank, index) for index, view in enumerate(seen) for rank in range(len(view.rules)))[:most]
    for index, view in enumerate(seen):
        mine = sum(1 for _, at in ranked if at == index)
        if mine:
            yield view, view.rules[:mine]


def signal_of(rule: str) -> str:
    """The signal of a rule of the ledger ("step/min_words")."""
    return rule.rsplit("/", 1)[-1].removeprefix("min_").removeprefix("max_")


def bound_of(rule: str) -> str:
    """ "min" or "max"; "" for a rule that is not a bound."""
    bound = rule.rsplit("/", 1)[-1][:4]
    return bound[:3] if bound in ("min_", "max_") else ""
