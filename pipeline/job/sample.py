"""The audit sample: which pages of an extract stage are in it, and how many pages each of them stands for.

A page is in the sample if a hash of its place is below its share. Without a baseline all pages have the same share.
With one (`pipeline/job/baseline.py`) the share depends on what is known of every page when its prefilter ends: it
doubles with each octave of text above LONG characters, since long pages decide the sum of tokens, and it is a quarter
for a page of a language that the baseline rejects. A share of 1 is all pages, of every language. Of sampled pages that
the prefilter rejects all go through the baseline, but of those that are far from its bounds only a quarter goes through
the rest of the recipe, which would hardly keep them. The share of each page is known, so estimates stay unbiased; it
only decides how near they are (Horvitz and Thompson 1952).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import xxhash

from infra.ledger import Reject

# Texts of up to so many characters have the share of the sample, longer ones more, up to 2^OCTAVES times as much.
LONG = 1 << 14
OCTAVES = 4
UNLIKELY = 0.25
# Of the sampled pages that are far from the bounds of the prefilter so many go on; a page is near if it has this part
# of each minimum that it missed.
FAR, NEAR = 0.25, 0.5
# The share of a small input is one of a few: a run that grows a little keeps it, and its finished parts.
STEPS = 8


@dataclass(frozen=True)
class AuditSampling:
    """`share`: of pages of usual length, 0 to 1. `weighted`: it differs between pages; `languages`: those that the
    baseline keeps (none: all)."""

    share: float
    weighted: bool = False
    languages: tuple[str, ...] = ()

    def share_of(self, chars: int, unlikely: bool) -> float:
        """The share of pages of this kind. `unlikely`: the baseline will hardly keep them."""
        if not self.weighted or self.share >= 1:
            return self.share
        octaves = min(max((chars // LONG).bit_length(), 0), OCTAVES)
        return min(self.share * 2.0**octaves * (UNLIKELY if unlikely else 1.0), 1.0)

    def let_through(self, share: float, rejects: Sequence[Reject]) -> float:
        """The share of such pages that go on although the prefilter rejects them, of a page with this `share`; if all
        of them are sampled, all go on."""
        return share if not self.weighted or share == 1 or all(map(_is_near, rejects)) else share * FAR

    def is_unlikely(self, language: str | None, read: bool) -> bool:
        """`language`: of the page, if it is known; `read`: the page has a text that nothing but its size, language or
        quality ended."""
        return bool(self.languages) and (not read or (language is not None and language not in self.languages))


def _is_near(reject: Reject) -> bool:
    if reject.value is None or reject.threshold is None:
        return False
    return reject.rule.startswith("min_") and reject.value >= NEAR * reject.threshold


def small_share(share: float, pages: int, least: int) -> float:
    """The share of an input of so many pages: such that about `least` of them are sampled, and no less than `share`; it
    is a power of 2^(1/STEPS), the next one above."""
    if pages <= least:
        return 1.0
    return max(share, float(2.0 ** (ceil(STEPS * log2(least / pages)) / STEPS)))


def in_sample(record: Mapping[str, Any], share: float) -> bool:
    """Whether the record is in a sample of this share: by a hash of its key, so that order and number do not matter,
    and a larger share has the pages of a smaller one."""
    if not share:
        return False
    # the prefix decides which pages are sampled: another would sample others
    key = f"control:{record['file_path']}:{record['warc_offset']}:{record['member_record']}"
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace")) < share * 2**64
