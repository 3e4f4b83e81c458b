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
    """All words and answers, `PAD` first."""
    sentences = (sentence for q in questions for sentence in (*q.story, q.question, (q.answer,)))
    return tokenisation.vocabulary_of(sentences, first=(PAD,))


def source_of(
    questions: Sequence[Question], vocabulary: Vocabulary, sentence_words: int, question_words: int, memory: int
) -> RaggedArrays:
    """The questions with the `memory` sentences before each (0: all); see `features` for what an example holds."""
    kind = np.min_scalar_type(len(vocabulary) - 1)

    def padded(sentences: Sequence[Sequence[str]], width: int) -> np.ndarray:
        out = np.zeros((len(sentences), width), kind)
        for row, sentence in zip(out, sentences, strict=True):
            row[: len(sentence)] = [vocabulary.numbers[word] for word in sentence]
        return out

    first = [max(len(q.story) - memory, 0) if memory else 0 for q in questions]
    stories = [q.story[start:] for q, start in zip(questions, first, strict=True)]
    facts = [[i in q.facts for i in range(start, len(q.story))] for q, start in zip(questions, first, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(story) for story in stories])]).astype(np.int64)
    return RaggedArrays(
        {
            "story": Ragged(padded(list(itertools.chain.from_iterable(stories)), sentence_words), offsets),
            "fact": Ragged(np.array(list(itertools.chain.from_iterable(facts)), bool), offsets),
            "question": padded([q.question for q in questions], question_words),
            "answer": np.array([vocabulary.numbers[q.answer] for q in questions], np.int32),
            "task": np.array([q.task for q in questions], np.int32),
        }
    )


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
