"""The 20 bAbI tasks (Weston, Bordes, Chopra & Mikolov 2015), version 1.1, 1,000 questions a task and split; and a toy of them.

An example is a question with the sentences before it (`dl.data.stories`). Where a task has lists as answers, each list is an
answer of its own, as in Sukhbaatar et al. 2015, section 4.
"""

import functools
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.data.stories import Question, features, parse, source_of, vocabulary_of
from dl.dataset import Dataset, Info
from dl.errors import UserError, unknown
from dl.vocabulary import PAD, Vocabulary

ZIP = Archive("tasks_1-20_v1-1.zip", "dc0c6f1aa5c8ed260a75b76467b765d6aa93346ff448c0312a1fbebc222cf8b3")
SPLITS = ("train", "test")
LANGUAGES = ("en", "shuffled")
LIMIT = 1 << 22  # bytes; the longest text has 530,000
QUESTIONS = 1000  # of a task, a split
TASKS = (
    "single supporting fact",
    "two supporting facts",
    "three supporting facts",
    "two argument relations",
    "three argument relations",
    "yes or no questions",
    "counting",
    "lists and sets",
    "simple negation",
    "indefinite knowledge",
    "basic coreference",
    "conjunction",
    "compound coreference",
    "time reasoning",
    "basic deduction",
    "basic induction",
    "positional reasoning",
    "size reasoning",
    "path finding",
    "agents' motivations",
)
# Of each task, and of all together (0): symbols with the padding, words of the longest sentence and question, sentences of the
# longest story in training and in test.
SIZES = {
    0: (175, 11, 11, 224, 228),
    1: (20, 6, 3, 10, 10),
    2: (34, 6, 4, 56, 88),
    3: (35, 6, 7, 224, 228),
    4: (15, 7, 6, 2, 2),
    5: (40, 6, 7, 102, 94),
    6: (36, 6, 5, 26, 14),
    7: (44, 6, 6, 34, 34),
    8: (46, 6, 4, 46, 58),
    9: (24, 7, 5, 10, 10),
    10: (25, 9, 5, 10, 10),
    11: (27, 8, 3, 10, 10),
    12: (21, 8, 3, 10, 10),
    13: (27, 8, 3, 10, 10),
    14: (26, 8, 6, 14, 14),
    15: (18, 5, 5, 8, 8),
    16: (18, 4, 4, 9, 9),
    17: (19, 11, 11, 2, 2),
    18: (19, 9, 9, 15, 15),
    19: (32, 7, 10, 5, 5),
    20: (36, 6, 7, 12, 12),
}


