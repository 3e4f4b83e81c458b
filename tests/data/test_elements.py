"""Questions about the elements: what is asked in the test was not asked so in training, and the facts are right."""

import numpy as np
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.sources.elements import ELEMENTS


def test_questions_and_answers():
    dataset = load(ConfigDict({"name": "elements", "splits": {"train": "train", "test": "test"}}))
    train, test = (dataset.splits[split] for split in ("train", "test"))
    assert (len(train), len(test)) == (120, 40) and dataset.info.num_classes == 20
    names = dataset.info.features["question"].vocabulary.names
    asked = {}
    for split, source in dataset.splits.items():
        batch = source.gather(np.arange(len(source)))
        rows = zip(batch["question"], batch["question_length"], strict=True)
        asked[split] = [" ".join(names[w] for w in row[:length]) for row, length in rows]
    assert not set(asked["train"]) & set(asked["test"])
    first = dataset.info.class_names[train.gather(np.array([6]))["label"][0]]
    assert asked["train"][6] == "which element has the symbol he ?" and first == "helium"


def test_numbers_and_symbols_are_those_of_the_periodic_table():
    table = ["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca"]
    heavy = {26: "Fe", 29: "Cu", 47: "Ag", 79: "Au", 80: "Hg", 92: "U"}
    for name, symbol, number, group, clue in ELEMENTS:
        assert (heavy[number] if number > len(table) else table[number - 1]) == symbol, name
        assert name not in clue and group
