"""What input files are called, and the snapshot that a name tells."""

import pytest

from infra.errors import UsageError
from pipeline.inputs.names import bucket_name, file_names, snapshot_of
from pipeline.inputs.places import known_place, places_of

WARC = "crawl-data/CC-MAIN-2024-51/segments/1733066035857.0/warc/CC-MAIN-20241201162023-20241201192023-00000.warc.gz"
BUCKET = {
    f"/mnt/cc/{WARC}": WARC,
    f"https://data.commoncrawl.org/{WARC}": WARC,
    f"s3://commoncrawl/{WARC}?versionId=1": WARC,
    "/x/crawl-002/2009/09/17/26/1253232078673_26.arc.gz": "crawl-002/2009/09/17/26/1253232078673_26.arc.gz",
    "/x/common-crawl/parse-output/segment/1341690169105/1341826131693_45.arc.gz":
        "parse-output/segment/1341690169105/1341826131693_45.arc.gz",
    "/x/my-crawl-data/CC-MAIN-2024-51/a.warc.gz": None,
    "/x/CC-MAIN-2024-51/a.warc.gz": None,
}  # fmt: skip


@pytest.mark.parametrize("place", BUCKET)
def test_a_file_of_common_crawl_is_named_from_the_root_of_its_bucket(place: str) -> None:
    assert bucket_name(place) == BUCKET[place]


@pytest.mark.parametrize(("name", "snapshot"), [
    (WARC, "CC-MAIN-2024-51"),
    ("crawl-data/CC-MAIN-2012/a.arc.gz", "CC-MAIN-2012"),
    ("crawl-data/CC-MAIN-2008-2009/a.arc.gz", "CC-MAIN-2008-2009"),
    ("crawl-001/2008/06/11/0/1213886083018_0.arc.gz", "CC-MAIN-2008-2009"),
    ("crawl-002/2009/09/17/26/1253232078673_26.arc.gz", "CC-MAIN-2009-2010"),
    ("parse-output/segment/1341690169105/1341826131693_45.arc.gz", "CC-MAIN-2012"),
    ("CC-MAIN-20241201162023-20241201192023-00000.warc.gz", ""),
    ("a.warc.gz", ""),
])  # fmt: skip
def test_the_snapshot_of_a_name(name: str, snapshot: str) -> None:
    assert snapshot_of(name) == snapshot


def test_other_files_are_named_below_their_deepest_common_folder_and_change_no_other_name() -> None:
    alone = file_names([f"/mnt/cc/{WARC}"])
    beside = file_names([f"/mnt/cc/{WARC}", "/data/b/x.warc.gz", "/data/a/x.warc.gz", "https://a.example/y/z.warc.gz"])
    assert beside == {
        **alone, "/data/b/x.warc.gz": "b/x.warc.gz", "/data/a/x.warc.gz": "a/x.warc.gz",
        "https://a.example/y/z.warc.gz": "z.warc.gz",
    }  # fmt: skip


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"/a/crawl-data/.* and /b/crawl-data/.* would both be called 'crawl-data/"):
        file_names([f"/a/{WARC}", f"/b/{WARC}"])


def test_places_of_a_snapshot_are_one_root() -> None:
    names = [WARC.replace("-00000", f"-{number:05d}") for number in range(1000)]
    here = places_of((name, f"/mnt/cc/{name}") for name in names)
    there = places_of((name, f"https://data.commoncrawl.org/{name}") for name in names)
    assert here == {"/mnt/cc/": "crawl-data/"} and there == {"https://data.commoncrawl.org/": "crawl-data/"}
    assert known_place(names[7], here) == f"/mnt/cc/{names[7]}"
    assert known_place(names[7], here | there) == f"https://data.commoncrawl.org/{names[7]}"  # not on this disk
    assert known_place("a.warc.gz", here | there) is None
    assert places_of([("a.warc.gz", "/x/a.warc.gz")]) == {"a.warc.gz": "/x/a.warc.gz"}
