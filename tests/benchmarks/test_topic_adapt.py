"""Adapting a topic table: junk that it took for sums is told general, and what it knew stays by clean texts."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import topic_adapt
from benchmarks.topic_rehearsal import HELD
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.models.topics import FORMAT, load_topics
from pipeline.models.word_table import WordTable

SUMS, TALES, JUNK = ("add", "integral", "prove"), ("hero", "tale", "verse"), ("basket", "checkout", "login")
PLAIN = [f"w{letter}" for letter in "abcdefghijkl"]
# Words of each source of read texts, so that none has near-copies of another's.
OWN = [[f"{source}{letter}" for letter in "abcdefgh"] for source in "vxyzq"]
WORDS = sorted([*SUMS, *TALES, *JUNK, *PLAIN, *(word for words in OWN for word in words)])


def text_of(words: tuple[str, ...], number: int) -> str:
    return " ".join([*words, *PLAIN[number % 4 :]])


def column(*kinds: tuple[str, ...]) -> list[float]:
    return [6.0 if any(word in kind for kind in kinds) else 0.0 for word in WORDS]


def axes(table: Path, text: str) -> list[str]:
    told = load_topics(table)(Document(text, language="en"))
    return [axis for axis in ("iq", "eq") if (told[axis] or 0.0) > 0.5]


@pytest.fixture
def args(tmp_path: Path) -> Namespace:
    """The table takes junk for sums; five sources of junk were read, each with a text of sums beside it."""
    table = WordTable(
        {"iq": -2.0, "eq": -2.0, "topic_mathematics": -2.0, "topic_literature": -2.0, "topic_philosophy": -2.0},
        WORDS, [1.0] * len(WORDS),
        [column(SUMS, JUNK), column(TALES), column(SUMS, JUNK), column(TALES), column(TALES)],
    )  # fmt: skip
    (tmp_path / "topics-en.tsv").write_text(table.as_text(FORMAT.format("en")))
    rows: list[dict[str, Any]] = [
        {"text": " ".join([*words, *OWN[source], *PLAIN[number:6]]), "language": "en", "source": f"web {source}",
         "subjects": subjects}
        for source in range(5)
        for number in range(6)
        for words, subjects in ((JUNK, []), (SUMS, ["mathematics"]))
    ]  # fmt: skip
    rows.append({"text": text_of(SUMS, 0), "language": "en", "source": "web 9", "subjects": None})
    (tmp_path / "read.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for folder, words in (("iq_en", SUMS), ("eq_en", TALES)):
        (tmp_path / folder).mkdir()
        for name in "ab":
            lines = (json.dumps({"text": text_of(words, number)}) for number in range(60))
            (tmp_path / folder / f"{folder}_{name}.jsonl").write_text("\n".join(lines))
    return Namespace(
        texts=[tmp_path / "read.jsonl"], clean=[tmp_path / "iq_en", tmp_path / "eq_en"], language="en",
        table=tmp_path / "topics-en.tsv", ridge=0.1, weight=1.0, rehearse=[], out=tmp_path / "adapted.tsv",
    )  # fmt: skip


def test_junk_becomes_general_and_what_was_known_stays(args: Namespace) -> None:
    found = topic_adapt.run(args)
    before, after = (found[name]["right"]["by subjects"]["strict"]["axis"] for name in ("before", "held out"))
    assert found["before"]["texts"] == 60 and before == 0.5 and after > 0.9
    assert found["clean"]["before"]["texts"] == 4 * HELD
    assert {each["axis"] for each in found["clean"].values()} == {1.0}
    assert "| iq_en_a | 40 | 1.0 | 1.0 | 1.0 |" in list(topic_adapt.show(found))
    for words, name in ((SUMS, ["iq"]), (TALES, ["eq"]), (JUNK, [])):
        assert axes(args.out, text_of(words, 1)) == name


def test_what_is_rehearsed_is_not_forgotten(args: Namespace, tmp_path: Path) -> None:
    """Words of proofs are on pages of no subject; neither other pages nor clean texts have proofs."""
    read = args.texts[0].read_text().replace("add integral prove", "add")
    args.texts[0].write_text(read.replace("basket checkout login", "integral prove"))
    for name in "ab":
        clean = tmp_path / "iq_en" / f"iq_en_{name}.jsonl"
        clean.write_text(clean.read_text().replace("integral prove", ""))
    args, proof = Namespace(**{**vars(args), "ridge": 0.001}), " ".join(["integral", "prove", *PLAIN])
    assert axes(args.table, proof) == ["iq"]
    topic_adapt.run(args)
    assert axes(args.out, proof) == []
    row = json.dumps({"text": proof, "subjects": ["mathematics"]})
    (tmp_path / "proofs.jsonl").write_text(f"{row}\n" * 100)
    found = topic_adapt.run(Namespace(**{**vars(args), "rehearse": [tmp_path / "proofs.jsonl"]}))
    assert found["rehearsed"] == 100 and axes(args.out, proof) == ["iq"]


def test_near_copies_of_read_texts_are_left_out(args: Namespace, tmp_path: Path) -> None:
    """Of the rehearsed ones, and of the clean ones of both kinds; what is left is learned as if they had not been."""
    pages = [json.loads(line)["text"] for line in args.texts[0].read_text().splitlines()]
    more = [json.dumps({"text": text_of(TALES, number)}) for number in range(20)]
    (tmp_path / "more.jsonl").write_text("\n".join(more))
    args = Namespace(**{**vars(args), "rehearse": [tmp_path / "more.jsonl"]})
    found = topic_adapt.run(args)
    plain = args.out.read_bytes()
    assert "near-copies" not in found and not any("Left out" in line for line in topic_adapt.show(found))
    copies = [json.dumps({"text": f"{page} and more"}) for page in pages[:3]]
    (tmp_path / "more.jsonl").write_text("\n".join([*copies, *more]))
    (tmp_path / "eq_en" / "eq_en_c.jsonl").write_text("\n".join([*copies[:2], copies[0]] * 20))
    again = topic_adapt.run(args)
    assert again.pop("near-copies") == {"eq_en_c": 60, "more": 3} and again == found
    assert args.out.read_bytes() == plain
    assert "\nLeft out, as near-copies of read texts: 63 (eq_en_c 60, more 3)" in [
        *topic_adapt.show({**again, "near-copies": {"eq_en_c": 60, "more": 3}})
    ]


def test_slopes_make_margins_hold() -> None:
    """Told with .98, true of three in four: a third of the margin, about; a column that is fixed stays."""
    margins, aims = np.full((400, 2), 4.0), np.tile([[1.0], [1.0], [1.0], [0.0]], (100, 2))
    slopes = topic_adapt.slopes_of(margins, aims, np.ones(400), np.array([False, True]))
    assert slopes.tolist() == pytest.approx([np.log(3) / 4, 1.0], abs=0.01)


def test_a_column_that_no_text_has_stays(args: Namespace) -> None:
    topic_adapt.run(args)
    philosophy = args.out.read_text().split("topic_philosophy=")[1].split("\n")[0]
    weights = [float(line.split("\t")[-1]) for line in args.out.read_text().splitlines()[1:]]
    assert float(philosophy) == -2.0 and weights == column(TALES)


def test_the_same_texts_make_the_same_bytes(args: Namespace) -> None:
    topic_adapt.run(args)
    first = args.out.read_bytes()
    topic_adapt.run(args)
    assert args.out.read_bytes() == first


def test_what_cannot_be_used_is_refused(args: Namespace, tmp_path: Path) -> None:
    short = json.loads(args.texts[0].read_text().splitlines()[0]) | {"text": "add"}
    (tmp_path / "few.jsonl").write_text(json.dumps(short))
    with pytest.raises(UsageError, match="tells nothing of these texts"):
        topic_adapt.run(Namespace(**{**vars(args), "texts": [tmp_path / "few.jsonl"]}))
    lines = args.texts[0].read_text().splitlines()
    (tmp_path / "one.jsonl").write_text("\n".join(line for line in lines if '"web 1"' in line))
    with pytest.raises(UsageError, match="5 are needed"):
        topic_adapt.run(Namespace(**{**vars(args), "texts": [tmp_path / "one.jsonl"]}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there are no JSON lines"):
        topic_adapt.run(Namespace(**{**vars(args), "clean": [tmp_path / "empty"]}))


def test_sources_that_share_copies_are_one_group() -> None:
    table = WordTable({"iq": 0.0}, WORDS, [1.0] * len(WORDS), [[0.0] * len(WORDS)])
    counts = [dict.fromkeys(words, 1) for words in (SUMS, SUMS, TALES, JUNK)]
    assert topic_adapt.groups_of(topic_adapt.rows_of(table, counts), ["b", "c", "c", "a"]) == ["b", "b", "b", "a"]
    assert sorted(np.bincount(topic_adapt.folds_by_size(["b", "b", "b", "a"]))) == [1, 3]
