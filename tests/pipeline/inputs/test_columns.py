"""Columns of a user's documents that are not ours go through every stage as they are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.inputs.arrow_types import wider, without_nulls
from pipeline.inputs.columns import Columns, JsonType, merged
from pipeline.inputs.documents import column_notes, open_documents
from pipeline.inputs.inputs import read_inputs
from tests.files import write_rows
from tests.pipeline.command import refinery
from tests.pipeline.pages import sentences

N = 40
TEXTS = ["\n".join(sentences(i)) for i in range(N)]
# every kind of stage that documents pass
RECIPE = """
name = "all"
about = "test"
stage = [
  { name = "size", command = "filter", step = [{ kind = "judge", name = "size", rules = ["words >= 3"] }] },
  { name = "rare", command = "filter", step = [{ kind = "pool", name = "rare", method = "quantile", options = RARE }] },
  { name = "same", command = "dedup", step = [{ kind = "dedup", name = "same", method = "text" }] },
  { name = "near", command = "dedup", step = [{ kind = "dedup", name = "near", method = "minhash" }] },
  { name = "lines", command = "dedup", step = [{ kind = "dedup", name = "lines", method = "paragraphs" }] },
  { name = "spans", command = "dedup", step = [{ kind = "dedup", name = "spans", method = "substring" }] },
  { name = "draw", command = "mix" },
]
""".replace("RARE", '{ signal = "words", side = "high", keep = 0.9, min_count = 1 }')


def own_columns() -> pa.Table:
    """One column of each kind; two have names of ours, which are made anew and so kept under another name."""
    return pa.table(
        {
            "content": TEXTS,
            "key": [f"key-{i}" for i in range(N)],
            "link": [f"https://host{i}.example/" for i in range(N)],
            "score": pa.array([i / 3 for i in range(N)], pa.float32()),
            "when": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * N, pa.timestamp("ns", "UTC")),
            "tags": pa.array([["a", None][: i % 3] for i in range(N)], pa.list_(pa.string())),
            "meta": pa.array([{"x": i, "y": None} for i in range(N)], pa.struct([("x", pa.int16()), ("y", pa.int8())])),
            "kind": pa.array([f"k{i % 2}" for i in range(N)]).dictionary_encode(),
            "bytes": pa.array([bytes([i, 255]) for i in range(N)]),
            "file_path": ["s3://elsewhere"] * N,
            "text": ["<p>"] * N,
        }
    )


def run(given: list[Path], out: Path, *more: Any, code: int = 0) -> Any:
    (out.parent / "all.toml").write_text(RECIPE)
    return refinery("run", "--recipe", out.parent / "all.toml", "--input", *given, "--out", out, *more, code=code)


NAMES = ("--text-column", "content", "--id-column", "key", "--url-column", "link")


def test_columns_go_through_every_stage(tmp_path: Path) -> None:
    table = own_columns()
    pq.write_table(table, tmp_path / "given.parquet", row_group_size=7)
    run([tmp_path / "given.parquet"], tmp_path / "out", *NAMES)
    for folder in sorted((tmp_path / "out").glob("0*")):
        made = Dataset(folder).to_arrow()
        assert made.num_rows >= N - 8, folder
        numbers = [int(key.removeprefix("key-")) for key in made["id"].to_pylist()]
        assert made["url"].to_pylist() == [f"https://host{i}.example/" for i in numbers]
        given = table.take(numbers)
        for name in ("score", "when", "tags", "meta", "bytes"):
            assert made[name].equals(given[name]), name
        assert made["kind"].to_pylist() == given["kind"].to_pylist()
        assert set(made["input_file_path"].to_pylist()) == {"s3://elsewhere"}
        assert set(made["input_text"].to_pylist()) == {"<p>"}
        assert "content" not in made.column_names
    manifest = json.loads((tmp_path / "out" / "01-size" / "manifest.json").read_text())
    assert manifest["params"]["columns"] == {"text": "content", "id": "key", "url": "link"}


def test_json_lines_and_parquet_have_one_schema(tmp_path: Path) -> None:
    rows = [{"text": text, "score": i, "late": {"k": i} if i > 30 else None, "odd": i if i % 7 else "s"} for i, text in
            enumerate(TEXTS)]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table({"text": ["one more text here"], "score": [0.5]}), tmp_path / "b.parquet")
    run([tmp_path / "a.jsonl", tmp_path / "b.parquet"], tmp_path / "out")
    made = Dataset(tmp_path / "out" / "01-size").to_arrow()
    assert made.schema.field("score").type == pa.float64()
    assert made["score"].to_pylist() == [*map(float, range(N)), 0.5]
    assert made["late"].to_pylist() == [row["late"] for row in rows] + [None]
    assert made["odd"].to_pylist() == [json.dumps(row["odd"]) for row in rows] + [None]


def test_explain_and_readmit_read_them_again(tmp_path: Path) -> None:
    rows = [{"body": "short", "nr": 7, "score": 1}, *({"body": text, "nr": i + 8} for i, text in enumerate(TEXTS))]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run([tmp_path / "a.jsonl"], tmp_path / "out", "--text-column", "body", "--id-column", "nr")
    (told,) = json.loads(refinery("explain", "7", "--run", tmp_path / "out", "--json"))
    assert told["state"] == "rejected" and told["text_before"] == "short"
    lax = tmp_path / "lax.toml"
    lax.write_text('name = "lax"\nabout = "t"\n[[stage]]\ncommand = "filter"\nstep = [{kind = "judge", name = "size", '
                   'rules = ["words >= 1"]}]\n')  # fmt: skip
    refinery("readmit", "--ledger", tmp_path / "out" / "01-size", "--recipe", lax, "--out", tmp_path / "again")
    (row,) = Dataset(tmp_path / "again" / "01-filter").to_arrow().to_pylist()
    assert (row["text"], row["id"], row["score"]) == ("short", "7", 1)


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        ({"a.jsonl": '{"body": "x"}'}, (), "a.jsonl has no column `text` (it has body): name it with --text-column"),
        ({"a.jsonl": '{"text": "x"}'}, NAMES, "a.jsonl has no column `content`"),
        (
            {"a.jsonl": '{"text": "x", "file_path": "y", "input_file_path": "z"}'},
            (),
            "a.jsonl has the columns 'file_path', which would be kept as 'input_file_path', and 'input_file_path'",
        ),
        (
            {"a.jsonl": '{"text": "x", "score": "high"}', "b.parquet": ""},
            (),
            "column 'score' is string in ",
        ),
        ({"a.jsonl": '{"text": "x"}'}, ("--text-column", "url"), "must be three columns"),
        ({"a.jsonl": '{"text": "x"}'}, ("--url-column", "lnk"), "no file has a column `lnk` (they have text)"),
        ({"b.parquet": ""}, ("--text-column", "score"), "b.parquet: column `score` is double, not text"),
        ({"a.txt": "https://a.example/"}, (), "a.txt is a list of addresses: a stage of this recipe reads texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(
    files: dict[str, str], words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"text": ["x"], "score": [1.5]}), tmp_path / name)
    done = run([tmp_path / name for name in files], tmp_path / "out", *words, code=2)
    assert message in done
    assert not (tmp_path / "out").exists()


LISTS = """
name = "addresses"
about = "test"
stage = [{ name = "url", command = "filter", step = [{ kind = "gate", name = "url", lists = "lists", rules = [
  "url_blocked_domain <= 0"] }] }]
