"""Sample pages: for each rule those on both sides of its threshold and those far from it.

The text of a rejected page is not stored with its rejection. It is taken from the dataset that the stage read; for a
page that was rejected before it had a text, it is read again from its archive, if that is available. Otherwise only URL
and value are shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader
from infra.errors import RefineryError
from infra.storage import place
from pipeline.compare.walk import KEY, Key, key_of
from pipeline.report.charts import short
from pipeline.report.parts import PageExcerpt, Samples, cut
from pipeline.report.rows import nearest_within, part_of, rows_at, rows_by_key
from pipeline.report.values import number
from pipeline.report.views import Rules, StageView, bound_of, signal_of, top_rules
from pipeline.stages.bodies import BodyReader
from pipeline.stages.extract import page_extractor

# With these limits the largest report (a comparison of many recipes) stays under two megabytes.
MAX_SAMPLED_RULES = 120
AT_THRESHOLD = 2
RULE_CHARS = 200
# The most pages in all that are read again from archives and extracted.
MAX_READ_AGAIN = 200
QUICK_ENGINE = "resiliparse"

LEDGER_COLUMNS = [*KEY, "warc_length", "url", "id", "value", "threshold", "survivor", "similarity", "via"]
KEPT_COLUMNS = ["url", "id", "title", "language", "token_count", "text"]
RECORD_COLUMNS = ["id", "content_digest", "warc_length", "url", "page", "charset_header"]


class Texts:
    """Finds the texts of rejected pages. `moved`: the archives' paths now, by name, if they have moved."""

    def __init__(self, moved: Mapping[str, str] | None = None) -> None:
        self.moved = moved or {}
        self.left = MAX_READ_AGAIN

    def of(self, view: StageView, rows: Mapping[int, Mapping[str, Any]]) -> dict[Key, str]:
        """The available texts, by key, of the rows (by number) of the view's ledger."""
        ledger, before = view.dataset.ledger_parts(), view.before
        if before is None or view.dataset.kind is not Kind.DOCUMENTS or len(before.parts()) != len(ledger):
            return {}
        wanted: dict[int, set[Key]] = {}
        for row_number, row in rows.items():
            wanted.setdefault(part_of(ledger, row_number), set()).add(key_of(row))
        found: dict[Key, str] = {}
        for index, keys in sorted(wanted.items()):
            if before.kind is Kind.DOCUMENTS:
                texts = rows_by_key(before.parts()[index], keys, ["text"])
                found |= {key: row["text"] or "" for key, row in texts.items()}
            else:
                found |= self._again(before.parts()[index], keys, {**view.archives, **self.moved})
        return found

    def _again(self, records: ShardReader, keys: set[Key], places: Mapping[str, str]) -> dict[Key, str]:
        rows = sorted(rows_by_key(records, keys, RECORD_COLUMNS).items())[: self.left]
        self.left -= len(rows)
        reader = BodyReader(places, Dataset(place(records.folder)))
        found = {}
        for key, row in rows:
            extractor = page_extractor(QUICK_ENGINE if row["page"] == "html" else "plain", "{}")
            try:
                page = extractor.extract(reader.read(row), row["charset_header"], row["url"] or "")
            except RefineryError:  # the archive has moved or changed
                continue
            found[key] = page.text
        reader.close()
        return found


def rule_samples(seen: Sequence[StageView], texts: Texts) -> Iterator[Samples]:
    """For each rule: just kept, just rejected, clearly rejected; for a rule without values the first rejected."""
    for view, rules in top_rules(seen, MAX_SAMPLED_RULES):
        chosen = {name: rejected_rows(sample) for name, sample in rules}
        kept = kept_rows(view, rules)
        numbers = {row for mine in chosen.values() for row, _ in mine}
        rejected = rows_at(view.dataset.ledger_parts(), numbers, LEDGER_COLUMNS)
        found = texts.of(view, rejected)
        documents = rows_at(view.dataset.parts(), {row for mine in kept.values() for row in mine}, KEPT_COLUMNS)
        for name, sample in rules:
            items = [
                kept_sample(documents[row], view.kept[signal_of(name)][row], min(sample.thresholds))
                for row in kept.get(name, ())
            ]
            items += [
                rejected_sample(rejected[row], how, found.get(key_of(rejected[row]), "")) for row, how in chosen[name]
            ]
            yield Samples(f"{view.label} / {name}", tuple(items))


def rejected_rows(sample: Any) -> list[tuple[int, str]]:
    """Row numbers in the ledger, with the kind of sample that each is."""
    near = sample.nearest(AT_THRESHOLD)
    rows = [(row, "just rejected") for row in near]
    rows += [(row, "clearly rejected") for row in sample.farthest(AT_THRESHOLD, len(near))]
    return rows or [(row, "rejected") for row in sample.unvalued]


def kept_rows(view: StageView, rules: Rules) -> dict[str, list[int]]:
    """By rule, the documents that passed it most narrowly. Only for rules with one threshold for all."""
    return {
        name: nearest_within(view.kept[signal_of(name)], bound_of(name), next(iter(sample.thresholds)), AT_THRESHOLD)
        for name, sample in rules
        if len(sample.thresholds) == 1 and bound_of(name) and signal_of(name) in view.kept
    }


def rejected_sample(row: Mapping[str, Any], how: str, text: str) -> PageExcerpt:
    return sample_of(row, rejected_facts(row, how), excerpt(text, RULE_CHARS), "(no address)")


def rejected_facts(row: Mapping[str, Any], how: str) -> list[str]:
    facts = [how, *numbers(row["value"], row["threshold"])]
    if row["survivor"]:
        similarity = number(row["similarity"])
        to = f" to {row['via']}" if row.get("via") else ""
        measured = "" if similarity is None else f" (similarity {short(similarity)}{to})"
        facts.append(f"see {row['survivor']}{measured}")
    return facts


def kept_sample(row: Mapping[str, Any], value: float, threshold: float) -> PageExcerpt:
    facts = ["just kept", *numbers(float(value), threshold), row["language"] or ""]
    return sample_of(row, facts, excerpt(row["text"] or "", RULE_CHARS))


def sample_of(row: Mapping[str, Any], facts: Sequence[str], text: str, nameless: str = "") -> PageExcerpt:
    return PageExcerpt(cut(str(row["url"] or row["id"] or nameless)), cut(" · ".join(filter(None, facts))), text)


def numbers(value: Any, threshold: Any) -> list[str]:
    found, bound = number(value), number(threshold)
    if found is None:
        return []
    return [f"value {short(found)}" + ("" if bound is None else f", threshold {short(bound)}")]


def excerpt(text: str, most: int) -> str:
    """The first `most` characters, with each run of white space as one space, so that none are spent on it."""
    return cut(" ".join(text[: 4 * most].split()), most)
