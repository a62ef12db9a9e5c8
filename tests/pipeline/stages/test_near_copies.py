"""Near copies through the whole stage: precision and recall against all pairs, and the same survivors in any order."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dedup.minhash import MinHash
from dedup.shingles import shingles
from dedup.verify import containment, jaccard
from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from infra.errors import UsageError
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.dedup import dedup_stage
from tests.dedup.support import chinese, edited, english, of_one_template
from tests.files import write_rows
from tests.pipeline.command import refinery

SCHEMA = schemas.documents(())
# an id and a text
Page = tuple[str, str]


@dataclass(frozen=True)
class Pages:
    pages: tuple[Page, ...]
    cuts: int = 1
    refs: tuple[InputRef, ...] = ()

    @property
    def fingerprint(self) -> str:
        return str(hash(self.pages))

    def parts(self) -> list["Pages"]:
        ends = np.linspace(0, len(self.pages), self.cuts + 1).astype(int)
        return [Pages(self.pages[begin:end]) for begin, end in pairwise(ends)]


@dataclass(frozen=True)
class Write:
    fingerprint: str = "write"
    schema: pa.Schema = SCHEMA

    def __call__(self, part: Pages) -> Iterator[Output]:
        fixed = {
            "dump": "CC-MAIN-2024-51",
            "language": "en",
            "token_count": 1,
            "copies": 1,
            "snapshots": 1,
            "signals": {},
        }
        rows = [
            {**dict.fromkeys(SCHEMA.names), **fixed, "text": text, "id": ident, "url": f"http://x.example/{ident}",
             "date": f"2024-12-{1 + len(text) % 28:02d}T00:00:00Z", "file_path": "a.warc.gz", "warc_offset": int(ident)}
            for ident, text in part.pages
        ]  # fmt: skip
        for begin in range(0, len(rows), 256):
            some = rows[begin : begin + 256]
            yield Output(pa.RecordBatch.from_pylist(some, SCHEMA), None, {"in": len(some), "rejected": 0})


def deduplicated(
    pages: Sequence[Page], folder: Path, cuts: int = 1, workers: int = 1, **options: Any
) -> tuple[Dataset, dict[int, dict[str, Any]]]:
    """The dataset, and the ledger by the number of the page."""
    step = {"kind": "dedup", "method": "minhash", "options": options}
    stage = {"name": "near", "command": "dedup", "step": [step]}
    recipe = parse_recipe({"name": "near", "about": "x", "stage": [stage]}, "near")
    with LocalEngine(workers) as engine:
        header = Header(Kind.DOCUMENTS, "write", RecipeRef("near", ""), {}, ())
        source = engine.map_shards(Write(), [Pages(tuple(pages), cuts)], folder / "source", header)
        made = dedup_stage(Context(recipe, engine, {}), recipe.stages[0], source, folder / "near")
    return made, {row["warc_offset"]: row for row in made.ledger().to_pylist()}


def planted(count: int, language: str) -> list[Page]:
    """Families of 1 to 12 documents, each a copy of the first in which up to a tenth of the words is replaced: pairs
    from equal to a Jaccard similarity under .5."""
    draw = random.Random(1)
    texts: list[str] = []
    while len(texts) < count:
        seed, size = draw.randrange(1 << 30), draw.choice([1, 2, 3, 5, 12])
        tokens, glue = (english(seed, 120), " ") if language == "english" else (chinese(seed, 160), "")
        shares = [0.0, *(draw.choice([0, 0.002, 0.01, 0.02, 0.03, 0.05, 0.1]) for _ in range(size - 1))]
        for number, share in enumerate(shares):
            texts.append(glue.join(edited(tokens, share, seed + number, replacement(language))))
    return [(str(number), text) for number, text in enumerate(texts[:count])]


def replacement(language: str) -> Any:
    return (lambda x: f"w{x}") if language == "english" else (lambda x: chr(0x6000 + x % 8192))


def families(count: int, each: int) -> list[Page]:
    """Families that share most of a frame, so that they are in the same buckets."""
    frame, texts = english(999, 150), []
    for family in range(count):
        base = frame[:75] + english(family, 60) + frame[75:]
        for number in range(each):
            share = random.Random(number + 1000 * family).random() * 0.02
            texts.append(" ".join(edited(base, share, 7919 * family + number, replacement("english"))))
    return [(str(number), text) for number, text in enumerate(texts)]


def template(count: int, words: int, edits: int, twin_edits: int) -> list[Page]:
    pages, twins = of_one_template(count, words, edits, twin_edits)
    return [(str(number), text) for number, text in enumerate([*pages, *twins])]


def similar_pairs(pages: Sequence[Page], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a similarity of at least the threshold that share a band."""
    sets = [shingles(text) for _, text in pages]
    hashes, places = np.concatenate(sets), np.repeat(np.arange(len(sets)), [each.size for each in sets])
    order = np.argsort(hashes, kind="stable")
    hashes, places = hashes[order], places[order]
    starts = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]))
    shared = np.zeros((len(sets), len(sets)), np.int32)
    for members in np.split(places, starts[1:]):
        if members.size > 1:
            shared[np.ix_(members, members)] += 1
    sizes = np.array([each.size for each in sets])
    similarity = shared / (sizes[:, None] + sizes[None, :] - shared)
    a, b = np.nonzero(np.triu(similarity >= threshold, 1))
    keys = MinHash().signed(pa.array([text for _, text in pages])).keys
    together = (keys[a] == keys[b]).any(axis=1)
    return a[together], b[together]


