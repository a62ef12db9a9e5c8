"""`takedown`: the new datasets have the other documents, and the listed ones in no shard, ledger or token index."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.manifest import Kind, check_invariant
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError, WorkError
from mixers.shards import TokenShardReader
from mixers.tokenizer import Tokenizer
from pipeline.fit.tokenizer import fit_tokenizer
from pipeline.revise import takedown as takedown_module
from pipeline.revise.listed import Listed, read_listed
from pipeline.revise.takedown import find_all, in_order, prove, unmatched_text
from pipeline.revise.takedown_proof import Removed, joined
from tests.files import write_rows
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.datasets import document, make_dataset, reject
from tests.pipeline.here import datasets, explained, readmit_here, run_here, takedown_here
from tests.pipeline.pages import sentences
from tests.pipeline.recipe_texts import mix, recipe, stage

MIX = recipe("mix", mix(tolerance=0.3), stage("tokens", "tokenize", tokenizer="tokenizer.model"))
# host3/3 stays of two copies, host5/5 is rejected as too short, host0 is a host of several pages.
LIST = """
# what is to go
HTTPS://HOST3.example/3/?utm_source=mail#top
http://host5.example/5
host:host0.example
http://nowhere.example/
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    folder = shutil.copytree(small_run, tmp_path_factory.mktemp("takedown") / "world")
    (folder / "list.txt").write_text(LIST)
    takedown_here(folder / "out", folder / "without", folder / "list.txt")
    return folder


def goes(url: str | None) -> bool:
    return url in ("http://host3.example/3", "http://host5.example/5") or (url or "").startswith(
        "http://host0.example/"
    )


def by_folder(run: Path) -> dict[str, Dataset]:
    return {dataset.folder.name: dataset for dataset in datasets(run)}


def receipt(run: Path) -> dict[str, Any]:
    output = json.loads((run / "takedown.json").read_text())
    assert isinstance(output, dict)
    return output


def test_listed_documents_are_gone_and_the_rest_is_unchanged(world: Path) -> None:
    new = by_folder(world / "without")
    for name, old in by_folder(world / "out").items():
        before, after = old.to_arrow().to_pylist(), new[name].to_arrow().to_pylist()
        assert after == [row for row in before if not goes(row["url"])], name
        assert len(after) < len(before)
        left = [row for row in new[name].ledger().to_pylist() if row["step"] != "takedown"]
        assert [row["id"] for row in left] == [r["id"] for r in old.ledger().to_pylist() if not goes(r["url"])]


def test_every_dataset_keeps_its_invariant_and_follows_from_its_input(world: Path) -> None:
    chain = datasets(world / "without")
    for dataset, after in pairwise(chain):
        assert after.manifest.inputs == dataset.refs
        assert after.manifest.counts["in"] == dataset.manifest.counts["out"]
    for dataset in chain:
        check_invariant(dataset.manifest)
        assert dataset.verify() == []
    refinery("verify", world / "without")
    assert chain[0].manifest.counts["bytes/file"] > 0


def test_each_is_one_row_without_a_locator(world: Path) -> None:
    new = by_folder(world / "without")
    rows = [row for row in new["01-ingest"].ledger().to_pylist() if row["step"] == "takedown"]
    records = Dataset(world / "out" / "01-ingest").to_arrow(["url"])["url"].to_pylist()
    assert len(rows) == sum(map(goes, records)) == receipt(world / "without")["documents"]
    for row in rows:
        assert (row["id"], row["url"], row["file_path"], row["warc_length"], row["survivor"]) == (None,) * 5
    assert new["01-ingest"].manifest.rejected_by["takedown/listed"] == len(rows)


def test_nothing_of_them_is_in_any_file(world: Path) -> None:
    before = [row for row in Dataset(world / "out" / "01-ingest").to_arrow().to_pylist() if goes(row["url"])]
    for path in (world / "without").rglob("*"):
        if path.suffix == ".json":
            content = path.read_text()
        elif path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist(), default=str)
        else:
            continue
        for row in before:
            assert f'"{row["url"]}"' not in content and row["id"] not in content, path


