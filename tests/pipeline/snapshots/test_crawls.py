"""Every crawl is listed, or the command fails with its name."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from infra.errors import UsageError, WorkError
from infra.storage import read_json, write_bytes
from pipeline.cli.app import main
from pipeline.snapshots.cache import CARD, PathFiles, snapshot_cache
from pipeline.snapshots.crawls import KINDS, Crawls, coverage
from pipeline.snapshots.probe import Probe, keep, kept, probes_folder
from pipeline.snapshots.source import MOST_REFUSED, open_source
from tests.commoncrawl.bucket import ARC_2012, ARC_FILES, ARC_LISTED, ARC_WITH_LIST, NEW, OLD, SNAPSHOTS
from tests.commoncrawl.server import Cut, Flipped, Refusal, StandIn
from tests.pipeline.command import answer, refinery

# warc, wet, wat, robots, arc
COUNTS = {NEW: (4, 4, 0, 4, 0), OLD: (1, 0, 0, 0, 0), ARC_2012: (0, 0, 0, 0, 1), ARC_LISTED: (0, 0, 0, 0, 2),
          ARC_WITH_LIST: (0, 0, 0, 0, 2)}  # fmt: skip


def crawls_at(place: object, tmp_path: Path, refresh: bool = False) -> Crawls:
    return Crawls(open_source(str(place)), PathFiles(tmp_path / "lists", refresh))


def counted(crawls: Crawls) -> dict[str, tuple[int, ...]]:
    found = coverage(crawls, crawls.ids())
    found.check()
    return {row["snapshot"]: tuple(row[kind] for kind in KINDS) for row in found.rows}


def test_every_crawl_is_listed_over_http_and_in_a_folder(stand_in: StandIn, bucket: Path, tmp_path: Path) -> None:
    assert counted(crawls_at(stand_in.url, tmp_path)) == COUNTS
    assert counted(crawls_at(bucket, tmp_path)) == COUNTS
    assert list(COUNTS) == list(SNAPSHOTS)


def test_an_object_store_is_a_source(root: Path, bucket: Path, tmp_path: Path) -> None:
    for name in ("collinfo.json", f"crawl-data/{NEW}/warc.paths.gz", *ARC_FILES[ARC_LISTED]):
        write_bytes(root / name, (bucket / name).read_bytes())
    crawls = crawls_at(root, tmp_path)
    assert crawls.ids() == list(SNAPSHOTS)
    assert crawls.names(ARC_LISTED) == ARC_FILES[ARC_LISTED]
    assert [row["warc"] for row in coverage(crawls, [NEW]).rows] == [4]


def test_the_arc_crawls_are_there_where_collinfo_does_not_name_them(bucket: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bucket, tmp_path / "copy")
    (copy / "collinfo.json").write_text(json.dumps([{"id": NEW}]))
    assert crawls_at(copy, tmp_path).ids() == [NEW, *sorted(ARC_FILES, reverse=True)]


def test_a_bucket_without_a_path_file_is_listed_page_by_page(stand_in: StandIn, tmp_path: Path) -> None:
    crawls = crawls_at(stand_in.url, tmp_path)
    assert crawls.names(ARC_LISTED) == ARC_FILES[ARC_LISTED]
    asked = len(stand_in.log)
    assert crawls.names(ARC_LISTED) == ARC_FILES[ARC_LISTED]
    assert len(stand_in.log) == asked  # kept


def test_what_fails_once_is_asked_again(stand_in: StandIn, tmp_path: Path) -> None:
    for pattern, act in (
        ("collinfo.json", Refusal(503)),
        ("*/warc.paths.gz", Cut(after=10)),
        ("[?]list", Refusal(500)),
    ):
        stand_in.fault(pattern, act, times=1)
    assert counted(crawls_at(stand_in.url, tmp_path)) == COUNTS
    assert len(stand_in.asked(status=503)) == len(stand_in.asked(status=500)) == 1


@pytest.mark.parametrize(
    ("pattern", "act", "names"),
    [
        (f"*{OLD}/warc.paths.gz", Refusal(404), [OLD]),
        (f"*{NEW}/robotstxt.paths.gz", Refusal(401), [NEW]),
        (f"*{NEW}/wet.paths.gz", Flipped(20), [NEW]),
        ("[?]list", Refusal(404), [ARC_LISTED]),
        ("*.paths.gz", Refusal(401), list(SNAPSHOTS)),
    ],
)
def test_what_cannot_be_listed_is_named(
    stand_in: StandIn, tmp_path: Path, pattern: str, act: Refusal | Flipped, names: list[str]
) -> None:
    stand_in.fault(pattern, act)
    with pytest.raises(WorkError, match=f"{len(names)} of 5 snapshots cannot be listed: {', '.join(names)}. The first"):
        counted(crawls_at(stand_in.url, tmp_path))


def test_refusals_one_after_another_end_the_listing(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fault("*.paths.gz", Refusal(403))
    with pytest.raises(WorkError, match="cannot be listed"):
        counted(crawls_at(stand_in.url, tmp_path))
    assert len(stand_in.asked("*.paths.gz")) == MOST_REFUSED


@pytest.mark.parametrize(
    ("pattern", "refused"), [("[?]list*", ARC_LISTED), (f"*{NEW}/wet.paths.gz", NEW), (f"*{OLD}/robotstxt*", OLD)]
)
def test_a_list_that_is_refused_concerns_its_snapshot_alone(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, refused: str
) -> None:
    stand_in.fault(pattern, Refusal(403))
    monkeypatch.setenv("REFINERY_SNAPSHOTS", str(tmp_path / "lists"))
    rows = answer("snapshots", "list", "--source", stand_in.url, code=1)
    assert [row["snapshot"] for row in rows] == [one for one in SNAPSHOTS if one != refused]
    with pytest.raises(WorkError, match=f"1 of 5 snapshots cannot be listed: {refused}. The first: .*refuses"):
        coverage(crawls_at(stand_in.url, tmp_path), list(SNAPSHOTS)).check()


def test_a_list_of_arc_files_that_somebody_else_made(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `aws s3 ls`, a browser and an editor leave it; its files are read from the source."""
    stand_in.fault("[?]list*", Refusal(403))
    monkeypatch.setenv("REFINERY_SNAPSHOTS", str(tmp_path / "lists"))
    one, other = ARC_FILES[ARC_LISTED]
    list_ = tmp_path / "list.txt"
    list_.write_text(
        f"\ufeff2012-07-05 03:14:15  100000 {one}\r\ns3://commoncrawl/{other}\n\nhttps://a.example/{one}\n"
    )
    command = ("snapshots", "keep", ARC_LISTED, "--names", list_, "--source", stand_in.url)
    assert answer(*command) == {"snapshot": ARC_LISTED, "files": 2}
    found = answer("snapshots", "files", ARC_LISTED, "--source", stand_in.url)
    assert [file["url"] for file in found] == [f"{stand_in.url}/{name}" for name in (one, other)]
    for line, why in (
        ("crawl-001/x.arc.gz", "names no ARC file"),
        (f"{one}.txt", "names no ARC file"),
        ("", "no name"),
    ):
        list_.write_text(line)
        assert why in refinery(*command, code=2)
    assert "path files of its own" in refinery(*command[:2], NEW, *command[3:], code=2)
    assert "cannot be read" in refinery("snapshots", "keep", ARC_LISTED, "--names", tmp_path / "none", code=2)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[1]", b'[{"id": "../x"}]', b"\xff"])
