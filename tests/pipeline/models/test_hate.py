"""Tables of hate: what the shipped ones say of texts written for this test, and what the benchmark learns."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import hate
from filters.bag_of_words import word_counts
from infra.errors import UsageError
from pipeline.models.combination import load_combination
from pipeline.models.hate import load_hate
from pipeline.models.store import shipped_models
from tests.files import write_rows

# What a board says, and texts that have the same subjects without deriding anyone.
BOARD = """
these people are filthy animals and they should all get out of our white country . i hate them and their kids ,
they are nothing but parasites . blacks and muslims and jews are ruining everything , send them back where they came
from . they just breed like rats lol . stupid brainwashed whites let them .
"""
HISTORY = """
The laws of 1935 deprived Jewish citizens of their rights. Historians describe how the persecution of Jews, Roma and
other minorities was prepared by propaganda, and how neighbours, courts and the police took part in it. After the war
the survivors testified before a tribunal, and the Genocide Convention was adopted in 1948.
"""
BOARD_ZH = (
    "这些黑人又脏又懒，滚出中国，看着就恶心。女人都是骗子，又蠢又贱。"
    "某某地方的人全是骗子小偷，活该被骂，垃圾民族，一个个都该死。"
)
NEWS_ZH = (
    "联合国周三发表报告说，去年该地区女性就业率上升了三个百分点。"
    "研究人员采访了四百名移民工人，并建议政府增加对公立学校的投入，以减少种族和性别之间的收入差距。"
)


@pytest.mark.parametrize(("language", "board", "other"), [("en", BOARD, HISTORY), ("zh", BOARD_ZH, NEWS_ZH)])
def test_the_shipped_tables(language: str, board: str, other: str) -> None:
    table = load_hate(shipped_models()[f"hate-{language}.tsv"])
    assert table.score(board) > 0.9 > 0.45 > table.score(other)


def test_a_table_of_another_format_is_refused() -> None:
    with pytest.raises(UsageError, match=r"refinery\.hate/1"):
        load_hate(shipped_models()["bag-of-words-en.tsv"])
    assert load_combination(shipped_models()["quality-en.json"]).terms


def test_threads_hold_each_hateful_post_once_and_others_among_them() -> None:
    posts = [f"bad{number} word" for number in range(40)]
    threads = list(hate.mixed(posts, ["fine word"], "en", 0))
    words = " ".join(threads).split()
    assert sorted(word for word in words if word.startswith("bad")) == sorted(post.split()[0] for post in posts)
    assert "fine" in words and all("bad" in thread for thread in threads)
    first = next(hate.in_order(["a b"] * 200, "en", 0))
    assert hate.LEAST <= len(first.split()) <= hate.MOST + 1


def test_a_collection_is_held_out_with_half_of_the_pages(tmp_path: Path) -> None:
    kinds = {"hate": "vile filth scum vermin", "none": "tea rain bus shop", "page": "market law river school"}
    posts = [
        {"text": f"{kinds[label]} w{number % 7}", "source": f"c{number % 2}", "label": label}
        for number in range(400)
        for label in ("hate", "none")
    ]
    texts = [
        {"text": f"{kinds['page']} x{n % 5} " * 20, "language": "en", "source": f"pages {n % 8}"} for n in range(80)
    ]
    out = tmp_path / "hate.tsv"
    found = hate.run(
        Namespace(
            posts=[write_rows(tmp_path / "p.jsonl", posts)], texts=[write_rows(tmp_path / "t.jsonl", texts)],
            language="en", out=out, threads=tmp_path / "threads.jsonl",
        )
    )  # fmt: skip
    assert [row["auc"] for row in found["held_out"]] == [1.0, 1.0]
    assert {*found["words"][:4]} == {*kinds["hate"].split()}
    table = load_hate(out)
    pages = word_counts(kinds["page"])
    assert table.score(kinds["hate"]) > 0.9 > 0.6 > table.score_counts(pages)
    assert "c0" in "\n".join(hate.show(found))
    made = [json.loads(line) for line in (tmp_path / "threads.jsonl").read_text().splitlines()]
    assert {row["source"] for row in made} == {"c0 hate", "c0 none", "c1 hate", "c1 none"}
