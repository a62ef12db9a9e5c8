"""Words of tables: what each finds is what a dictionary of its own would, in the order of the counts."""

from collections.abc import Mapping
from math import log

from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.bag_of_words import word_counts
from filters.han_grams import han_gram_bytes, han_gram_counts
from pipeline.document import WordCounts
from pipeline.models.vocabulary import TableWords

WORD = st.text("abc", max_size=3)
TEXT = st.text(
    st.one_of(st.characters(), st.sampled_from("aBéß1٣²½İΣK _-'’.\n\ud800\0中文國国一かｱ\u0307\uf900\U00020000"))
)


@given(st.lists(st.lists(WORD, unique=True), min_size=1, max_size=4), st.dictionaries(WORD, st.integers(1, 2000)))
def test_a_table_finds_its_own_words(tables: list[list[str]], counts: dict[str, int]) -> None:
    made: list[TableWords] = []
    for words in tables:
        made.append(TableWords(words))
        for table, own in zip(made, tables, strict=False):
            expected = [(own.index(word), 1.0 + log(times)) for word, times in counts.items() if word in own]
            places, frequencies = table.found(counts)
            assert [*zip(places.tolist(), frequencies.tolist())] == expected


def found(table: TableWords, counts: Mapping[str, int]) -> list[tuple[int, float]]:
    places, frequencies = table.found(counts)
    return [*zip(places.tolist(), frequencies.tolist(), strict=True)]


@settings(deadline=None)  # the first call compiles
@given(TEXT, st.sets(WORD), st.integers(1, 3))
@example("a 1a 1a b é 2", set(), 1)
@example("國文，国文 Docker 2 一\n一。中國人中国人", {"docker", "文国"}, 1)
@example("中文" * 700 + " a" * 1200, {"a"}, 2)
@example(" ".join(map(chr, range(0x3B1, 0x3B1 + 150))) + " a1", {"a0"}, 1)
def test_the_words_of_a_text_are_found_in_the_order_of_its_counts(text: str, more: set[str], every: int) -> None:
    """However many of its words a table has."""
    for counted, own in (
        (word_counts(text), WordCounts(text)),
        (han_gram_counts(text), WordCounts(text, han_gram_counts, han_gram_bytes)),
    ):
        assert own == counted
        words = sorted({*[*counted][::every], *more})
        table = TableWords(words)
        expected = found(table, counted)
        assert found(table, own) == found(table, own) == expected
        assert len(expected) == len(counted.keys() & {*words})
        later = TableWords([*reversed(words), "<another>"])
        assert found(later, own) == found(later, counted)