@pytest.mark.parametrize(
    ("pages", "threshold"),
    [
        (planted(800, "english"), 0.8),
        (planted(800, "chinese"), 0.7),
        pytest.param(planted(5000, "english"), 0.7, marks=pytest.mark.long),
        pytest.param(planted(5000, "chinese"), 0.8, marks=pytest.mark.long),
        (families(12, 40), 0.8),
        pytest.param(families(12, 100), 0.8, marks=pytest.mark.long),
        pytest.param(template(800, 120, 2, 3), 0.8, marks=pytest.mark.long),
        pytest.param(template(1500, 300, 5, 1), 0.8, marks=pytest.mark.long),
        pytest.param(template(2000, 300, 4, 5), 0.8, marks=pytest.mark.long),
    ],
    ids=[
        "english",
        "chinese",
        "5,000 english",
        "5,000 chinese",
        "12 families of 40",
        "12 families of 100",
        "1,600 of a template",
        "3,000 of a template",
        "4,000 of a template",
    ],
)
def test_what_goes_is_a_copy_and_of_copies_in_a_bucket_one_stays(
    pages: list[Page], threshold: float, tmp_path: Path
) -> None:
    made, gone = deduplicated(pages, tmp_path, 3, threshold=threshold)
    texts = dict(pages)
    for number, row in gone.items():
        truth = jaccard(shingles(texts[str(number)]), shingles(texts[str(row["survivor_offset"])]))
        assert row["similarity"] == truth >= threshold
        assert row["survivor_offset"] not in gone
    a, b = similar_pairs(pages, threshold)
    kept = np.array([number not in gone for number in range(len(pages))])
    both = int((kept[a] & kept[b]).sum())
    print(f"{both} of {a.size} pairs stay")
    assert both <= 0.01 * a.size
    assert made.manifest.counts["out"] == kept.sum()


@pytest.mark.parametrize("policy", ["content", "longest", "newest"])
def test_any_order_partitions_and_workers_leave_the_same(policy: str, tmp_path: Path) -> None:
    pages = [*families(4, 12), *((str(1000 + int(n)), text) for n, text in planted(120, "chinese"))]
    kept = []
    for number, (cuts, workers) in enumerate([(1, 1), (7, 1), (7, 2)]):
        ordered = random.Random(number).sample(pages, len(pages)) if number else pages
        made, gone = deduplicated(ordered, tmp_path / str(number), cuts, workers, policy=policy)
        rows = made.to_arrow(["id", "copies"]).to_pylist()
        survivors = {number: (row["survivor"], row["similarity"]) for number, row in gone.items()}
        kept.append((sorted((row["id"], row["copies"]) for row in rows), survivors))
    assert kept[0] == kept[1] == kept[2]
    assert 0 < len(kept[0][1]) < len(pages)


def test_copies_of_a_document_that_another_removes_go_with_it(tmp_path: Path) -> None:
    """The longest of three near copies stays; the middle one has two copies of its own, which stand for each other."""
    words = english(1, 300)
    long, middle = " ".join([*words, "and", "more"]), " ".join([*words, "end"])
    pages = [(str(number), text) for number, text in enumerate([middle, long, middle + " ", middle])]
    made, gone = deduplicated(pages, tmp_path, policy="longest")
    assert made.to_arrow(["id", "copies"]).to_pylist() == [{"id": "1", "copies": 4}]
    similarity = jaccard(shingles(long), shingles(middle))
    told = {number: (row["survivor"], row["similarity"]) for number, row in gone.items()}
    assert told == dict.fromkeys((0, 2, 3), ("1", similarity))


def test_a_page_that_is_contained(tmp_path: Path) -> None:
    words = english(1, 400)
    pages = [("0", " ".join(words[:300])), ("1", " ".join(words)), ("2", " ".join(english(2, 100)))]
    options = {"bands": 50, "rows": 3, "measure": "containment", "policy": "longest"}
    made, gone = deduplicated(pages, tmp_path, **options)
    assert made.to_arrow(["id"])["id"].to_pylist() == ["1", "2"] and set(gone) == {0}
    assert containment(shingles(pages[1][1]), shingles(pages[0][1])) == 1.0


