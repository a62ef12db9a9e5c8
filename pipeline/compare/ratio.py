"""Ratios of what recipes keep, with bootstrap intervals over hosts, since pages of one host are alike.

All ratios come from the same draws, so they can be compared. Hosts are hashed into `GROUPS` groups, and the draws are
made a few groups at a time, so that memory grows neither with the number of hosts nor of replicates. The hosts of a
small crawl hardly ever share a group; for a large one, groups of hosts are as good clusters as hosts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.compare.walk import Partition
from pipeline.inputs.hosts import host_of
from pipeline.job.intervals import wilson

REPLICATES = 2000
SEED = 20240511
GROUPS = 2**16
GROUPS_AT_ONCE = 512
UNITS = ("docs", "chars", "tokens")
# A language has ratios of its own from this many documents in one recipe; English always.
LARGE = 100
MOST_LANGUAGES = 12
ENGLISH = "en"
ALL = ""

Floats = npt.NDArray[np.float64]


def large_languages(by_language: Sequence[Mapping[str, Mapping[str, int]]]) -> list[str]:
    """English, and the languages of which some recipe keeps many documents: the largest first, at most twelve."""
    most: dict[str, int] = {}
    for languages in by_language:
        for name, numbers in languages.items():
            most[name] = max(most.get(name, 0), numbers["docs"])
    large = (name for name in most if name != ALL and (name == ENGLISH or most[name] >= LARGE))
    chosen = sorted(large, key=lambda n: (n != ENGLISH, -most[n], n))
    return chosen[:MOST_LANGUAGES]


class Hosts:
    """Documents and tokens by group of hosts, recipe and language (`ALL` is all of them)."""

    def __init__(self, names: Sequence[str], languages: Sequence[str]) -> None:
        wanted = [(name, language) for name in names for language in (ALL, *languages)]
        self.columns = {pair: 2 * index for index, pair in enumerate(wanted)}
        self.rows: dict[int, Floats] = {}

    def add(self, partition: Partition) -> None:
        for name, kept in partition.kept.items():
            for key, document in kept.items():
                host = host_of(document.url) or f"{key[0]}:{key[1]}:{key[2]}"
                group = xxhash.xxh3_64_intdigest(host.encode("utf-8", "replace")) % GROUPS
                row = self.rows.setdefault(group, np.zeros(2 * len(self.columns), dtype=np.float64))
                for language in {ALL, document.language or ALL}:
                    at = self.columns.get((name, language))
                    if at is not None:
                        row[at] += 1
                        row[at + 1] += document.tokens

    def groups_with(self, column: int) -> int:
        """How many groups of hosts have a document in this column; at least 1."""
        return max(1, sum(1 for row in self.rows.values() if row[column]))

    def sums(self) -> Floats:
        """float64[REPLICATES, columns]: the sums over each resample (Poisson bootstrap, seeded).

        Whole numbers below 2**53, so that they do not depend on the order of addition.
        """
        chance = np.random.default_rng(SEED)
        total = np.zeros((REPLICATES, 2 * len(self.columns)))
        groups = sorted(self.rows)
        for start in range(0, len(groups), GROUPS_AT_ONCE):
            some = np.array([self.rows[group] for group in groups[start : start + GROUPS_AT_ONCE]])
            total += chance.poisson(1.0, size=(REPLICATES, len(some))).astype(np.float64) @ some
        return total


def ratios(hosts: Hosts, totals: Mapping[tuple[str, str], Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """{NAME: {OTHER: {docs, chars, tokens, docs_interval, tokens_interval, by_language: {LANGUAGE: the same}}}}.

    `totals`: {docs, chars, tokens} that each recipe keeps of each language (`ALL`: of all). A document's language is
    the label set by the recipe itself; a ratio with a zero denominator is None. Of a recipe that keeps nothing no draw
    keeps anything: its interval is Wilson's for none of the other's hosts.
    """
    sums = hosts.sums()
    names = list(dict.fromkeys(name for name, _ in hosts.columns))
    languages = list(dict.fromkeys(language for _, language in hosts.columns if language != ALL))

    def one(name: str, other: str, language: str) -> dict[str, Any]:
        mine, theirs = totals[name, language], totals[other, language]
        a, b = hosts.columns[name, language], hosts.columns[other, language]
        made: dict[str, Any] = {unit: round(mine[unit] / theirs[unit], 6) if theirs[unit] else None for unit in UNITS}
        none = None if mine["docs"] else [0.0, wilson(0, hosts.groups_with(b))[1]] if theirs["docs"] else None
        made["docs_interval"] = none or (interval(sums[:, a], sums[:, b]) if theirs["docs"] else None)
        made["tokens_interval"] = none or (interval(sums[:, a + 1], sums[:, b + 1]) if theirs["tokens"] else None)
        return made

    return {
        name: {
            other: one(name, other, ALL)
            | {"by_language": {language: one(name, other, language) for language in languages}}
            for other in names
            if other != name
        }
        for name in names
    }


def interval(mine: Floats, theirs: Floats) -> list[float]:
    """95 % interval of a ratio from its resampled numerators and denominators (percentile method)."""
    low, high = np.quantile(mine / np.maximum(theirs, 1.0), [0.025, 0.975])
    return [round(float(low), 6), round(float(high), 6)]
