"""`refinery fit quality`: a small fastText classifier of good text against ordinary web text.

A classifier learns any difference between its two sides: their extractors, or their lengths. So both are reduced to
lower-case words (without line breaks, bullets, bars or punctuation), cut into chunks, and the chunks are drawn so that
both sides have the same lengths. Both sides should be in the same language and from the same extractor.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filters.bag_of_words import quality_words
from infra.errors import UsageError
from pipeline.fit.fasttext_file import train_fasttext
from pipeline.fit.texts import Sample, auc, counted, origin, read_samples, split, stable_hash, write_card
from pipeline.models.quality import load_quality

GOOD, OTHER = "good", "other"
# Words in a chunk: fewer than 20 do not suffice to classify it, more than 160 add nothing.
CHUNK_WORDS = (20, 160)
MAX_CHUNKS = 20_000
# 20,000 words of 16 floats and their spelling: 1.6 MB.
VOCABULARY = 20_000
OPTIONS: dict[str, Any] = {"dim": 16, "epoch": 8, "lr": 0.3, "wordNgrams": 1, "minCount": 3}


class Chunk(NamedTuple):
    words: tuple[str, ...]
    group: str


def fit_quality(positive: Sequence[Path], negative: Sequence[Path], out: Path) -> dict[str, Any]:
    """Fits on files and returns the card. Raises UsageError if a side has too little text."""
    files = origin("quality", out, positive=positive, negative=negative)
    return quality_from(read_samples(positive), read_samples(negative), out, *files)


def quality_from(
    positive: Sequence[Sample], negative: Sequence[Sample], out: Path, made_from: Any, command: str
) -> dict[str, Any]:
    """Fits, measures on one group in ten, writes `out` and its card."""
    sides = [split(side) for side in (positive, negative)]
    trained = _matched(*(_chunks(training) for training, _ in sides))
    tested = _matched(*(_chunks(held_out) for _, held_out in sides))
    if not trained[0]:
        raise UsageError(
            f"there is too little text to fit a quality model: each side needs texts of {CHUNK_WORDS[0]} words and more"
        )
    labelled = [(GOOD, chunk) for chunk in trained[0]] + [(OTHER, chunk) for chunk in trained[1]]
    counts = Counter(word for _, chunk in labelled for word in chunk.words)
    frequent = frozenset(sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY])
    lines = sorted((label, " ".join(word for word in chunk.words if word in frequent)) for label, chunk in labelled)
    # Training reads the lines in order, so the labels must be interleaved.
    lines.sort(key=lambda line: stable_hash(line[1]))
    out.parent.mkdir(parents=True, exist_ok=True)
    train_fasttext(lines, out, **OPTIONS)
    score = load_quality(out)
    scores = [[score(" ".join(chunk.words)) for chunk in side] for side in tested]
    return write_card(
        out,
        "fastText: probability (label good) that a text reads like the positives rather than the negatives",
        command,
        made_from,
        positive=counted(positive),
        negative=counted(negative),
        chunks={"training": len(lines), "held_out": len(tested[0]) + len(tested[1])},
        held_out={
            "auc": round(auc(*scores), 4),
            "auc_of_length_alone": round(auc(*([len(chunk.words) for chunk in side] for side in tested)), 4),
        },
    )


def _chunks(samples: Sequence[Sample]) -> list[Chunk]:
    """Cuts every text into pieces of log-uniform length, by its hash, and drops remainders that are too short."""
    least, most = CHUNK_WORDS
    chunks = []
    for sample in samples:
        words = quality_words(sample.text).split()
        start, number = 0, stable_hash(sample.text)
        while len(words) - start >= least:
            number = stable_hash(str(number))
            size = round(least * (most / least) ** (number / 2**64))
            chunks.append(Chunk(tuple(words[start : start + size]), sample.group))
            start += size
    return chunks


def _matched(positive: Sequence[Chunk], negative: Sequence[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
    """Equally many chunks from both sides in every class of length (a class is 10 % wide), chosen by hash."""
    classes: defaultdict[int, tuple[list[Chunk], list[Chunk]]] = defaultdict(lambda: ([], []))
    for side, chunks in enumerate((positive, negative)):
        for chunk in chunks:
            classes[int(math.log(len(chunk.words)) / math.log(1.1))][side].append(chunk)
    total = sum(min(map(len, sides)) for sides in classes.values())
    share = min(1.0, MAX_CHUNKS / max(total, 1))
    matched: tuple[list[Chunk], list[Chunk]] = ([], [])
    for _, sides in sorted(classes.items()):
        count = math.ceil(min(map(len, sides)) * share)
        for kept, candidates in zip(matched, sides):
            kept += sorted(candidates, key=lambda chunk: (stable_hash(" ".join(chunk.words)), chunk))[:count]
    return matched
