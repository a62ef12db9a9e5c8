"""The tables of a comparison against counts made by hand, and invariants that hold for any outcome of the pages."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.compare.compare import summary
from pipeline.compare.cost import Costs
from pipeline.compare.gold import CLASSES, Gold, GoldRecall, read_gold, shares
from pipeline.compare.overlap import Overlap
from pipeline.compare.ratio import ALL, Hosts, interval, large_languages, ratios
from pipeline.compare.text import compare_text
from pipeline.compare.walk import Kept, Partition, Rejected, walk
from tests.files import write_rows
from tests.pipeline.datasets import document, make_dataset, record, reject

RULES = ["few/min_words", "few/max_words", "copies/minhash", "language/language_not_kept"]


def two_recipes(folder: Path, *cuts: int) -> dict[str, list[Dataset]]:
    """Ten pages; both extract nine. `lax` keeps 1 to 8; `strict` keeps 1 to 4, by words and then by copies."""
    records = [record(n) for n in range(10)]
    dull = [reject(9, "extract", "extract/empty", 0, 1)]
    documents = [document(n) for n in range(9)]

    def make(name: str, stage: str, rows: Any, ledger: Any, kind: Kind = Kind.DOCUMENTS) -> Dataset:
        return make_dataset(folder / name, stage, rows, ledger, kind=kind, cuts=cuts)

    ingest = make("01-ingest", "ingest", records, [], Kind.RECORDS)
    extract = make("02-extract", "extract", documents, dull)
    lax = make("03-lax", "filter", documents[1:], [reject(0, "few", "min_words", 3, 5)])
    few = [reject(n, "few", "min_words", 3, 50) for n in (0, 5, 6)] + [reject(5, "few", "max_lines", 3, 2)]
    strict = make("03-strict", "filter", [d for d in documents if d["warc_offset"] not in (0, 5, 6)], few)
    copies = make("04-copies", "copies", documents[1:5], [reject(n, "copies", "text", None, None) for n in (7, 8)])
    return {"lax": [ingest, extract, lax], "strict": [ingest, extract, strict, copies]}


@pytest.mark.parametrize("cuts", [(), (3, 6), (0, 5, 9)])
def test_overlap_by_hand(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    """`strict` rejects four pages that `lax` keeps: 5 and 6 for their words (5 by two rules), 7 and 8 as copies."""
    output = summary(two_recipes(tmp_path, *cuts))
    assert output["overlap"] == {
        "lax": {
            "strict": {
                "both": 4,
                "only": 4,
                "steps": {"copies": 2, "few": 2},
                "rejected_by": {"copies/text": 2, "few/min_words": 2, "few/max_lines": 1},
            }
        },
        "strict": {"lax": {"both": 4, "only": 0, "steps": {}, "rejected_by": {}}},
    }


def test_ratios_by_hand(tmp_path: Path) -> None:
    output = summary(two_recipes(tmp_path))
    ratio = output["ratio"]["strict"]["lax"]
    # 1, 2, 4, 5, 7, 8 are English: of these `strict` keeps 1, 2 and 4
    assert ratio["docs"] == 0.5 and ratio["by_language"]["en"]["docs"] == 0.5
    assert ratio["tokens"] == 0.5 and list(ratio["by_language"]) == ["en"]
    # all pages are of one host: kept or lost together, there is no spread
    assert ratio["docs_interval"] == [0.0, 0.5] and ratio["tokens_interval"] == [0.0, 0.5]
    assert output["recipes"]["lax"]["rejected_by"] == {"extract/extract/empty": 1, "few/min_words": 1}
    assert output["recipes"]["lax"]["audit"] is None


def test_partitions_do_not_change_a_comparison(tmp_path: Path) -> None:
    whole, cut = (summary(two_recipes(tmp_path / name, *cuts)) for name, cuts in (("one", ()), ("more", (2, 4, 8))))
    assert whole == cut


def test_every_page_ends_somewhere_in_every_recipe(tmp_path: Path) -> None:
    for partition in walk(two_recipes(tmp_path, 3, 6)):
        for name in ("lax", "strict"):
            kept, rejected = partition.kept[name].keys(), partition.rejected[name].keys()
            assert kept | rejected == partition.pages.keys() and not kept & rejected


def test_input_documents_include_those_rejected_by_the_first_stage(tmp_path: Path) -> None:
    chains = two_recipes(tmp_path)
    (partition,) = walk({name: chain[2:] for name, chain in chains.items()})
    assert len(partition.pages) == 9


def fates(names: tuple[str, ...] = ("a", "b", "c")) -> st.SearchStrategy[list[dict[str, Any]]]:
    """The outcome of each page by recipe: a kept document, or the rules that reject it."""
    kept = st.builds(
        Kept,
        st.sampled_from(["http://a.example/x", "http://b.example/", "https://unknown.invalid/1", "", None]),
        st.sampled_from(["en", "zh", "", None]),
        st.integers(0, 10**9),
    )
    rejected = st.lists(st.sampled_from(RULES), min_size=1, max_size=3).map(
        lambda rules: Rejected(rules[0].split("/")[0], rules)
    )
    return st.lists(st.fixed_dictionaries(dict.fromkeys(names, kept | rejected)), max_size=30)


def partition_of(pages: list[dict[str, Any]], first: int = 0) -> Partition:
    keyed = {("f", first + number, 0): page for number, page in enumerate(pages)}
    names = ("a", "b", "c")
    return Partition(
        {key: (f"http://p.example/{key[1]}", None) for key in keyed},
        {name: {k: page[name] for k, page in keyed.items() if isinstance(page[name], Kept)} for name in names},
        {name: {k: page[name] for k, page in keyed.items() if isinstance(page[name], Rejected)} for name in names},
    )


@given(fates(), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_overlap_agrees_with_the_totals(pages: list[dict[str, Any]], cut: int) -> None:
    overlap = Overlap(["a", "b", "c"])
    overlap.add(partition_of(pages[:cut]))
    overlap.add(partition_of(pages[cut:], cut))
    kept = {name: {n for n, page in enumerate(pages) if isinstance(page[name], Kept)} for name in "abc"}
    table = overlap.as_json()
    for one in "abc":
        for other in set("abc") - {one}:
            pair = table[one][other]
            assert pair["both"] + pair["only"] == len(kept[one])
            assert pair["both"] == table[other][one]["both"] == len(kept[one] & kept[other])
            assert sum(pair["steps"].values()) == pair["only"] <= sum(pair["rejected_by"].values())


@given(fates(), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_hosts_hold_every_document_and_token(pages: list[dict[str, Any]], cut: int) -> None:
    hosts = Hosts(["a", "b", "c"], ["en"])
    hosts.add(partition_of(pages[:cut]))
    hosts.add(partition_of(pages[cut:], cut))
    for (name, language), at in hosts.columns.items():
        mine = [page[name] for page in pages if isinstance(page[name], Kept)]
        mine = [each for each in mine if language in (ALL, each.language)]
        assert sum(row[at] for row in hosts.rows.values()) == len(mine)
        assert sum(row[at + 1] for row in hosts.rows.values()) == sum(each.tokens for each in mine)
    whole = Hosts(["a", "b", "c"], ["en"])
    whole.add(partition_of(pages))
    assert (whole.sums() == hosts.sums()).all()


def kept_of(urls: list[str | None]) -> Mapping[Any, Kept]:
    return {("f", number, 0): Kept(url, "en", 10) for number, url in enumerate(urls)}


def test_intervals_follow_hosts_not_pages() -> None:
    def whole(mine: list[str | None], theirs: list[str | None]) -> Any:
        hosts = Hosts(["a", "b"], [])
        hosts.add(Partition({}, {"a": kept_of(mine), "b": kept_of(theirs)}, {}))
        sizes = {name: {"docs": len(u), "chars": 1, "tokens": 10 * len(u)} for name, u in (("a", mine), ("b", theirs))}
        return ratios(hosts, {(name, ALL): total for name, total in sizes.items()})["a"]["b"]

    spread: list[str | None] = [f"http://h{i}.example/" for i in range(100)]
    half = whole(spread[::2], spread)
    assert half["docs"] == 0.5 and 0.35 < half["docs_interval"][0] < 0.5 < half["docs_interval"][1] < 0.65
    assert half["tokens_interval"] == half["docs_interval"]
    one_host: list[str | None] = ["http://h.example/"] * 100
    wide = whole(one_host[:50], [*one_host[:50], *spread[:50]])["docs_interval"]
    assert wide[0] < 0.05 and wide[1] > 0.7
    # pages without an address of their own are hosts of their own
    assert (
        whole([None] * 50, [None] * 100)["docs_interval"]
        == whole(["http://x.invalid/"] * 50, [None] * 100)["docs_interval"]
    )
    assert whole([None] * 50, [None] * 100)["docs_interval"][0] > 0.35
    nothing = whole(spread, [])
    assert nothing["docs"] is None and nothing["docs_interval"] is None


def test_an_interval_is_of_the_resampled_ratio() -> None:
    import numpy as np

    mine, theirs = np.arange(1.0, 1001.0), np.full(1000, 1000.0)
    assert interval(mine, theirs) == pytest.approx([0.025975, 0.975025], abs=1e-6)


def test_english_first_then_the_large() -> None:
    many = [{"zh": {"docs": 100}, "de": {"docs": 99}, "en": {"docs": 3}}, {"zh": {"docs": 5}, "fr": {"docs": 900}}]
    assert large_languages(many) == ["en", "fr", "zh"]
    assert large_languages([{"fr": {"docs": 4}, "": {"docs": 900}}]) == []


def gold_files(folder: Path) -> tuple[Path, Path]:
    """Of pages 0 to 4 a long text, of 5 to 7 a short one (7 twice: the longer counts), of 8 and 9 none."""
    lines = [{"url": f"https://example.org/{n}", "id": f"x/{n}", "text": "word " * 8} for n in range(5)]
    lines += [{"url": f"https://example.org/{n}", "text": "word " * 7} for n in (5, 6, 7)]
    lines += [{"url": "https://example.org/7", "text": "short"}, {"url": "https://example.org/8", "date": "2020"}]
    known = [
        {"url": f"https://example.org/{n}", "type": "article" if n % 2 else "forum", "lang": "de-AT"} for n in range(8)
    ]
    known[0] = {"id": "<urn:uuid:0>", "type": "letter", "lang": None}
    return write_rows(folder / "gold.jsonl.gz", lines), write_rows(folder / "index.jsonl", known)


def test_gold_recall_by_hand(tmp_path: Path) -> None:
    gold = read_gold(*gold_files(tmp_path), long_words=8)
    output = summary(two_recipes(tmp_path / "out", 4), gold)
    rows = {(row["by"], row["group"]): row for row in output["gold"]["rows"]}
    whole = rows["all", "all"]
    assert whole["pages"] == {"long": 5, "short": 3, "no_gold": 2}
    assert whole["kept"]["lax"] == {"long": 4, "short": 3, "no_gold": 1}
    assert whole["kept"]["strict"] == {"long": 4, "short": 0, "no_gold": 0}
    assert shares(whole, "lax") == (0.8, 0.8) and shares(whole, "strict") == (0.8, 0.0)
    assert rows["type", "article"]["pages"] == {"long": 2, "short": 2, "no_gold": 0}
    assert rows["type", "letter"]["pages"] == {"long": 1, "short": 0, "no_gold": 0}
    assert rows["type", "(unknown)"]["pages"] == {"long": 0, "short": 0, "no_gold": 2}
    assert rows["lang", "de"]["kept"]["strict"] == {"long": 4, "short": 0, "no_gold": 0}
    assert [group for by, group in rows if by == "lang"] == ["de", "(unknown)"]
    text = compare_text(output)
    assert "true text of 8 words or more" in text and "80.0%" in text


@given(fates(), st.lists(st.integers(0, 400), max_size=30), st.lists(st.sampled_from("xyz"), max_size=30))
@settings(max_examples=40, deadline=None)
def test_groups_add_up(pages: list[dict[str, Any]], words: list[int], kinds: list[str]) -> None:
    class Lookup:
        def __init__(self, values: list[Any]) -> None:
            self.values = dict(enumerate(values))

        def get(self, url: str, name: None) -> Any:
            return self.values.get(int(url.rsplit("/", 1)[1]))

    groups = Lookup([{"type": kind} for kind in kinds])
    recall = GoldRecall(Gold("0", Lookup(words), groups, ("type",), 200), ["a", "b", "c"])  # type: ignore[arg-type]
    recall.add(partition_of(pages))
    whole, *parts = recall.as_json()["rows"]
    for kind in CLASSES:
        assert whole["pages"][kind] == sum(part["pages"][kind] for part in parts)
        for name in "abc":
            assert whole["kept"][name][kind] == sum(part["kept"][name][kind] for part in parts) <= whole["pages"][kind]
    assert sum(whole["pages"].values()) == len(pages)


def test_many_groups_become_one(tmp_path: Path) -> None:
    lines = [{"url": f"https://example.org/{n}", "text": "x", "topic": f"topic {n}"} for n in range(100)]
    path = write_rows(tmp_path / "both.jsonl", lines)
    rows = [record(n) for n in range(100)]
    chain = [make_dataset(tmp_path / "1", "ingest", rows, [], kind=Kind.RECORDS)]
    output = summary({"a": chain, "b": chain}, read_gold(path, path, ["topic"]))
    groups = [row for row in output["gold"]["rows"] if row["by"] == "topic"]
    assert len(groups) == 61 and groups[-1]["group"] == "(other)" and groups[-1]["pages"]["short"] == 40


@pytest.mark.parametrize(
    ("gold", "groups", "by", "message"),
    [
        (None, "{}", (), "give --gold too"),
        ('{"url": "x"}', None, (), "no line with a `url` or `id` and a `text`"),
        ('{"url": "x", "text": "y"}\n\n[1]', None, (), "line 3: not a JSON object"),
        ('{"url": "x", "text": "y"}', '{"url": "x", "type": "z"}', ("topic",), "no line of .* has a 'topic'"),
        ("\x1f\x8bnot gzip", None, (), "cannot be read|not a JSON object"),
    ],
)
def test_mistakes_about_gold(tmp_path: Path, gold: str | None, groups: str | None, by: Any, message: str) -> None:
    paths = []
    for name, content in (("gold.jsonl", gold), ("groups.jsonl", groups)):
        if content is not None:
            (tmp_path / name).write_text(content, "latin-1")
        paths.append(tmp_path / name if content is not None else None)
    with pytest.raises(UsageError, match=message) as error:
        read_gold(paths[0], paths[1], by)
    assert "\n" not in str(error.value)


def test_a_missing_gold_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gold.jsonl cannot be read: No such file"):
        read_gold(tmp_path / "gold.jsonl", None)


def test_costs_of_shared_stages_go_to_each_recipe(tmp_path: Path) -> None:
    chains = two_recipes(tmp_path)
    costs = Costs(tmp_path)
    for chain in chains.values():
        for dataset in chain:
            with costs.timed(dataset.folder):
                pass
    output = costs.close(chains, 10)
    # every dataset was there: 1.5 seconds and 1.25 CPU seconds each, as its run.json says
    assert output["recipes"]["lax"] == {"seconds": 4.5, "cpu_seconds": 3.75, "documents_per_cpu_second": 2.667}
    assert output["recipes"]["strict"]["cpu_seconds"] == 5.0
    assert output["stages"]["01-ingest"]["recipes"] == ["lax", "strict"]
    assert output["stages"]["04-copies"]["recipes"] == ["strict"]


def test_a_stage_that_is_made_is_timed(tmp_path: Path) -> None:
    costs = Costs(tmp_path)
    with costs.timed(tmp_path / "01-x"):
        before = time.process_time()
        while time.process_time() < before + 0.05:  # the system counts in hundredths
            sum(range(10_000))
        (tmp_path / "01-x").mkdir()
    assert costs.stages["01-x"]["seconds"] > 0 and costs.stages["01-x"]["cpu_seconds"] > 0
    assert Costs(tmp_path).stages == costs.stages
