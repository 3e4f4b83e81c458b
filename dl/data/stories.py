"""Stories with questions about them, in the format of bAbI, as arrays.

A line is a number and a sentence, or a number, a question, its answer and the numbers of the lines that support it, divided by
tabs. Numbers start again at 1 with every story.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dl.data import tokenisation
from dl.data.ragged import Ragged, RaggedArrays
from dl.dataset import Feature, Features, Kind
from dl.vocabulary import PAD, Vocabulary


class Question(NamedTuple):
    """One example.

    story: the words of each sentence before the question.
    question: its words. answer: one symbol, also where it is a list of words ("apple,milk").
    facts: which sentences of `story` support the answer.
    task: the number of its kind, from 0.
    """

    story: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str
    facts: frozenset[int]
    task: int = 0


def words_of(sentence: str) -> tuple[str, ...]:
    """Lower-case words, without the full stop or question mark that ends them."""
    return tuple(word.rstrip(".?").lower() for word in sentence.split())


def parse(text: str, task: int = 0) -> list[Question]:
    """The questions of a text.

    Raises:
        ValueError: a line that is not of the format; the message has its number.
    """
    found: list[Question] = []
    story: list[tuple[str, ...]] = []
    place: dict[str, int] = {}  # number of a line -> which sentence of the story it is
    for number, line in enumerate(text.splitlines(), 1):
        own, _, rest = line.partition(" ")
        if not own.isdigit() or not rest.strip():
            raise ValueError(f"line {number} is not a number and a sentence")
        if own == "1":
            story, place = [], {}
        parts = rest.split("\t")
        if len(parts) == 1:
            place[own] = len(story)
            story.append(words_of(rest))
        elif len(parts) == 3 and all(fact in place for fact in parts[2].split()):
            facts = frozenset(place[fact] for fact in parts[2].split())
            found.append(Question(tuple(story), words_of(parts[0]), parts[1].strip().lower(), facts, task))
        else:
            raise ValueError(f"line {number} is not a question, its answer and the lines before it that say so")
    return found


def vocabulary_of(questions: Sequence[Question]) -> Vocabulary:
    """All words and answers, those of most different sentences first; before them `PAD`."""
    sentences = dict.fromkeys(itertools.chain.from_iterable((*q.story, q.question, (q.answer,)) for q in questions))
    return tokenisation.vocabulary_of(sentences, first=(PAD,))


def source_of(
    questions: Sequence[Question], vocabulary: Vocabulary, sentence_words: int, question_words: int, memory: int
) -> RaggedArrays:
    """The questions with the `memory` sentences before each (0: all); see `features` for what an example holds."""
    stories = [q.story[max(len(q.story) - memory, 0) if memory else 0 :] for q in questions]
    facts = [
        np.isin(np.arange(len(q.story) - len(story), len(q.story)), list(q.facts))
        for q, story in zip(questions, stories, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(story) for story in stories])]).astype(np.int64)
    told = list(itertools.chain.from_iterable(stories))
    return RaggedArrays(
        {
            "story": Ragged(_padded(told, vocabulary, sentence_words), offsets),
            "fact": Ragged(np.concatenate(facts), offsets),
            "question": _padded([q.question for q in questions], vocabulary, question_words),
            "answer": np.array([vocabulary.numbers[q.answer] for q in questions], np.int32),
            "task": np.array([q.task for q in questions], np.int32),
        }
    )


def _padded(sentences: Sequence[tuple[str, ...]], vocabulary: Vocabulary, width: int) -> np.ndarray:
    """The numbers of their words [N, width]. The same sentence comes again and again, with every question after it."""
    different = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
    table = np.zeros((len(different), width), np.min_scalar_type(len(vocabulary) - 1))
    for sentence, row in different.items():
        table[row, : len(sentence)] = [vocabulary.numbers[word] for word in sentence]
    return table[np.fromiter((different[sentence] for sentence in sentences), np.int64, len(sentences))]


def features(vocabulary: Vocabulary, sentence_words: int, question_words: int, tasks: Sequence[str]) -> Features:
    """What an example holds: `story` [S, words], ragged, `fact` bool [S], `question` [words], `answer`, and `task` from 0.

    Sentences and questions are padded with the symbol 0. S is as long as the longest story of a split.
    """
    return {
        "story": Feature(Kind.TOKENS, (None, sentence_words), vocabulary=vocabulary),
        "fact": Feature(Kind.NUMBER, (None,)),
        "question": Feature(Kind.TOKENS, (question_words,), vocabulary=vocabulary),
        "answer": Feature(Kind.TOKENS, (), vocabulary=vocabulary),
        "task": Feature(Kind.CLASS, (), num_classes=len(tasks), class_names=tuple(tasks)),
    }
