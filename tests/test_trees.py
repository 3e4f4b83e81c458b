"""Binary trees over sentences: brackets, numbering by gaps, levels, phrases, words."""

import numpy as np
import pytest

from dl.trees import WIDTH, parse, phrases, right_branching, treebank_words

MOVIE = "(1 (2 (2 The) (2 movie)) (1 (2 was) (1 (2 not) (3 good))))"


def test_nodes_are_numbered_by_the_gaps_where_their_children_meet():
    tree = parse(MOVIE)
    assert tree.words == ("The", "movie", "was", "not", "good")
    assert tree.children.tolist() == [[0, 0], [0, 1], [-1, -3], [2, -4], [3, 4]]
    assert tree.labels.tolist() == [[2, -1], [2, 2], [2, 1], [2, 1], [3, 1]]
    assert (tree.root, tree.label) == (2, 1)
    assert tree.spans.tolist() == [[0, 0], [0, 2], [0, 5], [2, 5], [3, 5]]


def test_levels_are_few_and_hold_children_before_parents():
    rng = np.random.default_rng(0)

    def drawn(count):
        if count == 1:
            return "w"
        left = int(rng.integers(1, count))
        return f"({drawn(left)} {drawn(count - left)})"

    for count in (1, 2, 3, 9, 30):
        tree = parse(drawn(count), labelled=False)
        level = tree.place // WIDTH
        assert (tree.place >= 0).tolist() == [False] + [True] * (count - 1)
        assert len(set(tree.place.tolist())) == count
        for gap in range(1, count):
            assert all(child >= 0 or level[-child] < level[gap] for child in tree.children[gap])
    full = parse("(((a b) (c d)) ((e f) (g h)))", labelled=False)
    assert full.place.max() // WIDTH + 1 == -(-4 // WIDTH) + -(-2 // WIDTH) + 1
    assert right_branching(list("abcde")).place.max() // WIDTH + 1 == 4


def test_every_labelled_node_is_a_phrase():
    found = {" ".join(words): label for words, label in phrases(parse(MOVIE))}
    neutral = dict.fromkeys(("The", "movie", "was", "not", "The movie"), 2)
    assert found == neutral | {"good": 3, "not good": 1, "was not good": 1, "The movie was not good": 1}
    assert list(phrases(right_branching(["a", "b"]))) == []


def test_without_labels_and_without_a_parse():
    tree = parse("(a (b c))", labelled=False)
    assert all(np.array_equal(a, b) for a, b in zip(tree, right_branching(["a", "b", "c"]), strict=True))
    assert tree.labels.max() == -1
    assert right_branching(["alone"]).root == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(2 (2 a) (2 b)", "not closed"),
        ("(2 a))", "not opened"),
        ("(2 (2 a) (2 b) (2 c))", "a node of 3 children"),
        ("(2 (2 a))", "a node of 1 children"),
        ("(x (2 a) (2 b))", "neither"),
        ("(2 a b)", "neither"),
        ("()", "neither"),
        ("(2 a) (2 b)", "2 trees"),
        ("", "0 trees"),
    ],
)
def test_what_is_no_tree_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_words_are_divided_as_in_the_treebank():
    text = "It\u2019s not the film's fault, I didn't like it... \"Well-made\" (3.5)."
    words = "It 's not the film 's fault , I did n't like it ... ' Well-made ' ( 3.5 ) ."
    assert treebank_words(text) == [word.replace("'", '"') if word == "'" else word for word in words.split()]