def test_a_list_of_crawls_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "collinfo.json").write_bytes(content)
    with pytest.raises(WorkError, match="not a list of snapshots"):
        crawls_at(tmp_path, tmp_path).ids()


@pytest.mark.parametrize(
    "line",
    [
        "/etc/passwd",
        "crawl-data/../../x",
        "..",
        "a b",
        "a\\b",
        "./x",
        "a\x00b",
        "a\x1b[1mb",
        "a" * 2000,
        "s3://commoncrawl/a.warc.gz",
        "https://a.example/a.warc.gz",
        "a\ufeffb",
    ],
)
def test_names_that_leave_the_bucket_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "crawl-data" / NEW / "warc.paths.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(f"crawl-data/ok.warc.gz\n{line}\n".encode()))
    with pytest.raises(WorkError, match="no file of the bucket"):
        crawls_at(tmp_path, tmp_path).names(NEW)


def test_lists_are_kept_until_refreshed_or_damaged(stand_in: StandIn, tmp_path: Path) -> None:
    name = f"crawl-data/{NEW}/warc.paths.gz"

    def asked_after(refresh: bool = False) -> int:
        before = len(stand_in.asked(name))
        assert len(crawls_at(stand_in.url, tmp_path, refresh).names(NEW)) == 4
        return len(stand_in.asked(name)) - before

    assert [asked_after(), asked_after(), asked_after(refresh=True), asked_after()] == [1, 0, 1, 0]
    (list_,) = (tmp_path / "lists").rglob("warc.paths.gz")
    card = read_json(list_.with_name(list_.name + CARD))
    assert card["source"] == stand_in.url
    list_.write_bytes(list_.read_bytes()[:-1])
    assert [asked_after(), asked_after()] == [1, 0]


