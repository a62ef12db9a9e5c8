"""What the families of repetition rules (Gopher, DCLM, RedPajama) have in common: their signals by unit and by n."""

from collections.abc import Callable, Iterator
from functools import partial

from filters.signal import Signal
from filters.tokens import Repeats, Tokens

# Of n-grams up to this length the most frequent counts, of longer ones, up to LONGEST, all that are repeated.
LONGEST_TOP = 4
LONGEST = 10

Characters = Callable[[Tokens, int, Repeats], int]


def n_gram_characters(words: Tokens, top: Characters, duplicate: Characters) -> dict[int, int]:
    """By n: the characters of the top (n = 2, 3, 4) or of the duplicate (n = 5 ... 10) n-grams, as a family counts."""
    return {n: (top if n <= LONGEST_TOP else duplicate)(words, n, found) for n, found in words.repeats(LONGEST)}


def n_gram_signals(
    top: tuple[str, str], duplicate: tuple[str, str], fraction: Callable[..., float | None], source: str
) -> Iterator[Signal]:
    """A signal for each n. `top`, `duplicate`: the name, with {n} in it, and the doc; `fraction(view, n)`."""
    for n in range(2, LONGEST + 1):
        name, doc = top if n <= LONGEST_TOP else duplicate
        yield Signal(name.format(n=n), partial(fraction, n=n), 40 if n <= LONGEST_TOP else 20, source, doc)


def duplicate_signals(
    prefix: str, fraction: Callable[..., float], characters: Callable[..., float], source: str, which: str
) -> Iterator[Signal]:
    """Duplicate lines and paragraphs: `fraction(view, unit)` of them, and of `characters`; `which` ones are meant."""
    for name, part, cost, what in (("", fraction, 20, ""), ("character_", characters, 5, "characters in ")):
        for unit in ("line", "paragraph"):
            doc = f"{what}{unit}s {which}, 0..1"
            yield Signal(f"{prefix}duplicate_{unit}_{name}fraction", partial(part, unit=unit), cost, source, doc)
