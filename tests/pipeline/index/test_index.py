"""An index of snapshots: what it removes is verified, its groups do not depend on the order, its bytes on nothing."""

import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pytest

from dedup.index.decide import Keeping
from dedup.shingles import shingles
from dedup.verify import jaccard
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.index.add import Added, add
from pipeline.index.check import faults_of
from pipeline.index.groups import make_groups
from pipeline.index.manifest import Index, read_index
from pipeline.index.merge import FANOUT, merge_all
from pipeline.index.remove import remove_snapshot, take_down
from pipeline.index.report import report_of, report_text
from tests.conftest import MadeOnce
from tests.dedup.support import english
from tests.pipeline.datasets import make_dataset
from tests.pipeline.index.snapshots import page, snapshot, texts_of

COUNT = 5


@pytest.fixture(scope="module")
def world(made_once: MadeOnce) -> Path:
    """Five snapshots, all of them as one, and an index of them in order, with what each add kept."""

    def make(folder: Path) -> None:
        for number in range(COUNT):
            snapshot(folder, number)
            add_to(folder / "index", folder, number, out=folder / f"out-{number}")
        make_groups(read_index(folder / "index"), folder / "groups", LocalEngine())

    return made_once("dedup-index", make)


def add_to(index: Path, world: Path, number: int, **more: object) -> Added:
    dataset = Dataset(world / f"snapshot-{number}")
    return add(index, dataset, LocalEngine(), None, more.pop("choice", Keeping()), more.pop("out", None))  # type: ignore[arg-type]


def rows_of(dataset: Dataset) -> list[dict[str, object]]:
    return dataset.to_arrow().to_pylist()


def shard_bytes(dataset: Dataset) -> list[str]:
    return [shard.sha256 for shard in dataset.manifest.shards]


def test_each_removal_is_of_a_true_duplicate(world: Path) -> None:
    """By its own text and that of the survivor, which is kept in the snapshot that the ledger names."""
    texts = {f"<urn:{s}-{n}>": text for s in range(COUNT) for n, text in enumerate(texts_of(s))}
    kept: set[str] = set()
    rules = set()
    for number in range(COUNT):
        out = Dataset(world / f"out-{number}")
        kept |= {row["id"] for row in rows_of(out)}
        for row in out.ledger().to_pylist():
            rules.add(row["rule"])
            similarity = jaccard(shingles(texts[row["id"]]), shingles(texts[row["survivor"]]))
            assert similarity == row["similarity"] == row["value"] >= row["threshold"] == 0.8, row
            assert row["survivor"] in kept and row["survivor_snapshot"] == f"CC-{row['survivor'][5]}", row
            assert row["rule"].startswith("within_" if row["survivor"][5] == str(number) else "older_"), row
    assert rules >= {"older_text", "older_shingles", "older_jaccard", "within_text"}


def test_nothing_that_is_kept_is_a_duplicate_of_another(world: Path) -> None:
    sets = [shingles(row["text"]) for n in range(COUNT) for row in rows_of(Dataset(world / f"out-{n}"))]  # type: ignore[arg-type]
    assert max(jaccard(a, b) for a, b in combinations(sets, 2)) < 0.8


def test_groups_are_those_of_all_pairs(world: Path) -> None:
    """Brute force: connected components of all pairs of documents at the threshold."""
    ids = [(f"<urn:{s}-{n}>", shingles(text)) for s in range(COUNT) for n, text in enumerate(texts_of(s))]
    group = {ident: {ident} for ident, _ in ids}
    for (a, of_a), (b, of_b) in combinations(ids, 2):
        if group[a] is not group[b] and jaccard(of_a, of_b) >= 0.8:
            group[a] |= group[b]
            for member in group[b]:
                group[member] = group[a]
    found: dict[object, set[object]] = {}
    for row in rows_of(Dataset(world / "groups")):
        found.setdefault(row["group"], set()).add(row["id"])
    true = {frozenset(each) for each in group.values() if len(each) > 1}
    assert {frozenset(each) for each in found.values()} == true
    assert len(true) > 10


