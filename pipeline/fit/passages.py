"""Training data of a coherence model: passages of texts, and the same passages shuffled, stitched, mixed or cut up.

Every negative is made from a passage of the user's own texts and paired with that passage, with as many words and
(except for fragments) as many sentences, so that the model cannot use length, subject or style:

- `shuffled`: its sentences in another order, within windows of 8 or as a whole;
- `stitched`: its first half, then the second half of a passage from elsewhere;
- `inserted`: one sentence in five taken from elsewhere;
- `fragments`: pieces of two to six words, each from a sentence somewhere, on lines of their own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from filters.coherence import MAX_SENTENCES, sentences_of, words_of
from pipeline.fit.texts import Sample, stable_hash

# Sentences in a passage.
SHORTEST, LONGEST = 6, 40
# The window within which sentences are shuffled.
WINDOW = 8
# Half of the passages get up to this many headings for each sentence, before a negative is made of them.
MAX_HEADINGS = 0.5

Passage = list[str]


class PassageSource(NamedTuple):
    """Passages of one side of the split, each with the group that it comes from."""

    passages: list[Passage]
    groups: list[str]


def is_running_text(text: str) -> bool:
    """Whether most lines and sentences of a text have a final mark, and there are enough of them for a passage."""
    sentences = sentences_of(text)
    ends = sum(sentence[-1] in ".!?…\"'”’)。！？" for sentence in sentences)
    return len(sentences) >= SHORTEST and ends > len(sentences) / 2


def passages_of(samples: Sequence[Sample], most: int) -> PassageSource:
    """Cuts every text into passages of log-uniform length, by its hash, and drops remainders that are too short.
    Returns `most` of them, chosen by hash."""
    found: list[tuple[int, Passage, str]] = []
    for sample in samples:
        start, number = 0, stable_hash(sample.text)
        sentences = all_sentences(sample.text)
        while len(sentences) - start >= SHORTEST:
            number = stable_hash(str(number))
            size = round(SHORTEST * (LONGEST / SHORTEST) ** (number / 2**64))
            found.append((number, sentences[start : start + size], sample.group))
            start += size
    found.sort(key=lambda each: (each[0], each[2]))
    found = found[:most]
    return PassageSource([_with_headings(each[1]) for each in found], [each[2] for each in found])


def _with_headings(passage: Passage) -> Passage:
    """Adds to every other passage a few of its own words on lines of their own, like the headings and captions of
    pages, since fragments among sentences do not make a text incoherent."""
    draw = seeded("headings", passage)
    if draw.integers(2):
        return passage
    made = list(passage)
    for _ in range(int(draw.uniform(0, MAX_HEADINGS) * len(passage))):
        made.insert(int(draw.integers(len(made) + 1)), _fragment(passage[draw.integers(len(passage))], draw))
    return made


def all_sentences(text: str) -> Passage:
    """Every sentence that has a word."""
    return [sentence for sentence in sentences_of(text, None) if words_of(sentence)]


def parts_of(sentences: Passage) -> list[Passage]:
    return [sentences[start : start + MAX_SENTENCES] for start in range(0, len(sentences), MAX_SENTENCES)]


def shuffled(source: PassageSource, number: int, draw: np.random.Generator) -> Passage:
    """The sentences of a passage in another order."""
    passage = source.passages[number]
    window = (WINDOW, len(passage))[draw.integers(2)]
    made: Passage = []
    for start in range(0, len(passage), window):
        part = passage[start : start + window]
        order = draw.permutation(len(part))
        if len(part) > 1 and (order[1:] > order[:-1]).all():
            order = order[::-1]
        made += [part[i] for i in order]
    return made


def stitched(source: PassageSource, number: int, draw: np.random.Generator) -> Passage:
    """The first half of a passage and the second half of one of another group."""
    passage, other = source.passages[number], _of_another_group(source, number, draw)
    half = len(passage) // 2
    rest = len(passage) - half
    return passage[:half] + (other[-rest:] if len(other) >= rest else other)


def inserted(source: PassageSource, number: int, draw: np.random.Generator) -> Passage:
    """A passage with one sentence in five, and at least one, replaced by one of another group."""
    made = list(source.passages[number])
    for place in draw.permutation(len(made))[: max(len(made) // 5, 1)]:
        other = _of_another_group(source, number, draw)
        made[place] = other[draw.integers(len(other))]
    return made


def fragments(source: PassageSource, number: int, draw: np.random.Generator) -> Passage:
    """Pieces of two to six words from sentences of any passage, with as many words as the passage has."""
    left = sum(len(sentence.split()) for sentence in source.passages[number])
    made: Passage = []
    while left > 0:
        other = source.passages[draw.integers(len(source.passages))]
        sentence = other[draw.integers(len(other))]
        made.append(_fragment(sentence, draw))
        left -= max(len(made[-1].split()), 1)
    return made


def _fragment(sentence: str, draw: np.random.Generator) -> str:
    """Two to six words of a sentence (without spaces: 4 to 12 characters), capitalised, without a final mark."""
    words = sentence.split() if " " in sentence else [sentence[i : i + 2] for i in range(0, len(sentence), 2)]
    start, size = int(draw.integers(max(len(words) - 1, 1))), int(draw.integers(2, 7))
    bit = (" " if " " in sentence else "").join(words[start : start + size])
    bit = bit.rstrip(".,;:。，；：!?！？…") or "x"
    return bit[0].upper() + bit[1:]


NEGATIVES: dict[str, Callable[[PassageSource, int, np.random.Generator], Passage]] = {
    "shuffled": shuffled,
    "stitched": stitched,
    "inserted": inserted,
    "fragments": fragments,
}


def _of_another_group(source: PassageSource, number: int, draw: np.random.Generator) -> Passage:
    """A passage of another group; of the same group only if a hundred draws find no other."""
    for _ in range(100):
        other = int(draw.integers(len(source.passages)))
        if source.groups[other] != source.groups[number]:
            break
    return source.passages[other]


def seeded(kind: str, passage: Passage) -> np.random.Generator:
    return np.random.default_rng(stable_hash(f"{kind} {' '.join(passage)}"))
