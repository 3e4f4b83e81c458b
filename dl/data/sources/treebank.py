"""Trees of sentences with a sentiment at every node, as examples: the trees, their sentences alone, or all of their phrases."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import in_memory, ragged
from dl.data.sources import texts
from dl.dataset import Dataset, Feature, Features, Info, Kind
from dl.errors import UserError, unknown
from dl.trees import SentenceTree, phrases
from dl.vocabulary import Vocabulary

CLASSES = {
    "fine": ("very negative", "negative", "neutral", "positive", "very positive"),
    "binary": ("negative", "positive"),
}
TO_BINARY = np.array([0, 0, -1, 1, 1, -1], np.int8)  # of a fine label; the last is that of -1, no label
FORMS = ("trees", "sentences", "phrases")
SHAPES: dict[str, tuple[int | None, ...]] = {"children": (None, 2), "place": (None,), "node_label": (None, 2)}
DEFAULTS: dict[str, Any] = {"form": "trees", "labels": "fine", "lower": True, "minimum": 1, "most": 0, "lengths": ()}


def treebank(name: str, trees: Mapping[str, Sequence[SentenceTree]], settings: ConfigDict) -> Dataset:
    """A dataset of trees with labels 0..4 (very negative to very positive).

    `text` int [N] are the words (ragged), `label` int32 is the class of the sentence. `settings.form`:

        trees      with `children` int16 [N, 2], `place` int16 [N] and `node_label` int8 [N, 2] as `dl.trees.SentenceTree` has
                   them, all of them ragged
        sentences  the text alone
        phrases    in `train` every phrase that has a label, each once; in the other splits the sentences

    `settings.labels` is `fine`, or `binary`: negative or positive, without neutral sentences and phrases; a neutral node of a
    tree has the label -1. `lower`, `minimum` and `most` are as in `dl.data.sources.texts`; the vocabulary is that of `train`.

    Args:
        name: of the dataset.
        trees: of each split, `train` among them.
        settings: of the dataset.

    Raises:
        UserError: another form or other labels, or `settings.lengths` that would cut a tree.
    """
    form, labels = settings.get("form", "trees"), settings.get("labels", "fine")
    if form not in FORMS:
        raise unknown("dataset.form", form, FORMS)
    if labels not in CLASSES:
        raise unknown("dataset.labels", labels, CLASSES)
    kept = {split: [_changed(tree, labels, settings.get("lower", True)) for tree in found] for split, found in trees.items()}
    kept = {split: [tree for tree in found if tree.label >= 0] for split, found in kept.items()}
    vocabulary = texts.vocabulary([tree.words for tree in kept["train"]], settings)
    splits = {}
    for split, found in kept.items():
        examples = [(tree.words, tree.label) for tree in found]
        if form == "phrases" and split == "train":
            examples = list(dict.fromkeys(phrase for tree in found for phrase in phrases(tree)))
        words, classes = zip(*examples, strict=True)
        features: dict[str, Any] = {"text": texts.numbered(words, vocabulary), "label": np.array(classes, np.int32)}
        splits[split] = in_memory(features | (_structure(found, split, settings) if form == "trees" else {}))
    return Dataset(Info(name, described(vocabulary, form, labels)), splits)


def described(vocabulary: Vocabulary, form: str, labels: str) -> Features:
    """What is known of the features before any data is seen."""
    names = CLASSES[labels]
    label = Feature(Kind.CLASS, (), num_classes=len(names), class_names=names)
    shapes = SHAPES if form == "trees" else {}
    return {"text": texts.feature(vocabulary), "label": label, **{n: Feature(Kind.NUMBER, s) for n, s in shapes.items()}}


def _changed(tree: SentenceTree, labels: str, lower: bool) -> SentenceTree:
    words = tuple(word.lower() for word in tree.words) if lower else tree.words
    return tree._replace(words=words, labels=TO_BINARY[tree.labels] if labels == "binary" else tree.labels)


def _structure(trees: Sequence[SentenceTree], split: str, settings: ConfigDict) -> dict[str, Any]:
    longest = max(len(tree.words) for tree in trees)
    lengths = settings.get("lengths", ())
    if lengths and longest > max(lengths):
        raise UserError(
            f"a tree cannot be cut: a sentence of the split {split!r} has {longest} words, so dataset.lengths={tuple(lengths)} "
            f"must reach to that."
        )
    return {
        "children": ragged([tree.children for tree in trees]),
        "place": ragged([tree.place for tree in trees], fill=-1),
        "node_label": ragged([tree.labels for tree in trees], fill=-1),
    }