def load_babi(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """One task, or all of them, splits `train` and `test`, read from `manual_dir/babi`.

    `dataset.task`: 1 to 20, or 0 for all, whose questions come in turn (the first of each task, the second of each), so that a
    slice has as many of each. `dataset.memory`: so many sentences before a question, at most (50 as in Sukhbaatar et al. 2015,
    section 4.2; 0: all). `dataset.variant`: "en" or "shuffled", whose letters are shuffled so that no word means anything.
    The words of both splits are the vocabulary.

    Raises:
        UserError: a setting out of range, or the archive is missing or corrupt.
    """
    task, memory, language = _checked(settings)
    if not manual_dir:
        raise UserError(f"the dataset 'babi' is read from its archive. {how_to_get('babi', [ZIP])}")
    path = verified(folder_of("babi", manual_dir, [ZIP.name]), [ZIP], "babi")[ZIP.name]
    names_in(list(settings.splits.values()), SPLITS)
    numbers = [task] if task else list(range(1, 21))
    found = {
        split: opened(path, functools.partial(_questions, split=split, numbers=numbers, language=language)) for split in SPLITS
    }
    return dataset_of("babi", found, memory, tuple(TASKS[number - 1] for number in numbers))


def dataset_of(name: str, found: dict[str, list[Question]], memory: int, tasks: Sequence[str]) -> Dataset:
    """The dataset of the questions of each split; words of all splits are its vocabulary."""
    questions = [question for split in found.values() for question in split]
    vocabulary = vocabulary_of(questions)
    words = max(len(sentence) for q in questions for sentence in q.story)
    asked = max(len(q.question) for q in questions)
    splits = {split: source_of(of_split, vocabulary, words, asked, memory) for split, of_split in found.items()}
    return Dataset(Info(name, features(vocabulary, words, asked, tasks)), splits)


def _checked(settings: ConfigDict) -> tuple[int, int, str]:
    task, memory, language = settings.get("task", 1), settings.get("memory", 50), settings.get("variant", "") or "en"
    if not isinstance(task, int) or task not in SIZES:
        raise UserError(f"dataset.task must be a task of bAbI, 1 to 20, or 0 for all of them, not {task!r}.")
    _check_memory(memory)
    if language not in LANGUAGES:
        raise unknown("dataset.variant of babi", language, LANGUAGES)
    return task, memory, language


def _check_memory(memory: object) -> None:
    if not isinstance(memory, int) or memory < 0:
        raise UserError(f"dataset.memory must be a number of sentences, or 0 for whole stories, not {memory!r}.")


def _questions(path: Path, split: str, numbers: Sequence[int], language: str) -> list[Question]:
    """Those of several tasks in turn."""
    with zipfile.ZipFile(path) as archive:
        read = []
        for place, number in enumerate(numbers):
            begins, ends = f"tasksv11/{language}/qa{number}_", f"_{split}.txt"
            member = next(name for name in archive.namelist() if name.startswith(begins) and name.endswith(ends))
            read.append(parse(zip_member(archive, member, LIMIT).decode(), place))
    return [question for turn in zip(*read, strict=True) for question in turn]


PEOPLE, PLACES = ("daniel", "john", "mary", "sandra"), ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
VERBS = ("moved to", "went to", "journeyed to", "travelled to", "went back to")


def load_moves(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """People who move between places, and where they are: after the first task of bAbI, made here; `train` and `test`.

    `dataset.stories` (100) of five questions each a split, always the same ones; `dataset.memory` as for bAbI.

    Raises:
        UserError: a number that is none.
    """
    stories, memory = settings.get("stories", 100), settings.get("memory", 50)
    if not isinstance(stories, int) or stories < 1:
        raise UserError(f"dataset.stories must be at least 1, not {stories!r}.")
    _check_memory(memory)
    found = {split: parse(told(seed, stories)) for seed, split in enumerate(SPLITS)}
    return dataset_of("moves", found, memory, TASKS[:1])


def told(seed: int, stories: int) -> str:
    """So many stories in the format of bAbI: two moves and a question, five times each. A pure function of its arguments."""
    raw = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(stories * 5 * 7).reshape(stories, 5, 7)
    lines = []
    for story in raw:
        last: dict[str, tuple[int, str]] = {}
        for turn, draws in enumerate(story):
            for number, (who, how, where) in enumerate(draws[:6].reshape(2, 3), 3 * turn + 1):
                person, place = PEOPLE[who % len(PEOPLE)], PLACES[where % len(PLACES)]
                last[person] = (number, place)
                lines.append(f"{number} {person} {VERBS[how % len(VERBS)]} the {place}.")
            person = sorted(last)[draws[6] % len(last)]
            lines.append(f"{3 * turn + 3} Where is {person}?\t{last[person][1]}\t{last[person][0]}")
    return "\n".join(lines)


def _known_babi(settings: ConfigDict) -> Dataset:
    """Which words they are is not known without the files; every story is as long as the longest."""
    task, memory, _ = _checked(settings)
    symbols, words, asked, *longest = SIZES[task]
    vocabulary = Vocabulary((PAD, *(f"word{number}" for number in range(1, symbols))), words=True)
    tasks = TASKS if not task else (TASKS[task - 1],)
    splits = {}
    for split, sentences in zip(SPLITS, longest, strict=True):
        blank = Question((("word1",),) * min(sentences, memory or sentences), ("word1",), "word1", frozenset())
        splits[split] = source_of([blank] * QUESTIONS * len(tasks), vocabulary, words, asked, memory)
    return Dataset(Info("babi", features(vocabulary, words, asked, tasks)), splits)


PUBLIC = {"babi": load_babi, "moves": load_moves}
SETTINGS = {"babi": {"task": 1, "memory": 50}, "moves": {"stories": 100, "memory": 50}}
KNOWN = {"babi": _known_babi}
