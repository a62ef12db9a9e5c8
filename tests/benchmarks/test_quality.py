"""The benchmarks of quality: texts made into pages, sides matched and split, and the results of a run."""

import json
import random
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.clean_pages import (
    LEAST_WORDS,
    MOST_WORDS,
    axis_of,
    cut,
    page_of,
    read_clean,
    render,
    size,
    subject_of,
    title_of,
    wrapped,
)
from benchmarks.keep_rates import Fate, grouped, summary
from benchmarks.quality import auc_of, by_axis, halves, halves_of, kept_share, matched
from benchmarks.quality_rows import CRAWL, Row, rule_scorer, table
from filters.rules import Rule
from pipeline.extract.page import PageExtractor
from pipeline.steps.rules import RecipeRule
from tests.files import write_rows
from tests.pipeline.pages import article, sentences, write_warc
from tests.pipeline.recipe_texts import small


def paragraphs(seed: int, count: int) -> str:
    return "\n\n".join(" ".join(sentences(seed * 1000 + i, 4)) for i in range(count))


def row(kind: str, source: str, text: str, **signals: float | None) -> Row:
    return Row(kind, source, text, "en", signals)


def test_sizes_are_words_and_pairs_of_chinese_characters() -> None:
    assert size("It's 3 words, or four.") == 6
    assert size("海上生明月 x") == 3
    assert size("") == 0


def test_texts_are_cut_into_the_lengths_of_pages() -> None:
    texts = [paragraphs(seed, 200) for seed in range(3)]
    pieces = list(cut(texts, "book"))
    assert len(pieces) > 10 and pieces == list(cut(texts, "book"))
    assert all(LEAST_WORDS <= size(piece) <= 1.6 * MOST_WORDS for piece in pieces)
    assert max(map(size, pieces)) > 2 * min(map(size, pieces))
    assert all(piece in "\n".join(texts) for piece in pieces)
    # another source, other lengths
    assert [size(piece) for piece in cut(texts, "other")] != [size(piece) for piece in pieces]


def test_short_texts_share_a_page_and_short_ends_are_dropped() -> None:
    utterances = [f"Good morning, this is number {i} of the telephone book of the city." for i in range(200)]
    shared = list(cut(utterances, "talk"))
    assert shared and "number 0 of" in shared[0] and "number 1 of" in shared[0]
    # a text that fills a page does not begin with the end of another
    assert not any("telephone" in piece for piece in cut([*utterances[:2], paragraphs(1, 100)], "book"))
    assert list(cut(["a few words"], "book")) == []


def test_text_is_rendered_by_its_kind() -> None:
    text = "# Of <maps>\nfirst line\n\n- one\n- two & three\n\n```py\nif a < b:\n\n    pass\n```\nlast"
    html = list(render(text))
    assert html == [
        "<h2>Of &lt;maps&gt;</h2>",
        "<p>first line</p>",
        "<ul><li>one</li><li>two &amp; three</li></ul>",
        "<pre><code>if a &lt; b:\n\n    pass\n</code></pre>",
        "<p>last</p>",
    ]
    assert title_of(text) == "Of <maps>" and title_of("\\section{Rings}\nx") == "Rings" and title_of("plain") == ""


def test_lines_of_a_typewriter_are_joined_and_verse_is_not() -> None:
    prose = [
        "It was the habit of the house to rise before the sun had",
        "reached the tops of the trees beyond the garden and the",
    ]
    assert wrapped([*prose, "river."])
    assert not wrapped(["Now, my liege,", "Tell me what blessings I have here alive,", "That I should fear to die?"])
    assert not wrapped([f"{'A line that is a sentence of its own, and long enough':<60}." for _ in range(4)])
    assert not wrapped(["alone"])
    assert next(render("\n".join([*prose, "river."]))).count("<br>") == 0


def test_a_rendered_page_gives_its_text_back_without_its_menus() -> None:
    pages = [page_of("iq_en", f"source_{number}", number, paragraphs(number, 8)) for number in range(12)]
    with PageExtractor("resiliparse", {}) as extractor:
        for page in pages:
            text = extractor.extract(page.html.encode(), "utf-8", page.url).text
            assert size(page.text) <= size(text) <= 1.1 * size(page.text)
            assert "Privacy policy" not in text
    # sites are built in different ways
    assert {mark for mark in ("<main>", "entry-content", "<table") for page in pages if mark in page.html} == {
        "<main>",
        "entry-content",
        "<table",
    }
    assert page_of("eq_zh", "x", 0, "海上生明月").html.count("首页") == 1
    assert "<pre><code>a = 1" in page_of("code", "x", 0, "a = 1").html


def test_files_are_named_by_axis_and_subject(tmp_path: Path) -> None:
    assert [axis_of(kind) for kind in ("iq_en", "eq_zh", "code", "multi")] == ["IQ", "EQ zh", "code", "multi"]
    assert subject_of("iq_en", "openstax_calculus") == "mathematics"
    assert subject_of("eq_zh", "crosswoz") == "dialogue (zh)" and subject_of("iq_en", "mine") == "mine"
    for kind in ("iq_en", "multi"):
        write_rows(tmp_path / kind / "book.v1.jsonl", [{"id": "1", "text": paragraphs(3, 90)}])
    pages = read_clean([tmp_path], 2, ("iq_en",))
    assert [(page.kind, page.source) for page in pages] == [("iq_en", "book")] * 2
    assert len({page.url for page in pages}) == 2


