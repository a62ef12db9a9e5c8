"""Where tags end."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.element_ends import ATTRIBUTES, TAG, WS

# The same without the shorter way for most tags.
WHOLE = re.compile(rf"<(?:(/?)([a-zA-Z][^{WS}/>]*+)({ATTRIBUTES})?+|!--|[!?]|/(?!\Z))")


@settings(max_examples=500, deadline=None)
@given(st.text(" =\"'/>\tx<b", max_size=30))
def test_most_tags_are_read_in_fewer_steps_to_the_same_end(inside: str) -> None:
    page = f"<a{inside}"
    found = [(each.span(), each.groups()) for each in re.compile(TAG).finditer(page)]
    assert found == [(each.span(), each.groups()) for each in WHOLE.finditer(page)]