"""


@pytest.mark.parametrize("name", ["list.txt", "list.jsonl", "list.parquet"])
def test_a_list_of_addresses_is_filtered_without_texts(name: str, tmp_path: Path) -> None:
    """And explained, and what was rejected is read again."""
    urls = ["https://good.example/1", "https://bad.example/2", "https://good.example/3"]
    if name.endswith(".txt"):
        (tmp_path / name).write_text("".join(f"{url}\n" for url in urls))
    elif name.endswith(".jsonl"):
        (tmp_path / name).write_text("".join(json.dumps({"url": url, "rank": 1}) + "\n" for url in urls) + "{}\n")
    else:
        pq.write_table(pa.table({"url": urls, "rank": [1, 2, 3]}), tmp_path / name)
    (tmp_path / "models" / "lists").mkdir(parents=True)
    (tmp_path / "models" / "lists" / "domains.txt").write_text("bad.example\n")
    (tmp_path / "url.toml").write_text(LISTS)
    out, code = tmp_path / "out", 1 if name.endswith(".jsonl") else 0
    words = ("--recipe", tmp_path / "url.toml", "--models", tmp_path / "models")
    refinery("run", *words, "--input", tmp_path / name, "--out", out, code=code)
    made = Dataset(out / "01-url")
    assert made.to_arrow()["url"].to_pylist() == [urls[0], urls[2]]
    assert set(made.to_arrow()["text"].to_pylist()) == {""}
    assert dict(made.manifest.rejected_by) == {"url/max_url_blocked_domain": 1} | ({"read/no_url": 1} if code else {})
    assert made.manifest.header.params == {"needs": "url"}
    (told,) = json.loads(refinery("explain", urls[1], "--run", out, "--models", tmp_path / "models", "--json"))
    assert told["state"] == "rejected"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, min_size=1, max_size=6))
def test_an_arrow_type_holds_all_values_that_were_seen(values: list[Any]) -> None:
    seen = JsonType()
    for value in values:
        seen.see(value)
    if seen.arrow is None:
        assert len({type(value) for value in values}) > 1 or not isinstance(values[0], str | bool | None)
        return
    back = pa.array(values, seen.arrow).to_pylist()
    assert all(_holds(read, given) for read, given in zip(back, values, strict=True))


def _holds(read: Any, given: Any) -> bool:
    """Equal, but that a struct has all fields of the column, null where a value has none."""
    if isinstance(given, dict):
        return all(_holds(read[name], given.get(name)) for name in read) and set(given) <= set(read)
    if isinstance(given, list):
        return len(read) == len(given) and all(map(_holds, read, given))
    return bool(read == given)


def test_deep_and_wide_objects_are_json_text() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    wide = {f"f{i}": i for i in range(500)}
    for value in (deep, wide, {}, 2**64):
        seen = JsonType()
        seen.see(value)
        assert seen.arrow is None
    kept = Columns().kept_as(["text", "url", "token_count", "mine"], "a file")
    assert kept == {"token_count": "input_token_count", "mine": "mine"}


TYPES = st.deferred(
    lambda: st.sampled_from([
        pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint16(), pa.uint64(), pa.float32(), pa.float64(), pa.string(),
        pa.large_string(), pa.binary(), pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.decimal128(5, 2), pa.date32(),
    ])
    | st.builds(pa.list_, TYPES)
    | st.dictionaries(st.sampled_from("abc"), TYPES, min_size=1).map(lambda inner: pa.struct(list(inner.items())))
)  # fmt: skip
EXTREMES = {
    pa.int8(): [-128, 127], pa.int64(): [-(2**63), 2**63 - 1, 2**53 + 1], pa.uint16(): [0, 65535],
    pa.float32(): [1e38, float("nan")], pa.float64(): [1e308], pa.string(): ["", "x"],
}  # fmt: skip


def extreme(found: pa.DataType) -> list[Any]:
    if pa.types.is_list(found):
        return [None, [], extreme(found.value_type)]
    if pa.types.is_struct(found):
        return [None, {field.name: extreme(field.type)[-1] for field in found}]
    return [None, *EXTREMES.get(found, [])]


@given(TYPES, TYPES)
def test_what_is_merged_can_be_cast(one: pa.DataType, other: pa.DataType) -> None:
    """Whatever the values; both ways to merge give one type, but for the order of a struct's fields."""
    both = wider(one, other)
    assert (both is None) == (wider(other, one) is None)
    for found in (one, other) if both is not None else ():
        cast = pa.array(extreme(found), found).cast(without_nulls(both), safe=False)
        assert len(cast) == len(extreme(found)) and cast[0].as_py() is None