def test_the_receipt(world: Path) -> None:
    output = receipt(world / "without")
    assert output["list"]["entries"] == 4 and output["list"]["matched"] == 3
    assert output["list"]["unmatched"] == ["nowhere.example"]
    assert "nowhere.example" in unmatched_text(output) and "host3" not in unmatched_text(output)
    rows = {row["folder"]: row for row in output["datasets"]}
    assert list(rows) == list(by_folder(world / "out"))
    for name, dataset in by_folder(world / "without").items():
        row = rows[name]
        assert row["before"] - row["removed"] == row["after"] == dataset.manifest.counts["out"]
        assert row["manifest"]["after"] == dataset.refs[0].sha256
        for shard in dataset.manifest.shards:
            assert row["shards"][shard.path]["after"] == shard.sha256
    proof = {row["folder"]: row for row in output["proof"]["datasets"]}
    assert output["proof"]["listed"] == 0 and output["proof"]["runs_of_words"] > 100
    assert all(proof[name]["rows"] == d.manifest.counts["out"] for name, d in by_folder(world / "without").items())
    assert proof["02-extract"]["texts"] == proof["02-extract"]["rows"]


def test_copies_of_a_survivor_are_listed_and_can_be_readmitted(world: Path, tmp_path: Path) -> None:
    output = receipt(world / "without")
    copies = {copy["url"]: copy for copy in output["restorable"]["copies"]}
    assert copies["http://host4.example/4"]["rule"] == "text/copy_text"
    lines = Dataset(world / "without" / "04-same-text").ledger().to_pylist()
    assert {row["survivor"] for row in lines if row["url"] in copies} == {"takedown"}
    (tmp_path / "ids.txt").write_text("\n".join(copy["id"] for copy in copies.values()))
    numbers = readmit_here(world / "without", world / "small.toml", tmp_path / "back", ids=tmp_path / "ids.txt")
    assert numbers["in"] == len(copies)
    back = Dataset(tmp_path / "back" / "06-paragraphs").to_arrow(["url"])["url"].to_pylist()
    assert "http://host4.example/4" in back


def test_pages_with_the_same_words_are_listed(world: Path) -> None:
    same = receipt(world / "without")["proof"]["same_words"]
    rows = [row for row in same["documents"] if row["dataset"] == "02-extract"]
    assert rows[0]["share"] == 1.0
    assert "http://host4.example/4" in {row["url"] for row in rows}


