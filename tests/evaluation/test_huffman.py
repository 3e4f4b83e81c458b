"""Huffman's tree."""

import numpy as np
import pytest

from dl.evaluation.huffman import huffman


def test_the_textbook_example():
    """Cormen et al., Introduction to Algorithms, figure 16.4: f 5, e 9, c 12, b 13, d 16, a 45; 224 bits in all."""
    counts = np.array([45, 13, 12, 16, 9, 5])
    tree = huffman(counts)
    assert tree.depth.tolist() == [1, 3, 3, 3, 4, 4] and (tree.depth * counts).sum() == 224


@pytest.mark.parametrize("counts", [[3, 1], [1, 1, 1, 1], [0, 0, 5, 1, 1, 9, 2], list(range(1, 50))])
def test_ways_begin_at_the_root_and_no_word_lies_on_the_way_to_another(counts):
    tree = huffman(np.array(counts))
    size = len(counts)
    assert (tree.nodes[:, 0] == size - 2).all() and (tree.nodes >= 0).all() and (tree.nodes < size - 1).all()
    ways = {tuple(tree.turns[w, : tree.depth[w]].tolist()) for w in range(size)}
    assert len(ways) == size and sum(2.0 ** -len(way) for way in ways) == 1  # Kraft: the tree is full
    assert not any(a != b and b[: len(a)] == a for a in ways for b in ways)
    places = {}
    for word in range(size):  # two words whose ways are alike so far are at the same node
        for step in range(tree.depth[word]):
            so_far = tuple(tree.turns[word, :step].tolist())
            assert places.setdefault(so_far, tree.nodes[word, step]) == tree.nodes[word, step]
    assert len(set(places.values())) == len(places) == size - 1
