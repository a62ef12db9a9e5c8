"""Evidence of pool decisions about one document: copies with what they share, thresholds, changed lines.

All of it is linear in the texts: lines and shingles are compared as sets.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow.compute as pc

from dedup.shingles import NGRAM, shingles
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from pipeline.explain.lookup import Key, Survivors
from pipeline.pool.quantile import UNKNOWN

# The most copies shown of one document, changed lines of one edit, and characters of each.
MAX_COPIES = 20
MAX_LINES = 20
MAX_CHARS = 200
# The columns of a ledger that name the survivor of a copy.
SURVIVOR = ("survivor", "survivor_path", "survivor_offset")


def text_changes(before: str, after: str) -> dict[str, Any]:
    """The removed and added lines, in order, as a multiset difference: {removed, added, lines: ["- …", "+ …"]}.

    `removed` and `added` count all; `lines` has the first MAX_LINES non-blank ones, alternating between the two kinds.
    """
    if before == after:
        return {"removed": 0, "added": 0, "lines": []}
    old, new = before.split("\n"), after.split("\n")
    gone, come = _left_over(old, new), _left_over(new, old)
    marked = (_marked("-", gone), _marked("+", come))
    shown = [line for pair in zip_longest(*marked) for line in pair if line is not None]
    return {"removed": len(gone), "added": len(come), "lines": shown[:MAX_LINES]}


def _marked(mark: str, lines: list[str]) -> list[str]:
    return [f"{mark} {line[:MAX_CHARS]}" for line in lines if line.strip()]


def _left_over(lines: list[str], others: list[str]) -> list[str]:
    """The lines that occur more often here than in `others`, in order."""
    left = Counter(others)
    result = []
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
        else:
            result.append(line)
    return result


def evidence(dataset: Dataset, line: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """A removed copy's ledger row, with the survivor and what the two texts share. `similarity` is by `measure`, to the
    survivor, or to the document `via` where that is not null; `bands`: how many of its signature that one has too.

    `shingles`: {shared, mine, theirs} counts of distinct runs of five words; `line`: the longest common line.
    Null if there are no texts (records) or the survivor is not in the dataset.
    """
    entry = {name: line[name] for name in ("step", "rule", "survivor", "similarity")}
    entry |= {name: line.get(name) for name in ("via", "measure", "bands")}  # an earlier version wrote none of them
    entry |= {"threshold": line["threshold"], "url": None, "shingles": None, "line": None}
    other = Survivors(dataset.parts(), [line]).of(line)
    if other is None:
        return entry
    entry["url"] = other["url"]
    if dataset.kind is not Kind.DOCUMENTS or text is None:
        return entry
    mine, theirs = shingles(text), shingles(other["text"])
    shared = int(np.isin(mine, theirs, assume_unique=True).sum())
    common = set(text.split("\n")) & set(other["text"].split("\n"))
    longest = max(sorted(common), key=len, default="")
    return entry | {
        "shingles": {"words": NGRAM, "shared": shared, "mine": int(mine.size), "theirs": int(theirs.size)},
        "line": longest[:MAX_CHARS] or None,
    }


def copies_of(dataset: Dataset, key: Key, ident: str) -> list[dict[str, Any]]:
    """The copies that were removed in favour of the document at `key`: the first MAX_COPIES. Its id counts only in
    ledgers without locators of survivors."""
    names = ["step", "rule", "id", "url", "similarity", "via", "measure", "bands", *SURVIVOR]
    found: list[dict[str, Any]] = []
    for part in dataset.ledger_parts():
        for batch in part.batches(names):
            if len(found) < MAX_COPIES:
                named = pc.and_(pc.equal(batch["survivor_path"], key[0]), pc.equal(batch["survivor_offset"], key[1]))
                by_id = pc.and_(pc.is_null(batch["survivor_path"]), pc.equal(batch["survivor"], ident))
                mine = batch.filter(pc.and_(pc.or_kleene(named, by_id), pc.starts_with(batch["rule"], "copy_")))
                rows = mine.to_pylist()
                found += [{**row, "removed": row["id"]} for row in rows]
    return found[:MAX_COPIES]


def pool_step(dataset: Dataset, row: Mapping[str, Any], line: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest's `pool` entry for a document: its group's threshold, or its cluster. Empty for other stages.

    `line`: the ledger row that rejected it, if any.
    """
    pool = dataset.manifest.extra.get("pool")
    if not isinstance(pool, Mapping):
        return {}
    signals = row.get("signals") or {}
    if pool.get("method") == "quantile":
        return _quantile(pool, signals, row)
    entry: dict[str, Any] = {"pool": {name: pool[name] for name in ("docs", "note") if name in pool}}
    if line is not None:
        return entry | {"evidence": line["survivor"]}
    number = signals.get("cluster")
    cluster = next((each for each in pool.get("found", ()) if each["cluster"] == number), None)
    score = signals.get("cluster_score")
    return entry | {"rule": "cluster", "signal": "cluster_score", "value": score, "cluster": cluster}


def _quantile(pool: Mapping[str, Any], signals: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    signal, by = pool["signal"], pool["by"]
    language = row.get("language")
    name = by if by != "language" else UNKNOWN if language is None else language
    groups = pool.get("groups") or pool.get("found") or ()
    group = next((each for each in groups if each["group"] == name), None)
    value = row.get("language_score") if signal == "language_score" else signals.get(signal)
    entry: dict[str, Any] = {"signal": signal, "group": group, "keep": pool["keep"]}
    if group is not None:
        bound = "max" if pool["side"] == "low" else "min"
        entry |= {"rule": f"{bound}_{signal}", "threshold": group["threshold"]}
    return entry | ({"value": value} if value is not None else {})
