"""Sentences in English and German, made by a few rules: enough to see whether a translator learns, without a file.

    A young woman runs in the park.         Eine junge Frau läuft im Park.
    Today a young woman runs in the park.   Heute läuft eine junge Frau im Park.

In German the verb stays second, so that the order of the words differs where a sentence begins with "today".
"""

import itertools

import numpy as np

SUBJECTS = (  # English, German, whether there is one of it
    ("a man", "ein Mann", True),
    ("a young woman", "eine junge Frau", True),
    ("the small dog", "der kleine Hund", True),
    ("a child in a red shirt", "ein Kind in einem roten Hemd", True),
    ("two boys", "zwei Jungen", False),
    ("three old men", "drei alte Männer", False),
    ("the children", "die Kinder", False),
    ("many people", "viele Menschen", False),
)
VERBS = (  # of one and of several, in English and in German
    (("runs", "run"), ("läuft", "laufen")),
    (("sits", "sit"), ("sitzt", "sitzen")),
    (("plays", "play"), ("spielt", "spielen")),
    (("waits", "wait"), ("wartet", "warten")),
    (("sleeps", "sleep"), ("schläft", "schlafen")),
    (("sings", "sing"), ("singt", "singen")),
)
PLACES = (
    ("in the park", "im Park"),
    ("on the beach", "am Strand"),
    ("in front of a house", "vor einem Haus"),
    ("on a bridge", "auf einer Brücke"),
    ("near the river", "in der Nähe des Flusses"),
    ("in the city", "in der Stadt"),
)


def _sentences() -> dict[str, list[str]]:
    english, german = [], []
    for (one, two, single), verbs, (where, wo), today in itertools.product(SUBJECTS, VERBS, PLACES, (False, True)):
        verb, tut = (forms[0 if single else 1] for forms in verbs)
        begin = f"today {one} {verb} {where}." if today else f"{one} {verb} {where}."
        english.append(begin[0].upper() + begin[1:])
        other = f"heute {tut} {two} {wo}." if today else f"{two} {tut} {wo}."
        german.append(other[0].upper() + other[1:])
    order = np.random.default_rng(0).permutation(len(english))
    return {"en": [english[i] for i in order], "de": [german[i] for i in order]}


PHRASES = _sentences()
