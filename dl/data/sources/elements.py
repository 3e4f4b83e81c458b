"""Questions about chemical elements, made here: a stand-in for a table of questions and answers of one's own."""

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import RaggedArrays, ragged
from dl.data.tokenisation import encoded, vocabulary_of, words
from dl.dataset import Dataset, Feature, Info, Kind
from dl.vocabulary import PAD, RARE

# Name, symbol, atomic number, group, and what it is known for.
ELEMENTS = (
    ("hydrogen", "H", 1, "nonmetals", "is the lightest of all and burns to water"),
    ("helium", "He", 2, "noble gases", "was first seen in the light of the sun and fills balloons"),
    ("lithium", "Li", 3, "alkali metals", "is the lightest metal and stores charge in batteries"),
    ("carbon", "C", 6, "nonmetals", "is found pure as diamond and graphite"),
    ("nitrogen", "N", 7, "nonmetals", "makes up four fifths of the air"),
    ("oxygen", "O", 8, "nonmetals", "is breathed and makes rust of iron"),
    ("fluorine", "F", 9, "halogens", "is the most reactive and protects teeth"),
    ("neon", "Ne", 10, "noble gases", "glows red in advertising signs"),
    ("sodium", "Na", 11, "alkali metals", "is one half of table salt"),
    ("magnesium", "Mg", 12, "alkaline earth metals", "burns with a dazzling white flame and sits in chlorophyll"),
    ("aluminium", "Al", 13, "post-transition metals", "is won from bauxite and made into foil"),
    ("silicon", "Si", 14, "metalloids", "is the stuff of sand and of computer chips"),
    ("chlorine", "Cl", 17, "halogens", "disinfects swimming pools"),
    ("calcium", "Ca", 20, "alkaline earth metals", "makes bones and chalk"),
    ("iron", "Fe", 26, "transition metals", "is magnetic and carries oxygen in blood"),
    ("copper", "Cu", 29, "transition metals", "is reddish and conducts electricity in wires"),
    ("silver", "Ag", 47, "transition metals", "conducts best of all and blackened old photographs"),
    ("gold", "Au", 79, "transition metals", "never tarnishes and was sought by alchemists"),
    ("mercury", "Hg", 80, "transition metals", "is a liquid metal and rose in thermometers"),
    ("uranium", "U", 92, "actinides", "is split in reactors"),
)
QUESTIONS = {
    "train": (
        "Which element has the symbol {1}?",
        "Name the element with the atomic number {2}.",
        "This element {4}.",
        "One of the {3}, it {4}; what is it?",
        "Its symbol is {1} and it belongs to the {3}.",
        "With {2} protons in its core, it {4}.",
    ),
    "test": ("This one of the {3} {4}. Name it.", "What is the element {1}, number {2}?"),
}


def load_elements(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Questions as `question`, ragged words, and their answers as `label`, 20 classes: `train` (120) and `test` (40), which
    asks for the same in other words.
    """
    asked = {split: [form.format(*row) for row in ELEMENTS for form in forms] for split, forms in QUESTIONS.items()}
    cut = {split: [words(question) for question in questions] for split, questions in asked.items()}
    vocabulary = vocabulary_of(cut["train"], first=(PAD, RARE))
    splits = {}
    for split, questions in cut.items():
        label = np.arange(len(ELEMENTS), dtype=np.int32).repeat(len(QUESTIONS[split]))
        splits[split] = RaggedArrays({"question": ragged([encoded(q, vocabulary) for q in questions]), "label": label})
    answer = Feature(Kind.CLASS, (), num_classes=len(ELEMENTS), class_names=tuple(row[0] for row in ELEMENTS))
    features = {"question": Feature(Kind.TOKENS, (None,), vocabulary=vocabulary), "label": answer}
    return Dataset(Info("elements", features), splits)


PUBLIC = {"elements": load_elements}
