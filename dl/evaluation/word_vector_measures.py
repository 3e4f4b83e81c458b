"""What is measured and shown of the vectors that a task learns for the words of a text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from dl.artifacts import Artifact, Scatter, Table
from dl.data.word_similarity import ANALOGIES, Benchmarks
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation import word_vectors
from dl.evaluation.embedding import in_the_plane
from dl.evaluation.word_vectors import Answered, WordVectors
from dl.metric import HIGHER, NEITHER, Metric
from dl.task import Batch, Evaluation, Evaluator, Tree, mean, means
from dl.vocabulary import Vocabulary

RATE = Metric("higher", format=".2%")
PARTS = ("semantic", "syntactic")
GRAMMAR = "gram"  # how the names of the sections about syntax begin
NEIGHBOURS, SHOWN = 8, 12
FREQUENT = 100  # words that are too frequent to be shown: articles and the like


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures vectors of words.

    vectors: `(params, tokens [B]) -> [B, D]`. sets: what they are measured by. shown: words whose neighbours are shown.
    mapped: how many words are on the map.
    """

    vectors: Callable[[Tree, jax.Array], jax.Array]
    vocabulary: Vocabulary
    sets: Benchmarks
    shown: Sequence[str] = ()
    mapped: int = 300

    def evaluator(self) -> Evaluator:
        """Of the vectors of a split's words, each once."""
        return Evaluator(self.step, metrics_of(self.sets), self.finish)

    def step(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """The vectors of some words, and the mean of their lengths."""
        found = self.vectors(params, batch["token"])
        length = jax.numpy.sqrt(jax.numpy.square(found).sum(-1))
        return {"length": mean(length, batch["mask"])}, {"token": batch["token"], "vector": found}

    def gathered(self, outputs: Mapping[str, np.ndarray]) -> WordVectors:
        """Those of all words of the split, in the order of the vocabulary: the most frequent first."""
        words = tuple(self.vocabulary.names[token] for token in outputs["token"])
        return WordVectors(words, np.asarray(outputs["vector"], np.float32))

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The numbers."""
        return {**means(sums, outputs), **measure(self.gathered(outputs), self.sets)}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Tables of what the numbers are made of, neighbours, and a map."""
        found = self.gathered(evaluation.outputs)
        return {
            **tables(found, self.sets),
            "nearest words": neighbours(found, self.shown),
            "t-SNE of frequent words": plane(found, self.mapped),
        }


def metrics_of(sets: Benchmarks) -> dict[str, Metric]:
    """What is measured by these sets."""
    answered = {name: RATE for name in (ANALOGIES, *(f"{ANALOGIES}/{part}" for part in PARTS))} if sets.questions else {}
    return {"length": NEITHER, **{name: HIGHER for name in sets.pairs}, **answered}


def measure(vectors: WordVectors, sets: Benchmarks) -> dict[str, float]:
    """Spearman's rho by each set of pairs, and the share of the analogies that are answered right."""
    found = {name: word_vectors.correlation(vectors, pairs) for name, pairs in sets.pairs.items()}
    numbers = {name: value.rho for name, value in found.items() if value}
    sections = word_vectors.analogies(vectors, sets.questions)
    parts = {f"{ANALOGIES}/{part}": part for part in PARTS}
    for name, part in {ANALOGIES: "", **parts}.items():
        total = sum((answered for section, answered in sections.items() if part in ("", part_of(section))), Answered(0, 0, 0))
        if total.questions:
            numbers[name] = total.right / total.questions
    return numbers


def part_of(section: str) -> str:
    """Whether a section of the analogies is about meaning or about grammar."""
    return PARTS[section.startswith(GRAMMAR)]


def tables(vectors: WordVectors, sets: Benchmarks) -> dict[str, Artifact]:
    """The numbers of each set and section, with how much of it has vectors."""
    made: dict[str, Artifact] = {}
    found = {name: word_vectors.correlation(vectors, pairs) for name, pairs in sets.pairs.items()}
    rows = [(name, round(value.rho, 4), value.pairs, value.of) for name, value in found.items() if value]
    if rows:
        made["similarity"] = Table(("set", "Spearman's rho", "pairs with vectors", "pairs"), rows)
    sections = word_vectors.analogies(vectors, sets.questions)
    if sections:
        asked = [
            (name, f"{answered.right / max(answered.questions, 1):.1%}", answered.right, answered.questions, answered.of)
            for name, answered in sections.items()
        ]
        made["analogies"] = Table(("section", "right", "answered right", "questions with vectors", "questions"), asked)
    return made


def neighbours(vectors: WordVectors, shown: Sequence[str] = ()) -> Table:
    """The words nearest to some words: those named that have vectors, or else some frequent ones."""
    words = [word for word in shown if vectors.find(word) is not None]
    words = words or [vectors.words[row] for row in frequent(len(vectors.words), SHOWN)]
    rows = [
        (word, ", ".join(f"{near} {cosine:.2f}" for near, cosine in word_vectors.neighbours(vectors, word, NEIGHBOURS)))
        for word in words
    ]
    return Table(("word", "nearest, with the cosine"), rows)


def frequent(size: int, most: int) -> range:
    """The rows of frequent words, but not of the most frequent: their neighbours say little."""
    first = min(FREQUENT, max(size - most, 0))
    return range(first, min(first + most, size))


def plane(vectors: WordVectors, most: int) -> Scatter:
    """A map of frequent words (van der Maaten & Hinton 2008), by t-SNE of the vectors brought to length 1."""
    rows = list(frequent(len(vectors.words), most))
    names = tuple(vectors.words[row] for row in rows)
    points: Float[np.ndarray, "n 2"] = in_the_plane(vectors.unit[rows], "tsne")
    return Scatter(points, np.zeros(len(rows), np.int64), ("words",), names)


def vocabulary_of(config: ConfigDict, resources: Resources, batches: str) -> Vocabulary:
    """The words of the data.

    Raises:
        UserError: the data are no text by words, or are not made into `batches`.
    """
    info = resources.info
    vocabulary = info.features["token"].vocabulary if "token" in info.features else None
    if vocabulary is None or not vocabulary.words or config.dataset.batches != batches:
        raise UserError(
            f"vectors of words are learned from a text by words with dataset.batches={batches!r}: the dataset {info.name} has "
            f"{', '.join(info.shapes)}, and dataset.batches is {config.dataset.batches!r}; take a dataset such as 'imdb_text', "
            "or 'text' with dataset.level='line'."
        )
    return vocabulary
