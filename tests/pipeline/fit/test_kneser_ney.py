"""Modified Kneser-Ney: a distribution in every context, hand-computed values, and the numbers of a real `lmplz`."""

import io
import math
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import kenlm
import numpy as np
import pytest

from infra.errors import UsageError
from pipeline.fit.kneser_ney import FALLBACK_DISCOUNTS, Model, discounts_of, estimate, write_arpa

NO_PRUNING = (0, 0, 0, 0, 0)
SINGLETONS = (0, 0, 1, 1, 1)


def corpus(sentences: int = 400, words: int = 40) -> list[list[str]]:
    """Zipf-like sentences in which words depend on the word before."""
    draw = random.Random(7)
    made = []
    for _ in range(sentences):
        sentence, last = [], 0
        for _ in range(draw.randint(1, 12)):
            last = (last * draw.randint(0, 2) + int(words ** draw.random())) % words
            sentence.append(f"w{last}")
        made.append(sentence)
    return made


def arpa(model: Model) -> bytes:
    file = io.BytesIO()
    write_arpa(model, file)
    return file.getvalue()


def open_kenlm(model: Model, folder: Path) -> kenlm.Model:
    (folder / "lm.arpa").write_bytes(arpa(model))
    return kenlm.Model(str(folder / "lm.arpa"))


@pytest.mark.parametrize("prune", [NO_PRUNING, SINGLETONS])
def test_probabilities_of_every_context_sum_to_one(prune: Sequence[int], tmp_path: Path) -> None:
    sentences = corpus()
    lm = open_kenlm(estimate(sentences, 5, prune), tmp_path)
    vocabulary = [*sorted({word for sentence in sentences for word in sentence}), "</s>", "never-seen"]
    contexts = [sentence[:length] for sentence in sentences[:25] for length in range(5)]
    contexts += [["never-seen"], ["w1", "never-seen", "w2"]]
    for context in contexts:
        state = kenlm.State()
        lm.BeginSentenceWrite(state)
        for word in context:
            after = kenlm.State()
            lm.BaseScore(state, word, after)
            state = after
        total = sum(10 ** lm.BaseScore(state, word, kenlm.State()) for word in vocabulary)
        assert total == pytest.approx(1, abs=1e-4), context


def test_bigrams_by_hand() -> None:
    """Two sentences, "a b" and "a c". Both orders have degenerate counts of counts, so D is .5, 1, 1.5.

    Bigrams, raw: <s> a 2, a b 1, a c 1, b </s> 1, c </s> 1. Unigrams count distinct left words: a 1, b 1, c 1, </s> 2:
    5 in all. Their discounts free .5 + .5 + .5 + 1 = 2.5 of 5, so .5 goes to the uniform over <unk> </s> a b c.
    """
    model = estimate([["a", "b"], ["a", "c"]], 2, (0, 0))
    assert model.discounts == (FALLBACK_DISCOUNTS, FALLBACK_DISCOUNTS)
    unigram = {word: 10**p for word, p in zip(model.words, model.log10_p[0])}
    assert unigram["a"] == pytest.approx((1 - 0.5) / 5 + 0.5 / 5)
    assert unigram["</s>"] == pytest.approx((2 - 1) / 5 + 0.5 / 5)
    assert unigram["<unk>"] == pytest.approx(0.5 / 5)
    counts = model.orders[1]
    bigram = {
        (model.words[prefix], model.words[word]): 10**p
        for prefix, word, p in zip(counts.prefix_G, counts.word_G, model.log10_p[1])
    }
    # After <s>: 2 occurrences, discount 1 of 2 → backoff .5. After a: two singletons, .5 each of 2 → backoff .5.
    assert bigram["<s>", "a"] == pytest.approx((2 - 1) / 2 + 0.5 * unigram["a"])
    assert bigram["a", "b"] == pytest.approx((1 - 0.5) / 2 + 0.5 * unigram["b"])
    assert bigram["b", "</s>"] == pytest.approx((1 - 0.5) / 1 + 0.5 * unigram["</s>"])
    backoff = {word: 10**value for word, value in zip(model.words, model.log10_backoff[0])}
    assert backoff["a"] == pytest.approx(0.5)
    assert backoff["</s>"] == pytest.approx(1)


