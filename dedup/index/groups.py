"""Groups of an index: its contents, connected by verified edges. A group is named by its smallest key."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dedup.index.keys import Keys


def groups(a: Keys, b: Keys) -> tuple[Keys, Keys]:
    """(content, name of its group) for each content that has an edge, sorted by content. Edge i connects a[i] and
    b[i]."""
    nodes = np.unique(np.concatenate([a, b]))
    ends = np.searchsorted(nodes, a), np.searchsorted(nodes, b)
    graph = coo_array((np.ones(a.size, np.bool_), ends), shape=(nodes.size, nodes.size))
    labels = connected_components(graph, directed=False)[1] if nodes.size else np.empty(0, np.int32)
    # nodes are sorted: the first of a label is its smallest
    first = np.unique(labels, return_index=True)[1]
    return nodes, nodes[first[labels]]
