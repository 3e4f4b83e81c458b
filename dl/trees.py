"""Binary trees over the words of a sentence: how they are written and stored, and in which order a net computes their nodes.

A tree over N words has N leaves and N - 1 inner nodes. Each inner node has its own gap between two neighbouring words, that
where its two children meet: the node at gap j, 1 <= j < N, joins what ends with the word j - 1 and what begins with the word
j. So leaves and inner nodes are numbered by words, and whatever is known of a tree is an array of N rows, as long as its
sentence (gap 0 is no node). A child is written as i for the leaf i, and as -j for the node at gap j.

    The movie was not bad      ((The movie) (was (not bad)))      gap 1: The movie   gap 4: not bad
    0   1     2   3   4                                           gap 3: was (not bad)   gap 2: the root
"""

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

WIDTH = 2  # nodes of one tree that are computed at the same time, at most: real trees are deep, and gain little from more
# A leaf's label and word, the label of a bracket that opens, one that closes, or what should not be there. A word may hold a
# no-break space, as in "8 1/2".
_LABELLED = re.compile(r"\((\d+) +([^ \t\r\n()]+)\)|\((\d+)|(\))|([^ \t\r\n()]+|\()")
_PLAIN = re.compile(r"()([^ \t\r\n()]+)|\(()|(\))()")
_CONTRACTIONS = re.compile(r"(?i)(?<=\w)(n't|'(?:s|re|ve|ll|d|m))(?!\w)")
_BESIDE_WORDS = re.compile(r"\.\.\.|--|[.,!?;:\"`()](?!\w)|(?<!\w)[\"`(]")


class SentenceTree(NamedTuple):
    """A sentence and its tree; N is the number of words.

    words: [N].
    children: of the node at each gap, left and right; (0, 0) at gap 0, int16.
    labels: of each leaf, and of the node at each gap; -1 where there is none, int8.
    place: when the node at each gap is computed: `place // WIDTH` is its level, above those of its children; -1 at
        gap 0, int16.
    """

    words: tuple[str, ...]
    children: Int[np.ndarray, "n 2"]
    labels: Int[np.ndarray, "n 2"]
    place: Int[np.ndarray, " n"]

    @property
    def root(self) -> int:
        """The gap of the root; 0 of a single word, which is its own root."""
        return int(self.place.argmax()) if len(self.words) > 1 else 0

    @property
    def label(self) -> int:
        """That of the root."""
        return int(self.labels[self.root, 1] if len(self.words) > 1 else self.labels[0, 0])

    @property
    def order(self) -> list[int]:
        """The gaps of the inner nodes, children before their parents."""
        return [int(gap) for gap in np.argsort(self.place, kind="stable") if self.place[gap] >= 0]

    @property
    def spans(self) -> Int[np.ndarray, "n 2"]:
        """Of the node at each gap, its first word and the one after its last; (0, 0) at gap 0."""
        spans = np.zeros((len(self.words), 2), np.int64)
        for gap in self.order:
            left, right = (int(child) for child in self.children[gap])
            spans[gap] = (left if left >= 0 else spans[-left, 0]), (right + 1 if right >= 0 else spans[-right, 1])
        return spans


def parse(text: str, labelled: bool = True) -> SentenceTree:
    """The tree that brackets describe: `(3 (2 A) (4 marvel))` with labels as in the Stanford Sentiment Treebank, or
    `((The movie) (was (not bad)))` without.

    Raises:
        ValueError: brackets that do not match, a node of one child or more than two, a label that is no number, or no word.
    """
    words, leaves = list[str](), list[int]()
    joints, firsts = dict[int, tuple[int, int, int]](), dict[int, int]()  # gap -> left, right, label; its node's first word
    stack, labels = list[list[int]]([[]]), [-1]  # of each open bracket
    for leaf_label, word, label, close, wrong in (_LABELLED if labelled else _PLAIN).findall(text):
        if word:
            stack[-1].append(len(words))
            words.append(word)
            leaves.append(int(leaf_label or -1))
        elif wrong:
            raise ValueError("a bracket that is neither (label word) nor (label left right)")
        elif not close:
            stack.append([])
            labels.append(int(label or -1))
        elif len(stack) == 1:
            raise ValueError("a bracket is closed that was not opened")
        else:
            children = stack.pop()
            if len(children) != 2:
                raise ValueError(f"a node of {len(children)} children, where one of a binary tree has two")
            left, right = children
            gap = right if right >= 0 else firsts[-right]
            firsts[gap] = left if left >= 0 else firsts[-left]
            joints[gap] = left, right, labels.pop()
            stack[-1].append(-gap)
    if len(stack) > 1:
        raise ValueError("a bracket is not closed")
    if len(stack[0]) != 1:
        raise ValueError(f"{len(stack[0])} trees in a line, where there should be one")
    return _tree(words, leaves, joints)


