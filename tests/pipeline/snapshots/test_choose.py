"""Samples are the same everywhere, and a larger one contains the smaller."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.snapshots.cache import PathFiles
from pipeline.snapshots.choice import Choice, read_share
from pipeline.snapshots.choose import ALL, chosen_files, sample
from pipeline.snapshots.crawls import Crawls
from pipeline.snapshots.source import open_source
from tests.commoncrawl.bucket import ARC_2012, ARC_FILES, ARC_LISTED, NEW, OLD, SEGMENTS
from tests.commoncrawl.server import StandIn
from tests.pipeline.command import answer, refinery

NAMES = [f"crawl-data/X/segments/1/warc/{number:05d}.warc.gz" for number in range(1000)]


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.randoms())
def test_samples_nest_whatever_the_order_of_names(one: int, other: int, chance: object) -> None:
    shuffled = list(NAMES[:60])
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    small, large = sample(NAMES[:60], min(one, other), None), sample(shuffled, max(one, other), None)
    assert set(small) <= set(large)
    assert (len(small), len(large)) == (min(one, other), max(one, other))


def test_a_share_is_rounded_up_and_the_names_are_fixed() -> None:
    assert len(sample(NAMES, None, 0.001)) == 1
    assert len(sample(NAMES, None, 0.0101)) == 11
    assert sample(NAMES, None, 1.0) == NAMES
    assert [name[-13:-8] for name in sample(NAMES, 4, None)] == ["00190", "00195", "00281", "00698"]


@pytest.mark.parametrize(
    ("text", "share"), [("0.1%", 0.001), ("0.001", 0.001), ("100 %", 1.0), (".5", 0.5), (None, None)]
)
def test_shares(text: str | None, share: float | None) -> None:
    assert read_share(text) == (share if share is None else pytest.approx(share))


@pytest.mark.parametrize("text", ["", "0", "101%", "-1%", "1.5", "nan", "some"])
def test_no_shares(text: str) -> None:
    with pytest.raises(UsageError, match="is no share"):
        read_share(text)


def test_files_of_snapshots(bucket: Path, tmp_path: Path) -> None:
    crawls = Crawls(open_source(str(bucket)), PathFiles(tmp_path))

    def names(*snapshots: str, **asked: object) -> list[str]:
        return [file.name for file in chosen_files(crawls, Choice(snapshots, **asked))]  # type: ignore[arg-type]

    assert len(names(ALL)) == 10
    assert len(names(ALL, kind="wet")) == len(names(NEW, kind="robots")) == 4
    assert len(names(NEW, OLD, files=1)) == 2
    assert names(ARC_2012) == names(ARC_2012, kind="arc") == list(ARC_FILES[ARC_2012])
    assert all(f"/{SEGMENTS[0]}/" in name for name in names(NEW, segments=(SEGMENTS[0],)))
    assert len(names(NEW, segments=SEGMENTS)) == 4
    assert len(names(ARC_LISTED, segments=("2009/09/17",))) == 1
    for asked, words in (
        ({"kind": "wat"}, "has no wat files"),
        ({"kind": "text"}, "no kind 'text'"),
        ({"segments": ("1",)}, "in segment 1"),
        ({"files": 1, "share": 0.1}, "give one of them"),
    ):
        with pytest.raises(UsageError, match=words):
            names(NEW, **asked)
    with pytest.raises(UsageError, match="ARC files alone"):
        names(ARC_2012, kind="wet")


def test_the_commands(stand_in: StandIn, bucket: Path) -> None:
    rows = answer("snapshots", "list", "--source", stand_in.url)
    assert [row["warc"] + row["arc"] for row in rows] == [4, 1, 1, 2, 2]
    text = refinery("snapshots", "list", NEW, ARC_2012, "--source", bucket)
    assert text.split() == ["snapshot", "warc", "wet", "wat", "robots", "arc", NEW, *"44-4-", ARC_2012, *"----1"]
    (file,) = answer("snapshots", "files", NEW, "--files", 1, "--source", stand_in.url)
    assert file["url"] == f"{stand_in.url}/{file['name']}"
    assert refinery("snapshots", "files", NEW, "--files", 1, "--source", stand_in.url).strip() == file["url"]
    assert (bucket / file["name"]).is_file()
    assert "did you mean" in refinery("snapshots", "files", "CC-MAIN-2024-5", "--source", bucket, code=2)
