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
# Plain reports on groups of people, whose names boards have too.
REPORTS = {
    "wages": """
Black women in the United States earn less on average than white men and white women. In 2019 the median weekly earnings
of black women were 68 percent of those of white men. Economists explain part of the gap by occupation and hours, but a
large part remains. Studies of hiring have found that applicants with names common among black Americans receive fewer
calls. Some states have passed laws that require employers to publish pay by race and sex.
""",
    "city": """
Jews have lived in the city since the twelfth century. The Jewish community built its first synagogue in 1340 and a
school beside it. During the war most of the Jews of the city were deported and murdered; after 1945 few survivors
returned. A museum now tells the history of Jewish families, their trades, their festivals and their books. Muslims and
Christians in the quarter lent documents to the exhibition, which was opened by the mayor and the rabbi.
""",
    "marriage": """
In 2015 the court decided that gay couples may marry. Lesbian and gay parents had asked for the right for two decades.
Surveys show that most people now support it, and that support has grown among older people too. Psychologists who
compared children of gay and straight parents found no difference in school or in health. Transgender people still meet
difficulties when they change their documents.
""",
    "mosque": """
Muslims pray five times a day, facing Mecca. During Ramadan they fast from dawn to sunset; the sick, travellers and
pregnant women need not. Immigrants from Pakistan and Bangladesh founded the first mosques in the town in the 1960s.
Many women wear a scarf, others do not, and scholars disagree on what the Quran asks. The mosque runs a kitchen for the
poor that is open to all.
""",
}
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


@pytest.mark.parametrize("name", REPORTS)
def test_names_of_groups_of_people_are_no_hate(name: str) -> None:
    assert load_hate(shipped_models()["hate-en.tsv"]).score(REPORTS[name]) < 0.48


def test_passages_that_name_groups_of_people_are_found() -> None:
    text = "one two three " * 40 + "jews and muslims and women and gay people " * 15 + "end"
    found = list(hate.on_people(text, "en"))
    assert found and all(len(each.split()) <= hate.PASSAGE and "muslims" in each for each in found)
    assert list(hate.on_people("one two three " * 100, "en")) == [] == list(hate.on_people(text, "zh"))


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