def test_whole_numbers_of_any_size_are_exact(tmp_path: Path) -> None:
    numbers = [2**70, -(2**63) - 1, 2**63, 5]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": TEXTS[n], "n": value, "id": value}) for n, value in
                                               enumerate(numbers)))  # fmt: skip
    run([tmp_path / "a.jsonl"], tmp_path / "out")
    made = Dataset(tmp_path / "out" / "01-size").to_arrow(["n", "id"])
    assert [json.loads(value) for value in made["n"].to_pylist()] == numbers
    assert made["id"].to_pylist() == [str(value) for value in numbers]


ODD = [
    '{"text": "T", "x": ' + "[" * 300 + "]" * 300 + "}",
    '{"text": "T", "title": ' + "[" * 300 + "]" * 300 + "}",
    '{"text": "T \\ud800", "x": 123456789012345678901234567890}',
    '{"text": "T \\ud800", "language_score": ' + "9" * 400 + "}",
    '{"text": "T", "x": [NaN, "a"]}',
    '{"text": "T", "x": ' + "9" * 6000 + "}",
]


@pytest.mark.parametrize("line", ODD)
def test_an_odd_value_stops_no_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        line.replace("T", TEXTS[0].replace("\n", " ")) + "\n" + json.dumps({"text": TEXTS[1]})
    )
    run([tmp_path / "a.jsonl"], tmp_path / "out")
    assert Dataset(tmp_path / "out" / "01-size").to_arrow().num_rows == 2