def test_the_new_run_is_a_run(world: Path, tmp_path: Path) -> None:
    assert explained("http://host1.example/1", world / "without")["state"] == "kept"
    copy = explained("http://host4.example/4", world / "without")
    assert copy["duplicates"][0]["survivor"] == "takedown" and copy["duplicates"][0]["shingles"] is None
    with pytest.raises(UsageError, match="no document"):
        explained("http://host0.example/0", world / "without")
    refinery("report", "--run", world / "without", "--out", tmp_path / "report.html")
    numbers = readmit_here(world / "without", world / "small.toml", tmp_path / "again")
    assert numbers["skipped"] == receipt(world / "without")["documents"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_workers_and_a_second_call_make_the_same(workers: int, world: Path, tmp_path: Path) -> None:
    words = ("--url-list", world / "list.txt", "--run", world / "out", "--out", tmp_path / "out")
    output = answer("takedown", *words, "--workers", workers)
    assert output == receipt(tmp_path / "out") == receipt(world / "without")
    assert made(tmp_path / "out") == made(world / "without")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*")}
    takedown_here(world / "out", tmp_path / "out", world / "list.txt")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*")} == before


def test_taken_down_again(world: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("http://host1.example/1\n")
    takedown_here(world / "without", tmp_path / "out", tmp_path / "more.txt")
    first = Dataset(tmp_path / "out" / "01-ingest")
    assert first.manifest.rejected_by["takedown/listed"] == receipt(world / "without")["documents"] + 1
    assert len(first.manifest.params["takedown"]) == 2
    check_invariant(first.manifest)


def test_by_id(world: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("<urn:uuid:part-0.warc-1>\n")
    output = takedown_here(world / "out", tmp_path / "out", ids=tmp_path / "ids.txt")
    assert output["documents"] == 1
    left = Dataset(tmp_path / "out" / "01-ingest").to_arrow(["url"])["url"].to_pylist()
    assert "http://host1.example/1" not in left and len(left) == 79


def test_a_list_without_matches_changes_no_shard(world: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("http://nowhere.example/\n")
    words = ("--url-list", tmp_path / "list.txt", "--run", world / "out", "--out", tmp_path / "out")
    output = json.loads(refinery("takedown", *words, "--json", code=1))
    assert output == receipt(tmp_path / "out") and output["documents"] == 0
    assert output["list"]["unmatched"] == ["nowhere.example"]
    for row in output["datasets"]:
        for shard in row["shards"].values():
            assert shard["before"] == shard["after"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture and its tokens, made from two files, as a run."""
    folder = tmp_path_factory.mktemp("tokens")
    for source, count in (("web", 20), ("curated", 20)):
        rows = [
            {"text": "\n".join(sentences(i + (source == "web") * 100)), "id": f"{source}-{i}",
             "url": f"http://{source}{i % 4}.example/{i}", "source": source,
             "domain": ["mathematics", "literature"][i % 2]}
            for i in range(count)
        ]  # fmt: skip
        write_rows(folder / "given" / f"{source}.jsonl.gz", rows)
    (folder / "mix.toml").write_text(MIX)
    (folder / "models").mkdir()
    fit_tokenizer([folder / "given"], folder / "models" / "tokenizer.model", 400)
    run_here(folder / "mix.toml", folder / "given", folder / "out", folder / "models")
    (folder / "list.txt").write_text("domain:web2.example\nhttp://curated1.example/5\n")
    takedown_here(folder / "out", folder / "without", folder / "list.txt")
    return folder


def test_tokens_are_taken_out_of_their_shards(mixed: Path) -> None:
    tokens, mixture = Dataset(mixed / "without" / "02-tokens"), Dataset(mixed / "without" / "01-mixture")
    check_invariant(tokens.manifest)
    assert tokens.verify() == []
    texts = {row["id"]: row["text"] for row in mixture.to_arrow().to_pylist()}
    index = pq.read_table(tokens.folder / "documents.parquet").to_pylist()
    assert {row["id"] for row in index} == set(texts)
    assert not [row for row in index if row["url"].startswith("http://web2.") or row["id"] == "curated-5"]
    tokenizer = Tokenizer(tokens.folder / "tokenizer.model")
    readers = {shard.path: TokenShardReader(tokens.folder / shard.path) for shard in tokens.manifest.shards}
    for row in index:
        here = readers[row["shard"]].data[row["offset"] : row["offset"] + row["length"]]
        assert tokenizer.decode(here[:-1]) == texts[row["id"]]
    assert receipt(mixed / "without")["proof"]["datasets"][1]["texts"] == len(index)


def test_tokens_without_are_the_tokens_of_the_mixture_without(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(
        'name = "t"\n[[stage]]\ncommand = "tokenize"\ntokenizer = "tokenizer.model"\n'
    )
    run_here(tmp_path / "tokens.toml", mixed / "without" / "01-mixture", tmp_path / "out", mixed / "models")
    again, without = (
        sorted(folder.glob("part-*")) for folder in (tmp_path / "out" / "01-tokenize", mixed / "without" / "02-tokens")
    )
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in without]


def test_a_dataset_alone(mixed: Path, tmp_path: Path) -> None:
    for name in ("01-mixture", "02-tokens"):
        output = takedown_here(mixed / "out" / name, tmp_path / name, mixed / "list.txt")
        dataset = Dataset(tmp_path / name)
        check_invariant(dataset.manifest)
        assert dataset.manifest.rejected_by["takedown/listed"] == output["documents"] > 0
        assert (tmp_path / name / "takedown.json").is_file()
    assert dataset.kind is Kind.TOKENS


def test_a_failed_rewrite_is_found(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the rewrite missed a document, the search fails and there is no receipt."""
    real = takedown_module.task_for
    monkeypatch.setattr(takedown_module, "task_for", lambda dataset, listed, *more: real(dataset, Listed(), *more))
    with pytest.raises(WorkError, match="is not clean"):
        takedown_here(world / "out", tmp_path / "out", world / "list.txt")
    assert not (tmp_path / "out" / "takedown.json").exists()


def test_the_search_finds_listed_documents_in_old_datasets(world: Path, tmp_path: Path) -> None:
    """Each old dataset is found not to be clean, and each new one to be clean."""
    listed = read_listed(world / "list.txt", None)
    old, new = (in_order(world / name) for name in ("out", "without"))
    _, removed = find_all(old, listed)
    with open_engine("local") as engine:
        for name, dataset in old.items():
            with pytest.raises(WorkError, match=f"{name} is not clean .*rows found"):
                prove({name: dataset}, listed, removed, engine, tmp_path / "old" / name)
        assert prove(new, listed, removed, engine, tmp_path / "new")["listed"] == 0


@pytest.mark.parametrize(
    ("row", "ledger"),
    [
        (document(1, url="https://goes.example/"), []),
        (document(1, url=None, id="goes"), []),
        (document(7, url="https://elsewhere.example/"), []),  # its key is a removed document's
        (document(1), [reject(2, "size", "min_words", 1, 2) | {"url": "http://goes.example"}]),
        (document(1), [reject(2, "text", "copy_text", None, None) | {"survivor": "goes"}]),
        (document(1), [reject(2, "near", "copy_minhash", 0.9, 0.8) | {"survivor": "stays", "via": "goes"}]),
        (document(1), [reject(2, "near", "copy_minhash", 0.9, 0.8) | {"survivor": "stays", "via": "a.warc.gz:7"}]),
    ],
    ids=["address", "id", "place", "ledger", "survivor", "via", "via-place"],
)
def test_one_row_that_is_left_is_found(row: dict[str, Any], ledger: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("https://goes.example/\n")
    (tmp_path / "ids.txt").write_text("goes\n")
    listed = read_listed(tmp_path / "list.txt", tmp_path / "ids.txt")
    removed = Removed(frozenset(), frozenset({("a.warc.gz", 7, "<urn:uuid:7>")}), frozenset({"goes"}), joined([]))
    rest = [document(number) for number in (3, 4, 5)]
    with open_engine("local") as engine:
        clean = make_dataset(tmp_path / "clean", "filter", rest, [])
        assert prove({"clean": clean}, listed, removed, engine, tmp_path / "a")["datasets"][0]["rows"] == 3
        left = make_dataset(tmp_path / "left", "filter", [row, *rest], ledger)
        with pytest.raises(WorkError, match=r"left is not clean \(1 rows found\): do not use it"):
            prove({"left": left}, listed, removed, engine, tmp_path / "b")


def test_a_copy_stays_a_copy_where_what_it_was_similar_to_is_gone(tmp_path: Path) -> None:
    goes, stays = document(3, url="https://goes.example/"), document(4)
    names = {"survivor": stays["id"], "survivor_path": stays["file_path"], "survivor_offset": stays["warc_offset"]}
    ledger = [
        reject(number, "near", "copy_minhash", 0.9, 0.8) | names | {"similarity": 0.9, "via": via}
        for number, via in ((5, goes["id"]), (6, "<another>"), (7, None))
    ]
    make_dataset(tmp_path / "old", "near", [goes, stays], ledger)
    (tmp_path / "list.txt").write_text("https://goes.example/\n")
    takedown_here(tmp_path / "old", tmp_path / "new", tmp_path / "list.txt")
    rows = [row for row in Dataset(tmp_path / "new").ledger().to_pylist() if row["step"] == "near"]
    assert [row["via"] for row in rows] == ["takedown", "<another>", None]
    assert {row["survivor"] for row in rows} == {stays["id"]}


@pytest.mark.parametrize(
    ("url", "ident", "entry"),
    [
        ("https://a.example/x/", None, "a.example/x"),
        ("http://www.b.example/any", None, "host:b.example"),
        ("http://sub.b.example/any", None, None),
        ("http://deep.sub.c.example:8080/", None, "domain:c.example"),
        ("http://notc.example/", None, None),
        (None, "n1", "id:n1"),
        ("", "n2", None),
        ("http://[broken", "n2", None),
        (None, None, None),
    ],
)
def test_which_entry_matches_a_document(url: str | None, ident: str | None, entry: str | None, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeffhttp://A.example/x\r\nhost:www.B.example\r\ndomain:c.example\n".encode())
    (tmp_path / "ids.txt").write_text("n1\n")
    assert read_listed(tmp_path / "list.txt", tmp_path / "ids.txt").entry(url, ident) == entry


def test_a_document_may_match_several_entries(tmp_path: Path) -> None:
    """Each of them counts as matched; otherwise a host with one page would be reported as unmatched."""
    (tmp_path / "list.txt").write_text("http://a.example:8080/x\na.example:8080/y\nhost:a.example\ndomain:example\n")
    listed = read_listed(tmp_path / "list.txt", None)
    assert set(listed.matching("http://a.example:8080/x", "n")) == {
        "a.example:8080/x", "host:a.example", "domain:example"
    }  # fmt: skip
    assert listed.entries() - set(listed.matching("http://a.example:8080/x", "n")) == {"a.example:8080/y"}


@given(st.text(), st.text().filter(lambda ident: ident != "d"))
def test_any_url_can_be_listed(url: str, ident: str) -> None:
    """Unlisted URLs do not match, and listed ones match with any other entries."""
    listed = Listed(frozenset({"a.example/x"}), frozenset({"b.example"}), frozenset({"c.example"}), frozenset({"d"}))
    assert listed.entry(url, ident) is None or ".example" in url.lower()
    assert listed.entry(url, "d") == "id:d"
    path = quote(url, safe="", errors="surrogatepass")
    assert listed.entry(f"http://b.example/{path}", ident) == "host:b.example"
    assert listed.entry(f"http://sub.c.example/{path}", ident) == "domain:c.example"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no entry"),
        (b"# nothing\n\n", "has no entry"),
        (b"http://a/\nhost:\n", "line 2: host: takes a name"),
        (b"host:http://a.example/b\n", "line 1: host: takes a name"),
        (b"domain:a.example/b", "domain: takes a name"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"http://a/\nhots:example.org\n", "line 2: 'hots:' is not a known prefix"),
        (b"Host:example.org\n", "line 1: 'Host:' is not a known prefix"),
        (b"urn:uuid:1\n", "line 1: 'urn:' is not a known prefix"),
        (b"http://\n", "line 1: 'http://' is not a URL"),
    ],
)
def test_invalid_lists(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_listed(tmp_path / "list.txt", None)


def test_another_document_with_the_same_file_name_and_offset_is_kept(world: Path, tmp_path: Path) -> None:
    for folder, url in (("a", "http://goes.example/"), ("b", "http://stays.example/")):
        rows = [{"text": "\n".join(sentences(len(url))), "url": url, "id": url}]
        write_rows(tmp_path / folder / "x.jsonl", rows)
        run_here(Path("exact"), tmp_path / folder / "x.jsonl", tmp_path / "runs" / folder)
    (tmp_path / "list.txt").write_text("http://goes.example/\n")
    output = takedown_here(tmp_path / "runs", tmp_path / "out", tmp_path / "list.txt")
    assert output["documents"] == 1
    assert datasets(tmp_path / "out" / "b")[-1].to_arrow(["url"])["url"].to_pylist() == ["http://stays.example/"]