@pytest.mark.parametrize("order", [(4, 2, 0, 1, 3), (1, 0, 3, 4, 2)], ids=str)
def test_groups_do_not_depend_on_the_order(world: Path, tmp_path: Path, order: Sequence[int]) -> None:
    for number in order:
        index = add_to(tmp_path / "index", world, number).index
    assert shard_bytes(make_groups(index, tmp_path / "groups", LocalEngine())) == shard_bytes(Dataset(world / "groups"))


def test_groups_of_all_snapshots_at_once(world: Path, tmp_path: Path) -> None:
    """As one dataset, they are the same documents in the same groups."""
    texts = [(s, n, text) for s in range(COUNT) for n, text in enumerate(texts_of(s))]
    rows = [page(s, n, text) for s, n, text in texts]
    dataset = make_dataset(tmp_path / "all", "filter", rows, [])
    index = add(tmp_path / "index", dataset, LocalEngine(), "all").index
    made = make_groups(index, tmp_path / "groups", LocalEngine()).to_arrow().drop_columns(["snapshot"])
    assert made.equals(Dataset(world / "groups").to_arrow().drop_columns(["snapshot"]))


@pytest.mark.parametrize("workers", [3])
def test_the_same_bytes_with_more_workers(world: Path, tmp_path: Path, workers: int) -> None:
    with LocalEngine(workers) as engine:
        for number in range(2):
            dataset = Dataset(world / f"snapshot-{number}")
            made = add(tmp_path / "index", dataset, engine, None, None, tmp_path / f"out-{number}")
    assert made.out is not None and made.out.refs == Dataset(world / "out-1").refs


def test_runs_are_merged_level_by_level(world: Path) -> None:
    index = read_index(world / "index")
    for kind in ("contents", "bands", "documents"):
        runs = [run for run in index.runs if run.kind == kind]
        assert sorted(run.level for run in runs) == [0] * (COUNT - FANOUT) + [1]
    assert faults_of(index) == {}
    assert sorted(path.name for path in (world / "index/runs").iterdir()) == sorted(run.name for run in index.runs)
    assert not (world / "index/work").exists()


def copied(world: Path, folder: Path) -> Path:
    return Path(shutil.copytree(world / "index", folder / "index"))


def test_a_removed_snapshot_counts_no_more(world: Path, tmp_path: Path) -> None:
    """What is left has the groups of an index that never had it, before and after its rows are erased."""
    remove_snapshot(folder := copied(world, tmp_path), "CC-2")
    for number in (0, 1, 3, 4):
        add_to(tmp_path / "without", world, number)
    true = shard_bytes(make_groups(read_index(tmp_path / "without"), tmp_path / "true", LocalEngine()))
    assert shard_bytes(make_groups(read_index(folder), tmp_path / "before", LocalEngine())) == true
    before = sum(run.rows for run in read_index(folder).runs)
    index = merge_all(read_index(folder), LocalEngine())
    assert shard_bytes(make_groups(index, tmp_path / "after", LocalEngine())) == true
    assert sum(run.rows for run in index.runs) < before and len(index.runs) == 3
    again = add_to(folder, world, 2)
    assert again.new and [each.name for each in again.index.snapshots][-1] == "CC-2"
    with pytest.raises(UsageError, match="has no snapshot 'CC-9'; there are: CC-0, CC-1, CC-3, CC-4, CC-2"):
        remove_snapshot(folder, "CC-9")