def test_a_column_that_parquet_cannot_give_back_is_refused_in_a_line(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"text": TEXTS[:2], "vector": vectors}), tmp_path / "a.parquet")
    with pytest.raises(pa.ArrowInvalid):  # of pyarrow 25; a later one may read it: then this test may go
        pq.read_table(tmp_path / "a.parquet")
    (part,) = open_documents(read_inputs([str(tmp_path / "a.parquet")]).documents, Columns()).parts()
    with pytest.raises(UsageError, match=r"a\.parquet cannot be read: Expected all lists"):
        list(part.batches())


def test_out_may_not_be_a_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": TEXTS[0]}])
    (tmp_path / "out").touch()
    assert "out is a file: give --out a folder" in run([tmp_path / "a.jsonl"], tmp_path / "out", code=2)


def test_times_beyond_pythons_years_are_exported(tmp_path: Path) -> None:
    late = pa.array([2**49], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"text": TEXTS[:1], "late": late}), tmp_path / "a.parquet")
    run([tmp_path / "a.parquet"], tmp_path / "out")
    refinery("export", "--run", tmp_path / "out" / "01-size", "--columns", "late", "--out", tmp_path / "x.jsonl")
    assert json.loads((tmp_path / "x.jsonl").read_text())["late"].startswith("19809-")


def test_texts_of_parquet_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    broken = pa.array([b"so many words here \xff and more", TEXTS[0].encode()]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    run([tmp_path / "a.parquet"], tmp_path / "out")
    made = Dataset(tmp_path / "out" / "01-size").to_arrow()["text"].to_pylist()
    assert made == ["so many words here \ufffd and more", TEXTS[0]]


def test_types_are_merged_to_the_wider() -> None:
    wide = merged({"a": pa.schema([("n", pa.int32())]), "b": pa.schema([("n", pa.float64()), ("m", pa.string())])})
    assert wide == pa.schema([("m", pa.string()), ("n", pa.float64())])
    with pytest.raises(UsageError, match="column 'n' is int32 in a and string in b: give it one type or another name"):
        merged({"a": pa.schema([("n", pa.int32())]), "b": pa.schema([("n", pa.string())])})


def test_what_is_kept_in_another_form_is_said(tmp_path: Path) -> None:
    rows = [{"text": text, "odd": i if i % 2 else "x", "file_path": "a"} for i, text in enumerate(TEXTS)]
    write_rows(tmp_path / "a.jsonl", rows)
    source = open_documents(read_inputs([str(tmp_path / "a.jsonl")]).documents, Columns())
    assert column_notes(source) == [
        "column 'file_path' is kept as 'input_file_path'",
        "column 'odd' has values of several kinds: each is kept as JSON text",
    ]


def test_a_row_that_is_no_document_is_known_by_its_own_id(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": None, "id": 7, "url": "u"}, *({"text": text} for text in TEXTS)])
    run([tmp_path / "a.jsonl"], tmp_path / "out", code=1)
    (line,) = Dataset(tmp_path / "out" / "01-size").ledger().to_pylist()
    assert (line["rule"], line["id"], line["url"]) == ("no_text", "7", "u")


def test_texts_that_were_written_as_bytes_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [text.encode() for text in TEXTS]}), tmp_path / "a.parquet")
    run([tmp_path / "a.parquet"], tmp_path / "out")
    assert Dataset(tmp_path / "out" / "01-size").to_arrow()["text"].to_pylist() == TEXTS


def test_json_text_can_be_read_back(tmp_path: Path) -> None:
    odd = [1, "1", None, [1, "x"], {"a": {}}]
    lines = [json.dumps({"text": TEXTS[i], "odd": value}) for i, value in enumerate(odd)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    run([tmp_path / "a.jsonl"], tmp_path / "out")
    read = Dataset(tmp_path / "out" / "01-size").to_arrow(["odd"])["odd"].to_pylist()
    assert [value and orjson.loads(value) for value in read] == odd
