"""What a general compressor reaches on a text: the reference by which bits per byte of different texts are compared.

xz at its highest level (LZMA2, preset 9 extreme, of Python's standard library) with a window of 64 MiB, so that all of
a distribution's texts are within it: one stream without a container's header, documents in order with a newline between
two. It looks for equal strings over the whole distribution, where a model sees one document at a time.
"""

import lzma
from collections.abc import Sequence

REFERENCE = "xz: LZMA2, preset 9 extreme, window of 64 MiB, the documents of a distribution as one stream"
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2**26}]


def xz_bits_per_byte(texts: Sequence[str]) -> float | None:
    """Bits of the stream for each byte of the texts in UTF-8; None where these have none."""
    content = "\n".join(texts).encode()
    size = sum(len(text.encode()) for text in texts)
    return 8 * len(lzma.compress(content, lzma.FORMAT_RAW, filters=_FILTERS)) / size if size else None
