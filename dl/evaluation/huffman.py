"""Huffman's tree over words (Huffman 1952), for the hierarchical softmax (Morin & Bengio 2005; Mikolov et al. 2013)."""

import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int


class Tree(NamedTuple):
    """The way from the root to each of V words, padded to the deepest.

    nodes: int32 [V, L], the inner nodes on it, 0 to V - 2; turns: bool [V, L], which child follows each; depth: int32 [V], how
    many nodes it has.
    """

    nodes: Int[np.ndarray, "v l"]
    turns: Bool[np.ndarray, "v l"]
    depth: Int[np.ndarray, " v"]


def huffman(counts: Int[np.ndarray, " v"]) -> Tree:
    """The tree in which the mean length of a word's way, weighted by the counts, is least. V is at least 2.

    Of equal counts, what was there first is joined first, so that the tree is a function of the counts.
    """
    size = len(counts)
    heap = [(int(count), number) for number, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, turn = np.zeros(2 * size - 1, np.int64), np.zeros(2 * size - 1, bool)
    for joined in range(size, 2 * size - 1):
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        parent[[one[1], other[1]]] = joined
        turn[other[1]] = True
        heapq.heappush(heap, (one[0] + other[0], joined))
    root, at, steps = 2 * size - 2, np.arange(size), []
    while (at != root).any():  # upwards, all words together; one that has arrived stays
        moving = at != root
        steps.append((np.where(moving, parent[at] - size, 0), moving & turn[at], moving))
        at = np.where(moving, parent[at], root)
    nodes, turns, moving = (np.stack(values, axis=1) for values in zip(*steps, strict=True))
    depth = moving.sum(1)
    order = np.where(moving, depth[:, None] - 1 - np.arange(len(steps)), np.arange(len(steps)))  # from the root on
    nodes, turns = (np.take_along_axis(values, order, axis=1) for values in (nodes, turns))
    return Tree(nodes.astype(np.int32), turns, depth.astype(np.int32))
