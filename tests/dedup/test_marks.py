"""A page has one key and one set of shingles, whether its text is Markdown or plain."""

import pyarrow as pa
import pytest

from benchmarks.structure_pages.pages import written_pages
from dedup.exact import key_table
from dedup.marks import unmarked_texts
from dedup.minhash import MinHash
from pipeline.extract.block_model import main_text
from tests.pipeline.extract.structure.forum_pages import threads
from tests.pipeline.extract.structure.support import kept_texts

PAGES = [(page.name, main_text(page.html)) for page in written_pages()]
# In plain text the tags of a forum around a formula are text.
OTHER = {"formulas/bbcode-tex"}


def documents(texts: list[str | None], marked: list[float | None]) -> pa.RecordBatch:
    """Documents with a text and the signal `markdown`."""
    signals = [None if mark is None else {"markdown": mark} for mark in marked]
    return pa.RecordBatch.from_pydict(
        {"text": pa.array(texts, pa.string()), "signals": pa.array(signals, pa.struct([("markdown", pa.float64())]))}
    )


@pytest.mark.parametrize(("name", "main"), PAGES, ids=[name for name, _ in PAGES])
def test_both_forms_of_a_page_are_copies(name: str, main: object) -> None:
    both = documents([main.plain, main.markdown], [0.0, 1.0])  # type: ignore[attr-defined]
    keys = key_table(both, 0, 0, "text")
    assert (keys["key"][0] == keys["key"][1]) == (name not in OTHER)
    signed = MinHash().signed(unmarked_texts(both))
    assert signed.known.all()
    assert (signed.keys[0] == signed.keys[1]).all() or name in OTHER


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# A\n\n- b\n  - c\n\n10. d", "A\nb\nc\nd"),
        ("### 1. State\n\n- 2. b", "1. State\n2. b"),
        ("```python\n# x\ny = `z`\n```", "# x\ny = `z`"),
        ("| a | b\\|c |\n|---|---|\n|  | d |", "a b|c\nd"),
        ("$$\nx^2\n$$\n\nso $y$ costs $5", "x^2\nso y costs $5"),
        ("## Title", "Title¶"),
        ("**Anna**:\n\nYes.\n\n**Bo**:\n\nNo.", "Yes.\nNo."),
    ],
)
def test_what_is_a_mark(markdown: str, plain: str) -> None:
    both = documents([markdown, plain], [1.0, 0.0])
    keys = key_table(both, 0, 0, "text")
    assert keys["key"][0] == keys["key"][1]


def test_other_documents_are_read_as_they_are() -> None:
    texts = ["# A\n- b", "A\nb", None, "| c |"]
    assert unmarked_texts(documents(texts, [None] * 4)).to_pylist() == texts
    assert unmarked_texts(documents(texts, [1.0, None, 0.0, None])).to_pylist() == ["A\nb", "A\nb", None, "| c |"]
    assert unmarked_texts(documents(texts, [1.0] * 4).select(["text"])).to_pylist() == texts


def test_words_tell_documents_apart() -> None:
    texts = ["- a 1", "- a 2", "*a* 1", "A 1"]
    assert len(set(key_table(documents(texts, [1.0] * 4), 0, 0, "text")["key"].to_pylist())) == 4


def test_posts_are_the_same_with_and_without_their_authors() -> None:
    for thread in threads():
        markdown, plain = kept_texts(thread.html, [text for _, text in thread.said])
        keys = key_table(documents([plain, markdown], [0.0, 1.0]), 0, 0, "text")
        # of a chat a name is also the beginning of a line
        assert (keys["key"][0] == keys["key"][1]) == (thread.name != "ptt"), thread.name
