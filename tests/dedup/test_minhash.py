"""MinHash: estimates, band keys, and the recall that the S-curve predicts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.minhash import SIGNATURES, MinHash, band_rows, permutations, signature_table
from dedup.shingles import shingle_sequence, shingles
from dedup.verify import jaccard
from infra.errors import UsageError
from tests.dedup.support import chinese, documents, edited, english


def match_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two documents of this Jaccard similarity share at least one band: .92 at .8 for 14 x 8, as
    FineWeb prints it (arXiv 2406.17557, App. E.1)."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def test_parameters() -> None:
    assert (MinHash().bands, MinHash().rows, MinHash().ngram) == (14, 8, 5)
    with pytest.raises(UsageError, match="rows is 0"):
        MinHash(rows=0)
    assert MinHash(*SIGNATURES["refinedweb"]).bands == 450
    with pytest.raises(UsageError, match="ngram is 2147483648; give at most 2,147,483,647"):
        MinHash(ngram=1 << 31)
    with pytest.raises(UsageError, match="2000000 bands of 8 rows are 16,000,000 hashes of a document; give fewer"):
        MinHash(bands=2_000_000)


def test_permutations_are_splitmix64() -> None:
    """The first outputs of SplitMix64 from seed 1234567, as Rosetta Code lists them."""
    factors, terms = permutations(2, 1234567)
    assert terms.tolist() == [9817491932198370423, 4593380528125082431]
    assert factors.tolist() == [6457827717110365317 | 1, 3203168211198807973 | 1]


def test_keys_are_golden() -> None:
    """Signatures are compared across runs and machines: these numbers may never change."""
    keys = MinHash().band_keys(shingles("The quick brown fox jumps over the lazy dog"))
    assert keys[:2].tolist() == [13801791073463162295, 3636503767364289777]


def test_signature_equals_its_definition() -> None:
    params = MinHash(3, 200)  # more permutations than one tile of the kernel
    hashes = shingles(" ".join(english(3, 60)))
    factors, terms = permutations(600, params.seed)
    expected = (factors[:, None] * hashes[None, :] + terms[:, None]).min(axis=1)
    assert params.signature(hashes).tolist() == expected.tolist()


@given(st.text("ab \n今天😀é", min_size=1, max_size=80))
@settings(max_examples=50)
def test_identical_texts_share_every_band(text: str) -> None:
    first, again = shingle_sequence("x" + text), shingle_sequence("x" + text)
    keys = MinHash().band_keys(first)
    assert keys.tolist() == MinHash().band_keys(again[::-1].copy()).tolist()
    assert len(set(keys.tolist())) == 14


@given(st.lists(st.one_of(st.none(), st.text("ab \n今天😀é\u0301ก", max_size=60)), max_size=6), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_keys_of_a_column_are_those_of_its_texts(texts: list[str | None], rows: int) -> None:
    params = MinHash(40 // rows, rows, 2)
    signed = params.signed(pa.array(texts, pa.string()))
    sets = [shingles(text or "", 2) for text in texts]
    assert signed.known.tolist() == [each.size > 0 for each in sets]
    assert signed.keys[signed.known].tolist() == [params.band_keys(each).tolist() for each in sets if each.size]
    named = dict(zip(map(bytes, signed.sets[signed.known]), (bytes(each) for each in sets if each.size)))
    assert len(set(named.values())) == len(named) == len({bytes(each) for each in sets if each.size})


def test_the_hash_of_a_set_has_no_order_and_no_repetitions() -> None:
    words = english(1, 40)
    texts = [" ".join(words), " ".join([*words, *words]), " ".join(["x", *words]), "a a a", "a a a a a", "a"]
    one, two = (MinHash(ngram=n).signed(pa.array(texts)).sets.tolist() for n in (1, 2))
    assert one[0] == one[1] and one[3] == one[4] == one[5]
    assert len({tuple(each) for each in one}) == 3
    assert two[0] != two[1] and two[3] == two[4]


def test_large_sets_have_a_table_of_their_own() -> None:
    long = " ".join(f"w{number % 1_100_000}" for number in range(1_500_000))
    short = " ".join(f"w{number}" for number in range(1_100_000))
    sets = MinHash(1, 1, 1).signed(pa.array([long, short, short + " x"])).sets.tolist()
    assert sets[0] == sets[1] != sets[2]


def test_estimates_are_as_good_as_theory_says() -> None:
    """Over 2,000 planted pairs: the mean error is within four standard errors of zero, and the mean square of the
    error over its expectation, s (1 - s) / 112 at a similarity of s, is 1 within 15 %."""
    params = MinHash()
    errors, expected = [], []
    for seed in range(2000):
        a = english(seed, 120)
        b = edited(a, 0.005 + 0.12 * (seed % 100) / 100, seed, lambda x: f"w{x}")
        sets = shingles(" ".join(a)), shingles(" ".join(b))
        similarity = jaccard(*sets)
        errors.append(np.mean(params.signature(sets[0]) == params.signature(sets[1])) - similarity)
        expected.append(similarity * (1 - similarity) / 112)
    assert abs(np.mean(errors)) < 4 * (np.mean(expected) / 2000) ** 0.5
    assert np.mean(np.square(errors)) / np.mean(expected) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("language", ["english", "chinese"])
@pytest.mark.parametrize("changed", [0.02, 0.03, 0.045])
def test_recall_follows_the_curve(language: str, changed: float) -> None:
    """Planted near-duplicates are retrieved as often as their true similarity predicts."""
    params, found, predicted = MinHash(), 0, 0.0
    pairs = 200
    for seed in range(pairs):
        if language == "english":
            text = english(seed, 250)
            near, glue = edited(text, changed, seed, lambda x: f"w{x}"), " "
        else:
            text = chinese(seed, 250)
            near, glue = edited(text, changed, seed, lambda x: chr(0x6000 + x % 8192)), ""
        a, b = shingles(glue.join(text)), shingles(glue.join(near))
        found += bool((params.band_keys(a) == params.band_keys(b)).any())
        predicted += match_probability(jaccard(a, b), params.bands, params.rows)
    assert found / pairs == pytest.approx(predicted / pairs, abs=4 * (0.25 / pairs) ** 0.5)
    if changed == 0.02:
        assert found / pairs > 0.9


def test_words_of_spaces_alone_would_miss_chinese() -> None:
    """Why characters count: the same planted pairs, cut at spaces and punctuation, are mostly lost."""
    params, by_character, by_space = MinHash(), 0, 0
    for seed in range(60):
        text = "".join(chinese(seed, 400))
        near = "".join(edited(list(text), 0.015, seed, lambda x: chr(0x6000 + x % 8192)))
        a, b = shingles(text), shingles(near)
        by_character += bool((params.band_keys(a) == params.band_keys(b)).any())
        # Latin letters instead of ideographs: whatever stands between two marks becomes one word
        latin = ("".join(c if c in "，。" else f"{ord(c):x}" for c in version) for version in (text, near))
        sets = [shingles(version) for version in latin]
        by_space += bool((params.band_keys(sets[0]) == params.band_keys(sets[1])).any())
    assert by_character >= 57
    assert by_space <= 20


def test_unrelated_texts_share_no_band() -> None:
    keys = [MinHash().band_keys(shingles(" ".join(english(seed, 200)))).tolist() for seed in range(100)]
    assert len({key for row in keys for key in row}) == 100 * 14


def test_signatures_and_bands_are_of_the_documents_with_words() -> None:
    params = MinHash(3, 2)
    table = signature_table(documents(["a b c", "", None, "!!!", "d"]), 7, 100, params, "content")
    assert table["row"].to_pylist() == [100, 104] and table["shard"].to_pylist() == [7, 7]
    bands = band_rows(table)
    assert bands["row"].to_pylist() == [100] * 3 + [104] * 3
    assert bands["key"].to_pylist()[:3] == params.band_keys(shingles("a b c")).tolist()
    assert bands["rank"].to_pylist() == np.repeat(table["content"].to_numpy(), 3).tolist()
    assert band_rows(table.slice(1)).equals(bands.slice(3))
    assert signature_table(documents([]), 0, 0, params, "longest").num_rows == 0