def test_documents_that_were_taken_down_remove_no_others(tmp_path: Path) -> None:
    """By id and by URL; what only they had is new again, and their rows are erased by a merge."""
    texts = texts_of(0)[:6]
    add(tmp_path / "index", snapshot(tmp_path, 0, texts, ()), LocalEngine())
    urls, ids = {"h1.example/0/1"}, {"<urn:0-0>"}
    assert take_down(tmp_path / "index", urls, ids) == 2
    assert take_down(tmp_path / "index", urls, ids) == 0
    (told,) = report_of(read_index(tmp_path / "index"))["snapshots"]
    tokens = sum(len(text.split()) for text in texts[2:])
    assert (told["documents"], told["taken_down"], told["kept"], told["all_kept"]) == (6, 2, 4, 4)
    assert told["kept_tokens"] == told["all_tokens"] == tokens and told["yield"] == 0.6667
    second = add(tmp_path / "index", snapshot(tmp_path, 1, texts, ()), LocalEngine(), out=tmp_path / "out")
    assert second.out is not None
    assert {row["id"] for row in rows_of(second.out)} == {"<urn:1-0>", "<urn:1-1>"}
    rows = sum(run.rows for run in second.index.runs)
    merged = merge_all(second.index, LocalEngine())
    assert merged.gone is None and not list((tmp_path / "index/gone").iterdir())
    # of each document one row of contents, one of documents, fourteen of bands
    assert sum(run.rows for run in merged.runs) == rows - 2 * 16
    assert "taken_down" in report_text(report_of(merged))
    assert merge_all(merged, LocalEngine()).runs == merged.runs  # there is nothing left to erase


@pytest.mark.parametrize(("policy", "kept"), [("within", 6), ("older", 4), ("copies", 2)])
def test_policies(tmp_path: Path, policy: str, kept: int) -> None:
    """The second snapshot has two pages of the first, one of them changed a little, and four of its own."""
    texts = [" ".join(english(100 + n, 100)) for n in range(10)]
    first, second = texts[:6], [texts[0], texts[1] + " more", *texts[6:]]
    choice = Keeping(policy, 2)  # type: ignore[arg-type]
    one = add(tmp_path / "index", snapshot(tmp_path, 0, first, ()), LocalEngine(), choice=choice, out=tmp_path / "a")
    two = add(tmp_path / "index", snapshot(tmp_path, 1, second, ()), LocalEngine(), choice=choice, out=tmp_path / "b")
    assert two.snapshot.counts["kept"] == kept
    if policy == "copies":
        assert one.snapshot.counts["kept"] == 0
        assert two.out is not None and {row["id"] for row in rows_of(two.out)} == {"<urn:1-0>", "<urn:1-1>"}
        ledger = two.out.ledger()
        assert set(ledger["rule"].to_pylist()) == {"few_copies"}
        assert set(ledger["value"].to_pylist()) == {1.0} and set(ledger["threshold"].to_pylist()) == {2.0}
        third = add(tmp_path / "index", snapshot(tmp_path, 2, second, ()), LocalEngine(), choice=choice)
        assert third.snapshot.counts["kept"] == 4 and third.snapshot.counts["older_text"] == 2


def test_yield_is_reported(world: Path) -> None:
    report = report_of(read_index(world / "index"))
    for number, row in enumerate(report["snapshots"]):
        out = Dataset(world / f"out-{number}")
        assert row["kept"] == out.manifest.counts["out"]
        assert row["documents"] == row["kept"] + row["within"] + row["older"] == 36
        assert row["kept_tokens"] == pa.compute.sum(out.to_arrow(["token_count"])["token_count"]).as_py()
    assert report["snapshots"][-1]["all_kept"] == sum(row["kept"] for row in report["snapshots"])
    assert "CC-4" in report_text(report) and "few_copies" not in report_text(report)


def damaged(index: Index) -> Path:
    return next((index.folder / "runs" / index.runs[0].name).glob("part-*"))


