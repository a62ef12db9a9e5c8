"""Sums over all pages of a stage from those of a sample, by strata whose pages have one share of the sample.

Pages that ended at one step are of one kind, with strata by length. Of each kind:

- documents: the mean of the sampled pages, each weighed by the pages that it stands for, times the number of all; by
  stratum, those of few sampled pages joined with the next ones (Hajek 1971);
- tokens: the length of the text is known of all pages, and what the baseline keeps of a page is about in proportion to
  it. The sampled pages tell the ratio, and its errors are estimated like documents: the combined ratio estimator
  (Cochran 1977, Sampling Techniques, 6.11 and 6.12).

The variance is that of a sample in which each page is drawn by itself (Poisson sampling): the sum over the sampled
pages of (1 - share) / share^2 e^2, where e is what a page differs from the mean, or from the line, of its stratum. A
sample of all pages has no error. A ratio has a bias of the order of 1/n, far below its standard error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

# Strata of fewer sampled pages than this are joined with the next one.
LEAST = 6
# A kind of fewer sampled pages has no ratio of tokens to length of its own.
LEAST_OF_RATIO = 10


@dataclass(frozen=True)
class Stratum:
    """Its pages are of one `kind` and have this `share` of the sample. Sums: `chars` over all `pages`; over the
    `sampled` ones the characters, their squares, the `docs` and `tokens` that the baseline keeps, the squares of the
    tokens, the products of both."""

    kind: int
    share: float
    pages: int = 0
    chars: int = 0
    sampled: int = 0
    sampled_chars: int = 0
    chars_squares: int = 0
    docs: int = 0
    tokens: int = 0
    squares: int = 0
    products: int = 0

    @property
    def is_whole(self) -> bool:
        return self.sampled == self.pages

    def left(self, ratio: float, mean: float) -> float:
        """The sum of the squares of what tokens differ from `ratio` times the characters, plus `mean`."""
        squares = self.squares - 2 * ratio * self.products + ratio * ratio * self.chars_squares
        return squares - 2 * mean * (self.tokens - ratio * self.sampled_chars) + mean * mean * self.sampled


@dataclass(frozen=True)
class JoinedStrata:
    """Strata that are estimated together."""

    strata: tuple[Stratum, ...]

    @property
    def kind(self) -> int:
        return self.strata[-1].kind

    @property
    def sampled(self) -> int:
        return sum(each.sampled for each in self.strata)

    @property
    def factor(self) -> float:
        """The number of pages over what the sample says that it is; 0 without a sample."""
        told = sum(each.sampled / each.share for each in self.strata if each.sampled)
        return sum(each.pages for each in self.strata) / told if told else 0.0

    def total(self, value: Callable[[Stratum], float]) -> float:
        """The sum over all pages of what `value` sums over the sampled pages of a stratum."""
        return self.factor * sum(value(each) / each.share for each in self.strata if each.sampled)

    def variance(self, squares: Callable[[Stratum], float]) -> float:
        """The variance of a total, where `squares` is the sum of the squared errors of a stratum."""
        number = self.sampled
        spread = sum((1 - each.share) / each.share**2 * max(squares(each), 0.0) for each in self.strata if each.sampled)
        return self.factor**2 * spread * number / max(number - 1, 1)

    def mean(self, value: Callable[[Stratum], float]) -> float:
        pages = sum(each.pages for each in self.strata)
        return self.total(value) / pages if pages else 0.0


def estimate(strata: Sequence[Stratum]) -> tuple[float, float, float, float]:
    """Documents with their variance, tokens with theirs, of all pages. `strata`: in the order of kind and length."""
    groups = joined(strata)
    docs = [(group.total(lambda each: each.docs), _docs_variance(group)) for group in groups]
    tokens = [_tokens(list(members)) for _, members in groupby(groups, lambda group: group.kind)]
    return _sum(docs, 0), _sum(docs, 1), _sum(tokens, 0), _sum(tokens, 1)


def _sum(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return sum(pair[place] for pair in pairs)


def _docs_variance(group: JoinedStrata) -> float:
    mean = group.mean(lambda each: each.docs)
    return group.variance(lambda each: each.docs * (1 - 2 * mean) + mean * mean * each.sampled)


def _tokens(groups: Sequence[JoinedStrata]) -> tuple[float, float]:
    """The tokens of pages of one kind, with their variance."""
    told = sum(group.total(lambda each: each.tokens) for group in groups)
    told_chars = sum(group.total(lambda each: each.sampled_chars) for group in groups)
    chars = sum(each.chars for group in groups for each in group.strata)
    is_known = told_chars > 0 and sum(group.sampled for group in groups) >= LEAST_OF_RATIO
    ratio = told / told_chars if is_known else 0.0
    weight = chars / told_chars if is_known else 1.0
    variance = 0.0
    for group in groups:
        mean = group.mean(lambda each: each.tokens - ratio * each.sampled_chars)
        variance += weight**2 * group.variance(lambda each, mean=mean: each.left(ratio, mean))  # type: ignore[misc]
    return told + ratio * (chars - told_chars), variance


def joined(strata: Sequence[Stratum]) -> list[JoinedStrata]:
    """The strata in order, those of few sampled pages joined with those after them: of one kind if there are any, the
    last ones of a kind with those before."""
    made: list[JoinedStrata] = []
    short: tuple[Stratum, ...] = ()
    for _, members in groupby(strata, lambda each: each.kind):
        first = len(made)
        for each in members:
            short += (each,)
            if sum(one.sampled for one in short) >= LEAST or all(one.is_whole for one in short):
                made.append(JoinedStrata(short))
                short = ()
        if short and len(made) > first:
            made[-1] = JoinedStrata(made[-1].strata + short)
            short = ()
    if short and made:
        made[-1] = JoinedStrata(made[-1].strata + short)
    elif short:
        made.append(JoinedStrata(short))
    return made