def test_a_page_that_repeats_a_part_of_another_contains_that_part_alone(tmp_path: Path) -> None:
    """It is the longer one, with fewer shingles: what it does not have would be lost with the other."""
    words = english(1, 400)
    part = " ".join(words[:240])
    pages = [("0", " ".join([part] * 3)), ("1", " ".join(words))]
    options = {"bands": 50, "rows": 3, "measure": "containment", "policy": "longest"}
    made, gone = deduplicated(pages, tmp_path / "a", **options)
    assert made.to_arrow(["id"])["id"].to_pylist() == ["0", "1"] and not gone
    made, gone = deduplicated([*pages, ("2", part)], tmp_path / "b", **options)
    assert made.to_arrow(["id"])["id"].to_pylist() == ["0", "1"] and set(gone) == {2}


def test_hostile_texts(tmp_path: Path) -> None:
    texts = [
        "",
        " ",
        "!!!",
        "one",
        "One!",
        "a " * 500,
        "a " * 700,
        "\0",
        "\0" * 100,
        "nul\0byte",
        "nul\0byte",
        "x\u200b",
        "x",
    ]
    made, gone = deduplicated([(str(number), text) for number, text in enumerate(texts)], tmp_path, policy="first")
    assert sorted(gone) == [4, 6, 10, 12]
    assert made.manifest.counts["out"] == len(texts) - 4


def test_unverified_copies_of_a_removed_page_go_with_it(tmp_path: Path) -> None:
    """Families of three equal texts and one that is nearly so: no text stays twice."""
    words = [[f"w{family}x{number}" for number in range(120)] for family in range(12)]
    texts = [" ".join(each) for each in words for _ in range(3)] + [" ".join([*each[:-1], "z"]) for each in words]
    pages = [(str(number), text) for number, text in enumerate(texts)]
    kept, gone = deduplicated(pages, tmp_path, 2, verify=False)
    left = kept.to_arrow(["text"])["text"].to_pylist()
    assert len(left) == len(set(left)) == len(pages) - len(gone) < 2 * len(words)


@pytest.mark.parametrize("date", ["2024-01-{:02}", "2024-01-{:02} 00:00:00", "2024-01-{:02}T00:00:00.250+00:00",
                                  "18{:02}-01-01T00:00:00Z"])  # fmt: skip
@pytest.mark.parametrize("policy", ["newest", "oldest"])
def test_dates_of_any_form_choose_one_page_of_a_family(policy: str, date: str, tmp_path: Path) -> None:
    rows = []
    for family in range(8):
        for number in range(1, 11):
            words = [f"w{family}x{place}" for place in range(200)]
            words[number * 7] = f"z{number}"
            rows.append({"id": f"{family}-{number:02}", "text": " ".join(words), "date": date.format(number)})
    write_rows(tmp_path / "pages.jsonl", rows)
    refinery("run", "--recipe", "minhash", "--set", f"near-copies.minhash.policy={policy}",
             "--input", tmp_path / "pages.jsonl", "--out", tmp_path / "out")  # fmt: skip
    kept = sorted(Dataset(tmp_path / "out" / "final").to_arrow(["id"])["id"].to_pylist())
    assert kept == [f"{family}-{10 if policy == 'newest' else 1:02}" for family in range(8)]


def test_policies_that_would_keep_the_wrong_page_are_refused(tmp_path: Path) -> None:
    """The contained page of two, and any page where nothing tells which is the best."""
    with pytest.raises(UsageError, match='"containment" needs policy = "longest"'):
        deduplicated(planted(4, "english"), tmp_path / "a", measure="containment")
    with pytest.raises(UsageError, match="goes by the signal quality, which is not there before this stage"):
        deduplicated(planted(4, "english"), tmp_path / "b", policy="best")


def test_unverified_pairs_are_edges(tmp_path: Path) -> None:
    pages = planted(60, "english")
    _, gone = deduplicated(pages, tmp_path, 2, verify=False, link="component", policy="first")
    signed = MinHash().signed(pa.array([text for _, text in pages]))
    root = list(range(len(pages)))
    for band in signed.keys.T.tolist():
        first: dict[int, int] = {}
        for number, key in enumerate(band):
            one, other = root[first.setdefault(key, number)], root[number]
            root = [min(one, other) if each in (one, other) else each for each in root]
    assert {number: row["survivor_offset"] for number, row in gone.items()} == {
        number: each for number, each in enumerate(root) if each != number
    }