def test_halves_are_of_equal_size_and_keep_sources_whole() -> None:
    found = halves({"a": 100, "b": 60, "c": 50, "d": 5})
    assert sum({"a": 100, "b": 60, "c": 50, "d": 5}[name] for name, half in found.items() if half) in (105, 110)
    rows = [row(CRAWL, name, f"{name}{i}") for name in "abcd" for i in range(5)]
    judged = [row(kind, name, "x") for kind in ("good", "other") for name in "abcd"] + [row("good", "new", "x")]
    half = halves_of([*rows, *judged])
    assert all(half["good", name] == half["other", name] == half[CRAWL, name] for name in "abcd")
    assert half["good", "new"] in (0, 1)


def test_sides_are_matched_in_length() -> None:
    chance = random.Random(1)
    long = [row("iq_en", "x", "word " * chance.randint(300, 2000)) for _ in range(200)]
    short = [row(CRAWL, "y", f"{i} " + "word " * chance.randint(20, 800)) for i in range(200)]
    positive, negative = matched(long, short)
    assert 0 < len(positive) == len(negative) < 200
    assert auc_of(lambda r: float(size(r.text)), long, short) > 0.9  # type: ignore[operator]
    assert auc_of(lambda r: float(size(r.text)), positive, negative) == pytest.approx(0.5, abs=0.1)
    assert set(by_axis([*long, *short])) == {"IQ", "all"}


def test_scorers_without_values_are_left_out() -> None:
    rows = [row("iq_en", "x", str(i), quality=value) for i, value in enumerate((0.2, 0.9, None))]
    others = [row(CRAWL, "y", str(i), quality=i / 100) for i in range(100)]

    def quality(one: Row) -> float | None:
        return one.signals["quality"]

    assert auc_of(quality, rows, others) == pytest.approx((0.205 + 0.905) / 2, abs=0.001)
    assert kept_share(quality, rows, others) == 0
    assert kept_share(quality, [row("iq_en", "x", "", quality=0.96)], others) == 1
    assert auc_of(quality, rows[2:], others) is None and kept_share(quality, rows, []) is None
    assert table(rows, ["quality"])["quality"].tolist()[:2] == [0.2, 0.9]


def test_rules_as_scorers() -> None:
    rules = tuple(RecipeRule(Rule("words", "min", threshold)) for threshold in (10, 50))
    one = row("iq_en", "x", "", words=20.0)
    assert rule_scorer(rules, None)(one) == 1 and rule_scorer(rules, 2)(one) == 0 and rule_scorer(rules, 1)(one) == 1


def test_rates_of_a_group_are_means_over_its_sources() -> None:
    one, two = Fate("iq_en"), Fate("iq_en")
    for _ in range(8):
        one.add(100, "", ())
    one.add(None, "size", ["size/min_words", "size/min_words"])
    one.add(None, "text", ["text/copy_text"])
    two.add(None, "size", ["size/min_words", "size/max_lines"])
    found = summary([one, two], ["size", "text"])
    assert (found["sources"], found["pages"], found["kept"], found["rate"], found["lowest"]) == (2, 11, 8, 0.4, 0)
    assert found["after"] == {"size": 0.45, "text": 0.4}
    assert list(found["rules"].items())[:2] == [("size/min_words", 0.55), ("size/max_lines", 0.5)]
    assert list(grouped({"fcla": one, "mine": two}, "subject")) == ["mathematics", "mine"]


def test_keep_rates_through_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = "\n\n".join(["Yes, said the king of hearts."] * 600)
    for name, text in (("iq_en/book", paragraphs(1, 200)), ("eq_en/talk", talk)):
        write_rows(tmp_path / "texts" / f"{name}.jsonl", [{"text": text}])
    recipe = tmp_path / "small.toml"
    recipe.write_text(small())
    crawl = write_warc(tmp_path / "a.warc.gz", [(f"http://h{i}.example/", article(i)) for i in range(3)])
    words = ["--clean", str(tmp_path / "texts"), "--pages", str(crawl), "--recipe", str(recipe), "--per-source", "3"]
    for where in ("one", "two"):
        assert main(["keep_rates", *words, "--out", str(tmp_path / where), "--json"]) == 0
    once, again = capsys.readouterr().out.strip().split("\n}\n{")
    assert json.loads(once + "\n}") == json.loads("{" + again)
    found = json.loads(once + "\n}")["recipes"]["small"]
    assert found["source"]["book"]["rate"] == 1 and found["source"]["talk"]["rate"] == 0
    assert "size/max_duplicate_line_fraction" in found["axis"]["EQ"]["rules"]
    assert found["crawl"]["pages"] == 3 == found["crawl"]["kept"]
    assert main(["keep_rates", *words[:2], "--out", str(tmp_path / "x"), "--kind", "none"]) == 2
    assert "--kind" in capsys.readouterr().err