def _tree(words: Sequence[str], leaves: Sequence[int], joints: Mapping[int, tuple[int, int, int]]) -> SentenceTree:
    """The tree of its words, their labels, and of the node at each gap the left and the right child and the label."""
    nodes = [joints.get(gap, (0, 0, -1)) for gap in range(len(words))]
    children = [(left, right) for left, right, _ in nodes]
    labels = [(leaf, label) for leaf, (_, _, label) in zip(leaves, nodes, strict=True)]
    found = np.array(children, np.int16), np.array(labels, np.int8), np.array(places(children), np.int16)
    return SentenceTree(tuple(words), *found)


def right_branching(words: Sequence[str]) -> SentenceTree:
    """The tree (a (b (c d))), for a sentence whose parse is not known.

    Raises:
        ValueError: there is no word.
    """
    if not words:
        raise ValueError("no words")
    last = len(words) - 1
    joints = {gap: (gap - 1, -(gap + 1) if gap < last else gap, -1) for gap in range(1, len(words))}
    return _tree(words, [-1] * len(words), joints)


def places(children: Sequence[tuple[int, int]]) -> list[int]:
    """When to compute the node at each gap [N]: in as few levels as there can be of at most `WIDTH` nodes each.

    Of the nodes whose children are there, those that are furthest from the root come first, which is optimal (Hu 1961,
    "Parallel sequencing and assembly line problems").

    Args:
        children: of the node at each gap [N], as in `SentenceTree`.
    """
    count = len(children)
    place, parent, missing, depth = [-1] * count, [0] * count, [0] * count, [0] * count
    for gap, pair in enumerate(children):
        for child in pair:
            if child < 0:
                parent[-child] = gap
                missing[gap] += 1
    waiting = [gap for gap in range(1, count) if not parent[gap]]
    while waiting:
        gap = waiting.pop()
        below = [-child for child in children[gap] if child < 0]
        for child in below:
            depth[child] = depth[gap] + 1
        waiting += below
    ready = [(-depth[gap], gap) for gap in range(1, count) if not missing[gap]]
    heapq.heapify(ready)
    level = 0
    while ready:
        now = [heapq.heappop(ready)[1] for _ in range(min(WIDTH, len(ready)))]
        for slot, gap in enumerate(now):
            place[gap] = level * WIDTH + slot
            missing[parent[gap]] -= 1
            if parent[gap] and not missing[parent[gap]]:
                heapq.heappush(ready, (-depth[parent[gap]], parent[gap]))
        level += 1
    return place


def phrases(tree: SentenceTree) -> Iterator[tuple[tuple[str, ...], int]]:
    """The words and the label of every node that has one, leaves first."""
    for word, label in zip(tree.words, tree.labels[:, 0], strict=True):
        if label >= 0:
            yield (word,), int(label)
    spans = tree.spans
    for gap in tree.order:
        if tree.labels[gap, 1] >= 0:
            start, stop = spans[gap]
            yield tree.words[start:stop], int(tree.labels[gap, 1])


def treebank_words(text: str) -> list[str]:
    """The words of a sentence, divided as in the Penn Treebank as far as reviews need it: "didn't" is "did n't", "film's" is
    "film 's", and marks stand by themselves.
    """
    apart = _CONTRACTIONS.sub(r" \1", text.replace("\u2019", "'"))
    return _BESIDE_WORDS.sub(lambda mark: f" {mark[0]} ", apart).split()
