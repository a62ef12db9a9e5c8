"""Texts as keys and shingles read them: what light Markdown adds to a page's text is no part of it.

The extractors that can write Markdown say for each document whether they did (signal `markdown`, 0 or 1). Of such
documents both forms lose what would tell them apart: heading marks, items' marks and numbers, fences with their
languages, pipes, backticks, dollar signs and other delimiters of formulas, signs of anchors, and who spoke in a forum.
So a page has one key, extracted as Markdown or as plain text. Other documents are read as they are.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

# The columns that `unmarked_texts` reads.
READ: Final = ("text", "signals")
# RE2, in one pass: linear in the length of the text.
_MARKS: Final = (
    r"(?m)^(?:```+[\w+#.-]*$|\|(?:---\|)+$|\*\*[^*\n]{1,60}\*\*:$|#{1,6} (?: *(?:- |\d{1,9}\. ))?"
    r"|(?: *(?:- |\d{1,9}\. )){1,2})|[`$¶]|\\?\||\\[()\[\]]| #$"
)


def unmarked_texts(documents: pa.RecordBatch) -> pa.Array:
    """The texts of a batch of documents, of those with the signal `markdown` without its marks. White space differs."""
    texts = documents["text"]
    if "signals" not in documents.schema.names or documents["signals"].type.get_field_index("markdown") < 0:
        return texts
    told = pc.struct_field(documents["signals"], "markdown").is_valid()
    if not told.true_count:
        return texts
    unmarked = pc.replace_substring_regex(texts, pattern=_MARKS, replacement="")
    return unmarked if told.true_count == len(told) else pc.if_else(told, unmarked, texts)
