"""What one look at a page's bytes finds is what a search for each of it finds."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.byte_kernels import control_bytes, foreign_bytes

PIECES = st.sampled_from(
    [b"&Atilde;&", b"&acirc;&", b"&#195;&", b"&#226;", b"&amp;", b"a" * 63, b"\xc2\x85", "é—的".encode(), b"\x00\x7f\n"]
)
PAGES = st.lists(PIECES | st.binary(max_size=70), max_size=8).map(b"".join)


@given(PAGES)
def test_foreign_bytes(page: bytes) -> None:
    out = np.zeros(len(page), np.uint8)
    count, referred = foreign_bytes(np.frombuffer(page, np.uint8), out)
    assert out[:count].tobytes() == bytes(byte for byte in page if byte >= 0x80)
    assert referred == (re.search(rb"&(?:Atilde|acirc|#195|#226);&", page) is not None)


@given(PAGES)
def test_control_bytes(page: bytes) -> None:
    assert control_bytes(np.frombuffer(page, np.uint8)) == sum(byte < 0x20 or byte in (0x7F, 0xC2) for byte in page)
