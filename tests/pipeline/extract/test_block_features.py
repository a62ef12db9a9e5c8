"""The features of blocks: a finite number for each block, named as in the shipped weights."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.block_features import features
from pipeline.extract.block_model import shipped_weights
from pipeline.extract.blocks import blocks
from tests.pipeline.extract.articles import PIECES


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_each_column_is_finite_and_in_the_order_of_the_weights(html: str) -> None:
    page = blocks(html)
    if page:
        columns = features(page)
        assert tuple(columns) == shipped_weights().names
        assert all(column.shape == (len(page),) and np.isfinite(column).all() for column in columns.values())