def test_lists_and_probes_are_kept_in_a_store_too(
    stand_in: StandIn, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFINERY_SNAPSHOTS", f"{root}/lists")
    monkeypatch.setenv("REFINERY_PROBES", f"{root}/probes")
    counts = []
    for _ in range(2):
        before = len(stand_in.asked("*.paths.gz"))
        assert len(Crawls(open_source(stand_in.url), PathFiles(snapshot_cache())).names(NEW)) == 4
        counts.append(len(stand_in.asked("*.paths.gz")) - before)
    assert counts == [1, 0]
    probe = Probe("some", "0" * 64, "2026-11-29", "x86_64", 2, 1, 10, 0.9, ())
    assert kept(probes_folder(), "some", "0" * 64) is None
    assert keep(probe, probes_folder()).is_relative_to(root / "probes")
    assert kept(probes_folder(), "some", "0" * 64) == probe
    assert kept(probes_folder(), "some", "1" * 64) is None
    for name in ("REFINERY_SNAPSHOTS", "REFINERY_PROBES"):  # a cache that cannot be read costs time alone
        monkeypatch.setenv(name, "s3://no-such-bucket/x")
    assert len(Crawls(open_source(stand_in.url), PathFiles(snapshot_cache())).names(NEW)) == 4
    assert kept(probes_folder(), "some", "0" * 64) is None


def test_a_list_that_is_none_is_not_kept(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fault("*/warc.paths.gz", Flipped(0), times=1)
    with pytest.raises(WorkError, match=r"warc\.paths\.gz is no list of files in gzip"):
        crawls_at(stand_in.url, tmp_path).names(NEW)
    assert len(crawls_at(stand_in.url, tmp_path).names(NEW)) == 4


def test_a_list_that_inflates_to_more_than_any_list_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.snapshots.crawls.MOST_BYTES", 10**6)
    path = tmp_path / "crawl-data" / NEW / "warc.paths.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(bytes(10**7)))
    with pytest.raises(WorkError, match="more than 1,000,000 bytes"):
        crawls_at(tmp_path, tmp_path).names(NEW)


def test_no_such_snapshot_is_answered_with_those_near(stand_in: StandIn, tmp_path: Path) -> None:
    crawls = crawls_at(stand_in.url, tmp_path)
    with pytest.raises(UsageError, match=f"no snapshot 'CC-MAIN-2024-50'.*did you mean '{NEW}'"):
        crawls.names("CC-MAIN-2024-50")
    with pytest.raises(UsageError, match="is no snapshot"):
        crawls.names("../x")


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(WorkError, match=r"has no collinfo\.json"):
        crawls_at(tmp_path, tmp_path).ids()
    with pytest.raises(UsageError, match="no http or https address"):
        open_source("http://[x")


@pytest.mark.parametrize("command", ["list", "files"])
def test_an_unknown_snapshot_is_a_mistake_beside_others_too(
    command: str, bucket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (["CC-MAIN-1999-01"], [NEW, "CC-MAIN-1999-01"], ["all", "CC-MAIN-1999-01"], ["../x"]):
        said = refinery("snapshots", command, *given, "--source", bucket, code=2)
        assert f"{given[-1]!r}" in said and "cannot be listed" not in said
    if command == "list":  # the others are shown
        with pytest.raises(SystemExit) as stopped:
            main(["snapshots", "list", OLD, "none", "CC-MAIN-1999-01", "--source", str(bucket)])
        said = capsys.readouterr()
        assert stopped.value.code == 2 and said.out.split()[6:8] == [OLD, "1"] and len(said.err.splitlines()) == 1
        assert "'none'" in said.err and "'CC-MAIN-1999-01'" in said.err
    both = refinery("snapshots", command, "all", OLD, "--source", bucket)
    assert both == refinery("snapshots", command, "all", "--source", bucket)


@pytest.mark.parametrize("behind", ["?sig=SECRET", "/?sig=SECRET", "/#SECRET", "?"])
def test_a_source_is_an_address_without_a_query(behind: str, tmp_path: Path) -> None:
    source = ("--source", f"http://127.0.0.1:9{behind}")
    run = ("run", "--recipe", "exact", "--snapshot", NEW, "--out", tmp_path / "out")
    for words in (("snapshots", "list", NEW), ("snapshots", "files", NEW), run):
        said = refinery(*words, *source, code=2)
        assert "http://127.0.0.1:9" in said and "give the address without it" in said and "SECRET" not in said
    assert [*tmp_path.iterdir()] == []


def test_all_snapshots_are_listed_by_that_word_too(stand_in: StandIn) -> None:
    every = refinery("snapshots", "list", "--source", stand_in.url)
    assert refinery("snapshots", "list", "all", "--source", stand_in.url) == every
    assert refinery("snapshots", "list", OLD, OLD, "--source", stand_in.url).count(OLD) == 1


def test_a_lookup_is_given_up_sooner_than_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cli.snapshots.LOOKUP_PATIENCE", 0.05)
    assert refinery("snapshots", "list", "CC-MAIN-2024-51", "--source", "http://127.0.0.1:9", code=1) == ""