def test_a_reader_is_told_that_another_command_has_changed_the_index(world: Path, tmp_path: Path) -> None:
    """Runs that were merged meanwhile are not damaged; those of an index that is as it was are."""
    before = read_index(Path(shutil.copytree(world / "index", tmp_path / "index")))
    merge_all(before, LocalEngine())
    for read in (report_of, lambda index: make_groups(index, tmp_path / "groups", LocalEngine())):
        with pytest.raises(UsageError, match=r"another command has changed .*/index meanwhile: run this one again"):
            read(before)
    now = read_index(before.folder)
    shutil.rmtree(now.run_folder(now.runs[0].name))
    with pytest.raises(UsageError, match="is damaged or missing: restore it from a copy"):
        report_of(now)


def test_damage_is_named(world: Path, tmp_path: Path) -> None:
    index = read_index(copied(world, tmp_path))
    path = damaged(index)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    fault = f"{path.name}: its sha256 is not the manifest's"
    assert faults_of(index) == {index.runs[0].name: [fault, "restore it from a copy"]}
    shutil.rmtree(index.folder / "runs" / index.runs[1].name)
    assert faults_of(index)[index.runs[1].name] == ["missing", "restore it from a copy"]
    with pytest.raises(UsageError, match=f"the run {index.runs[1].name} is damaged or missing"):
        make_groups(index, tmp_path / "groups", LocalEngine())


def test_what_cannot_be_added(world: Path, tmp_path: Path) -> None:
    folder, engine = copied(world, tmp_path), LocalEngine()
    before = (folder / "index.json").read_bytes()
    again = add_to(folder, world, 3)
    assert not again.new and again.snapshot.number == read_index(folder).snapshots[3].number
    assert add_to(folder, world, 3, out=world / "out-3").out is not None
    with pytest.raises(UsageError, match=r"CC-3 is in .* already, and .*out-2 was made of other documents: name the"):
        add_to(folder, world, 3, out=world / "out-2")
    other = Dataset(world / "snapshot-0")
    with pytest.raises(UsageError, match="has another dataset as CC-3: give --snapshot another name"):
        add(folder, other, engine, "CC-3")
    with pytest.raises(UsageError, match="was made with --bands 14, not 20: leave --bands out"):
        add(folder, other, engine, "new", given={"bands": 20})
    with pytest.raises(UsageError, match="the threshold is 1"):
        add(tmp_path / "fresh", other, engine, given={"threshold": 1.5})
    for parameters, message in [
        ({"band": 20}, "no parameter 'band'; did you mean 'bands'"),
        ({"threshold": "high"}, "threshold of an index is 'high'; give a number"),
        ({"bands": 14.0}, "bands of an index is 14.0; give a whole number"),
        ({"leaders": 0}, "leaders of an index is 0"),
    ]:
        for place in (folder, tmp_path / "fresh") if "leaders" not in parameters else [tmp_path / "fresh"]:
            with pytest.raises(UsageError, match=message):
                add(place, other, engine, "new", given=parameters)
    with pytest.raises(UsageError, match="is no index"):
        read_index(tmp_path / "nothing")
    with pytest.raises(UsageError, match="has files and is no index"):
        add(world / "snapshot-1", other, engine, "new")
    without = [{**page(0, 0, "some words of a page that has no id"), "id": None}]
    with pytest.raises(UsageError, match="at 0 has no id"):
        add(folder, make_dataset(tmp_path / "no-ids", "filter", without, []), engine, "new")
    assert (folder / "index.json").read_bytes() == before


def test_texts_without_letters_and_a_million_shingles(tmp_path: Path) -> None:
    """Empty texts are one content, and a page of one word is no near-duplicate of another."""
    texts = [
        "",
        "",
        "…",
        "!!!",
        "word",
        "Word",
        "word word",
        "\0\0",
        "text with a NUL \0 in it",
        " ".join(map(str, range(30_000))),
    ]
    made = add(tmp_path / "index", snapshot(tmp_path, 0, texts, ()), LocalEngine(), out=tmp_path / "out")
    assert made.out is not None
    lost = {(row["id"], row["survivor"], row["rule"]) for row in made.out.ledger().to_pylist()}
    assert {pair[2] for pair in lost} == {"within_text", "within_shingles"} and len(lost) == 2
