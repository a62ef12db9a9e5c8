"""Inner loops over graphs of duplicates, compiled (`compiled.py` says what to keep in mind).

Nodes are indices from 0. A parent is a smaller index than its child, or the node itself where that is a root. Indices
of nodes are int32 where these fit, in arrays that are as large as a graph.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from infra.compiled import compiled

Indices = npt.NDArray[np.integer[Any]]
Numbers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]
Bands = npt.NDArray[np.int16]

_ROW = np.int64(0xFFFFFFFF)
_SHARD_AT = np.int64(32)


@compiled
def link(parent: Indices, rows: npt.NDArray[np.int32], starts: Numbers, a: Numbers, b: Numbers) -> int:
    """Joins the trees of a[i] and b[i] for every i: the larger root gets the smaller as its parent.

    The documents of shard s are the nodes from `starts[s]` to `starts[s + 1]`, and `rows` has their rows, ascending.
    Returns how many edges have an end that is no node; those are left out.
    """
    missing = 0
    roots = np.empty(2, np.int64)
    for i in range(a.size):
        found = 0
        for number in (a[i], b[i]):
            shard, row = number >> _SHARD_AT, number & _ROW
            if shard < 0 or shard + 1 >= starts.size:
                break
            low, high = starts[shard], starts[shard + 1]
            while low < high:
                middle = (low + high) >> 1
                if rows[middle] < row:
                    low = middle + 1
                else:
                    high = middle
            if low == starts[shard + 1] or rows[low] != row:
                break
            while parent[low] != low:
                parent[low] = parent[parent[low]]  # halves the path
                low = np.int64(parent[low])
            roots[found] = low
            found += 1
        if found < 2:
            missing += 1
        elif roots[0] < roots[1]:
            parent[roots[1]] = roots[0]
        else:
            parent[roots[0]] = roots[1]
    return missing


@compiled
def flatten(parent: Indices) -> None:
    """Makes each node's root its parent, in one pass: parents come before their children."""
    for node in range(parent.size):
        parent[node] = parent[parent[node]]


@compiled
def numbers_of(rows: npt.NDArray[np.int32], starts: Numbers, nodes: Indices) -> Numbers:
    """The document number of each of `nodes`; `rows` and `starts` as in `link`."""
    numbers = np.empty(nodes.size, np.int64)
    for i in range(nodes.size):
        node = np.int64(nodes[i])
        low, high = np.int64(0), np.int64(starts.size - 1)  # the last shard that begins at the node or before it
        while low < high:
            middle = (low + high) >> 1
            if starts[middle + 1] <= node:
                low = middle + 1
            else:
                high = middle
        numbers[i] = low << _SHARD_AT | np.int64(rows[node])
    return numbers


@compiled
def adjacency(
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], weights: Weights, bands: Bands, size: int
) -> tuple[Numbers, npt.NDArray[np.int32], Weights, Bands]:
    """The neighbours of each of `size` nodes, ascending, each once, with the largest weight of its edges (NaN if all
    are NaN) and the most bands of those: those of node i are `neighbours[starts[i]:starts[i + 1]]`. Returns (starts,
    neighbours, weights, bands).

    Edges go both ways; those from a node to itself are left out.
    """
    starts = np.zeros(size + 1, np.int64)
    for i in range(left.size):
        if left[i] != right[i]:
            starts[left[i] + 1] += 1
            starts[right[i] + 1] += 1
    for node in range(size):
        starts[node + 1] += starts[node]
    at = starts[:-1].copy()
    some = np.empty(starts[size], np.int32)
    some_weights, some_bands = np.empty(some.size, np.float64), np.empty(some.size, np.int16)
    for i in range(left.size):
        if left[i] != right[i]:
            for node, other in ((left[i], right[i]), (right[i], left[i])):
                k = at[node]
                some[k], some_weights[k], some_bands[k] = other, weights[i], bands[i]
                at[node] += 1
    # once more from the other side: as the nodes come in order, so do they among the neighbours of each
    at[:] = starts[:-1]
    neighbours = np.empty(some.size, np.int32)
    found, of_found = np.empty(some.size, np.float64), np.empty(some.size, np.int16)
    for node in range(size):
        for k in range(starts[node], starts[node + 1]):
            place = at[some[k]]
            neighbours[place], found[place], of_found[place] = node, some_weights[k], some_bands[k]
            at[some[k]] += 1
    count = 0
    for node in range(size):
        begin, first = starts[node], count
        starts[node] = count
        for k in range(begin, at[node]):  # where the next node's begin, which may be overwritten by now
            if count > first and neighbours[count - 1] == neighbours[k]:
                last = found[count - 1]
                if found[k] > last or (np.isnan(last) and not np.isnan(found[k])):
                    found[count - 1], of_found[count - 1] = found[k], of_found[k]
                elif not found[k] < last and of_found[k] > of_found[count - 1] and np.isnan(found[k]) == np.isnan(last):
                    of_found[count - 1] = of_found[k]
            else:
                neighbours[count], found[count], of_found[count] = neighbours[k], found[k], of_found[k]
                count += 1
    starts[size] = count
    return starts, neighbours[:count].copy(), found[:count].copy(), of_found[:count].copy()


@compiled
def greedy_survivors(starts: Numbers, neighbours: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """For each node, the neighbour that removes it, or itself if it survives. Shape (nodes,).

    Nodes are ordered best first, with neighbours as of `adjacency`. A node that no better node has removed survives and
    removes its neighbours.
    """
    survivor = np.full(starts.size - 1, -1, np.int32)
    for node in range(survivor.size):
        if survivor[node] >= 0:
            continue
        survivor[node] = node
        for k in range(starts[node], starts[node + 1]):
            if survivor[neighbours[k]] < 0:
                survivor[neighbours[k]] = node
    return survivor


@compiled
def component_heads(starts: Numbers, neighbours: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The smallest node of each node's component. Shape (nodes,)."""
    head = np.arange(starts.size - 1).astype(np.int32)
    for node in range(head.size):
        for k in range(starts[node], starts[node + 1]):
            low, high = np.int64(node), np.int64(neighbours[k])
            if high > low:
                break  # the other end of the edge joins them
            while head[low] != low:
                head[low] = head[head[low]]
                low = np.int64(head[low])
            while head[high] != high:
                head[high] = head[head[high]]
                high = np.int64(head[high])
            head[max(low, high)] = min(low, high)
    for node in range(head.size):
        head[node] = head[head[node]]
    return head


@compiled
def evidence(
    starts: Numbers, neighbours: npt.NDArray[np.int32], weights: Weights, survivor: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], Numbers]:
    """By which edge each node is removed: its other end, and its place among the neighbours. The survivor, where the
    two share an edge; else the neighbour with the largest weight, of several the smallest. A survivor has itself, and
    -1."""
    via = survivor.copy()
    edge = np.full(survivor.size, -1, np.int64)
    for node in range(survivor.size):
        if survivor[node] == node:
            continue
        best = np.nan
        for k in range(starts[node], starts[node + 1]):
            if neighbours[k] == survivor[node]:
                via[node], edge[node] = neighbours[k], k
                break
            if k == starts[node] or weights[k] > best or (np.isnan(best) and not np.isnan(weights[k])):
                via[node], edge[node], best = neighbours[k], k, weights[k]
    return via, edge