def test_discounts_of_chen_and_goodman() -> None:
    """n1 .. n4 = 8, 4, 2, 1: Y = 8/16; D1 = 1 - 2Y/2 = .5, D2 = 2 - 3Y/2 = 1.25, D3+ = 3 - 4Y/2 = 2."""
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    assert discounts_of(counts) == pytest.approx((0.5, 1.25, 2.0))


@pytest.mark.parametrize("counts", [[1, 1, 2], [2, 3, 4], [1] * 9 + [2] + [3] * 9, []])
def test_degenerate_counts_fall_back(counts: list[int]) -> None:
    assert discounts_of(np.array(counts, np.int64)) == FALLBACK_DISCOUNTS


def test_order_of_sentences_does_not_matter() -> None:
    sentences = corpus(100)
    assert arpa(estimate(sentences, 3, (0, 0, 1))) == arpa(estimate(sentences[::-1], 3, (0, 0, 1)))


def test_pruned_model_is_smaller_and_complete(tmp_path: Path) -> None:
    sentences = corpus()
    whole, pruned = estimate(sentences, 5, NO_PRUNING), estimate(sentences, 5, SINGLETONS)
    assert [int(order.kept_G.sum()) for order in pruned.orders[:2]] == [len(order.raw_G) for order in whole.orders[:2]]
    for counts in pruned.orders[2:]:
        assert (counts.raw_G[counts.kept_G] > 1).all() and 0 < counts.kept_G.sum() < len(counts.raw_G)
    assert open_kenlm(pruned, tmp_path).order == 5


def test_marks_in_the_text_are_unknown_words() -> None:
    model = estimate([["a", "<s>", "b"], ["</s>"]], 2, (0, 0))
    assert model.words == ("<unk>", "<s>", "</s>", "a", "b")


@pytest.mark.parametrize(("order", "prune"), [(1, (0,)), (3, (0, 0)), (3, (1, 1, 1)), (3, (0, 2, 1))])
def test_bad_words(order: int, prune: Sequence[int]) -> None:
    with pytest.raises(UsageError, match="prune list"):
        estimate([["a"]], order, prune)


def test_no_text() -> None:
    with pytest.raises(UsageError, match="no text"):
        estimate([[]])


LMPLZ = os.environ.get("LMPLZ") or shutil.which("lmplz")


def read_arpa(content: str) -> dict[str, tuple[float, float]]:
    rows = (line.split("\t") for line in content.split("\n"))
    return {row[1]: (float(row[0]), float(row[2]) if len(row) > 2 else 0.0) for row in rows if len(row) > 1}


@pytest.mark.long
@pytest.mark.skipif(LMPLZ is None, reason="needs KenLM's lmplz on PATH or in LMPLZ")
@pytest.mark.parametrize(
    ("words", "prune"), [(40, NO_PRUNING), (2000, NO_PRUNING), (2000, SINGLETONS), (3, NO_PRUNING)]
)
def test_lmplz_computes_the_same(words: int, prune: Sequence[int], tmp_path: Path) -> None:
    """Every probability and backoff to 1e-5; 3 words have degenerate counts, so that the fallback is compared too."""
    sentences = corpus(3000, words)
    text = tmp_path / "text"
    text.write_text("".join(" ".join(sentence) + "\n" for sentence in sentences))
    assert LMPLZ is not None
    command = [LMPLZ, "-o", "5", "-S", "1G", "-T", str(tmp_path), "--discount_fallback", "--text", str(text)]
    pruned = ["--prune", *map(str, prune)] if any(prune) else []
    theirs = read_arpa(subprocess.run([*command, *pruned], capture_output=True, check=True, text=True).stdout)
    ours = read_arpa(arpa(estimate(sentences, 5, prune)).decode())
    assert set(ours) == set(theirs)
    for ngram, (p, backoff) in theirs.items():
        assert math.isclose(ours[ngram][0], p, abs_tol=1e-5), ngram
        assert math.isclose(ours[ngram][1], backoff, abs_tol=1e-5), ngram
