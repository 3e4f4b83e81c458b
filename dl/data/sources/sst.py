"""The Stanford Sentiment Treebank (Socher, Perelygin, Wu, Chuang, Manning, Ng & Potts 2013): 11,855 sentences of film reviews,
parsed, with a sentiment at each of 215,154 distinct phrases.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged, in_memory
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.treebank import DEFAULTS as OF_TREES
from dl.data.sources.treebank import FORMS, described, treebank
from dl.data.sources.unpacking import zip_member
from dl.dataset import Dataset, Info
from dl.errors import UserError
from dl.trees import SentenceTree, parse, right_branching
from dl.vocabulary import PAD, RARE, Vocabulary

LIMIT = 1 << 23  # bytes; the largest file holds 2.2 million
TREES = Archive("trees.zip", "726330ff3ac216c6cc13ac753ab51ddb86193fa6d2126e8c903281752133287a")
FILES = {"train": "trees/train.txt", "validation": "trees/dev.txt", "test": "trees/test.txt"}
COUNTS = {"fine": (8_544, 1_101, 2_210), "binary": (6_920, 872, 1_821)}  # sentences
SYMBOLS = {
    ("fine", True): 16_582,
    ("fine", False): 18_281,
    ("binary", True): 14_831,
    ("binary", False): 16_285,
}  # labels, lower
PHRASES = {"fine": 157_400, "binary": 66_989}  # of `train`, in small letters, each once
MEAN = 19  # words of a sentence
# Marks that the Penn Treebank writes in other ways.
MARKS = {"-lrb-": "(", "-rrb-": ")", "``": '"', "''": '"'}


def load_sst(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """8,544 / 1,101 / 2,210 sentences in five classes; of two classes (`dataset.labels=binary`) 6,920 / 872 / 1,821.

    Read from `manual_dir/sst/trees.zip`. What the features are, and what may be set, is told by
    `dl.data.sources.treebank.treebank`.

    Raises:
        UserError: no `manual_dir`, a file that is missing or corrupt, or a setting that there is not.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'sst' is read from its archive. {how_to_get('sst', [TREES])}")
    wanted = names_in(list(settings.splits.values()), list(FILES))
    folder = folder_of("sst", manual_dir, [TREES.name])
    path = verified(folder, [TREES], "sst")[TREES.name]
    read = list(dict.fromkeys(["train", *wanted]))  # the vocabulary is of the training sentences
    trees = opened(path, lambda archive: _read(archive, read))
    dataset = treebank("sst", trees, settings)
    return dataset._replace(splits={split: dataset.splits[split] for split in wanted})


def _read(path: Path, splits: Sequence[str]) -> dict[str, list[SentenceTree]]:
    with zipfile.ZipFile(path) as archive:
        members = {split: zip_member(archive, FILES[split], LIMIT).decode() for split in splits}
    return {split: parsed(text, FILES[split]) for split, text in members.items()}


def parsed(text: str, where: str) -> list[SentenceTree]:
    """The trees of a text, one a line; marks as they are written elsewhere.

    Raises:
        UserError: a line that is no tree; the message names it.
    """
    trees = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                tree = parse(line)
            except ValueError as error:
                raise UserError(f"{where}, line {number} is no binary tree: {error}.") from error
            trees.append(tree._replace(words=tuple(MARKS.get(w.lower(), w.replace("\\", "")) for w in tree.words)))
    return trees


def _known(settings: ConfigDict) -> Dataset | None:
    """What is known where all words are taken; which words they are is not known without the archive."""
    form, labels, lower = settings.get("form", "trees"), settings.get("labels", "fine"), bool(settings.get("lower", True))
    if labels not in COUNTS or form not in FORMS or settings.get("minimum", 1) > 1 or settings.get("most", 0):
        return None
    if form == "phrases" and not lower:
        return None
    symbols = SYMBOLS[labels, lower]
    vocabulary = Vocabulary((PAD, RARE, *(f"word{number}" for number in range(2, symbols))))
    sentence = right_branching(["the"] * MEAN)
    rows = {"text": np.zeros(MEAN, np.uint16), "children": sentence.children, "place": sentence.place}
    rows |= {"node_label": sentence.labels}
    known = described(vocabulary, form, labels)
    splits = {}
    for split, sentences in zip(FILES, COUNTS[labels], strict=True):
        count = PHRASES[labels] if form == "phrases" and split == "train" else sentences
        offsets = np.arange(count + 1) * MEAN
        ragged = {n: Ragged(np.concatenate([values] * count), offsets) for n, values in rows.items() if n in known}
        splits[split] = in_memory({**ragged, "label": np.zeros(count, np.int32)})
    return Dataset(Info("sst", known), splits)


PUBLIC = {"sst": load_sst}
SETTINGS = {"sst": OF_TREES}
KNOWN = {"sst": _known}
