"""Words of tables: what each finds is what a dictionary of its own would, in the order of the counts."""

from math import log

from hypothesis import given
from hypothesis import strategies as st

from pipeline.document import WordCounts
from pipeline.models.vocabulary import TableWords

WORD = st.text("abc", max_size=3)


@given(st.lists(st.lists(WORD, unique=True), min_size=1, max_size=4), st.dictionaries(WORD, st.integers(1, 2000)))
def test_a_table_finds_its_own_words(tables: list[list[str]], counts: dict[str, int]) -> None:
    same = WordCounts(counts)
    made: list[TableWords] = []
    for words in tables:
        made.append(TableWords(words))
        for table, own in zip(made, tables, strict=False):
            expected = [(own.index(word), 1.0 + log(times)) for word, times in counts.items() if word in own]
            for given_counts in (counts, same):
                places, frequencies = table.found(given_counts)
                assert [*zip(places.tolist(), frequencies.tolist())] == expected
