"""What a classifier of sentiment says of sentences with a negation, phrase by phrase: the lecture's sentence, and others.

Their parses were written by hand, as the treebank would have them. Those of the second half are examples of Socher et al. 2013
(figures 7 and 9). Classes are in their order, from the most negative to the most positive.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.artifacts import Artifact, ParseTree, Table
from dl.data.sources import texts
from dl.errors import UserError
from dl.trees import SentenceTree, parse, right_branching, treebank_words
from dl.vocabulary import RARE, Vocabulary

LECTURE = "This movie was actually neither that funny , nor super witty ."
POSITIVE, NEGATIVE = "positive", "negative"


class Example(NamedTuple):
    """tree: in brackets; sentiment: what a reader says of it."""

    tree: str
    sentiment: str


EXAMPLES = (
    Example("((This movie) ((was (actually ((neither (that funny)) (, (nor (super witty)))))) .))", NEGATIVE),
    Example("((The movie) ((was good) .))", POSITIVE),
    Example("((The movie) ((was (not good)) .))", NEGATIVE),
    Example("((The movie) ((was bad) .))", NEGATIVE),
    Example("((The movie) ((was (not bad)) .))", POSITIVE),
    Example("((The movie) ((was (not (very good))) .))", NEGATIVE),
    Example("((There is) ((nothing (to like)) .))", NEGATIVE),
    Example("((I (have (never (been bored)))) .)", POSITIVE),
    Example("(It (('s (just (incredibly dull))) .))", NEGATIVE),
    Example("(It (('s ((definitely not) dull)) .))", POSITIVE),
    Example("(I ((liked ((every (single minute)) (of (this film)))) .))", POSITIVE),
    Example("(I (((did n't) (like ((a (single minute)) (of (this film))))) .))", NEGATIVE),
    Example("((Roger Dodger) ((is (one (of ((the (most (compelling variations))) (on (this theme)))))) .))", POSITIVE),
    Example("((Roger Dodger) ((is (one (of ((the (least (compelling variations))) (on (this theme)))))) .))", NEGATIVE),
    Example(
        "((((There (are ((slow (and repetitive)) parts))) ,) (but (it (has ((just enough)"
        " (spice (to (keep (it interesting))))))))) .)",
        POSITIVE,
    ),
)

# Trees -> probabilities of every node of each: of its N words, then of the nodes at its N gaps (those of gap 0 are ignored).
Judge = Callable[[Sequence[SentenceTree]], Sequence[np.ndarray]]


def examples() -> list[tuple[SentenceTree, str]]:
    """The sentences, and what a reader says of each."""
    return [(parse(example.tree, labelled=False), example.sentiment) for example in EXAMPLES]


def numbers(words: Sequence[str], vocabulary: Vocabulary, settings: Mapping[str, Any]) -> Int[np.ndarray, " n"]:
    """The symbols of a phrase, whose words are divided as in the treebank, for a model of texts; at least one.

    Args:
        words: of the phrase.
        vocabulary: of the model. One that has "n't" is of texts that are divided so, too.
        settings: of its dataset.
    """
    symbols = [word.lower() for word in words] if settings.get("lower", True) else list(words)
    if "n't" not in vocabulary.numbers and settings.get("form", "") == "":
        symbols = texts.symbols(written(words), settings)
    rare = vocabulary.numbers[RARE]
    return np.array([vocabulary.numbers.get(symbol, rare) for symbol in symbols] or [rare], np.int32)


def read(text: str, vocabulary: Vocabulary, settings: Mapping[str, Any]) -> Int[np.ndarray, " n"]:
    """The symbols of a text that somebody wrote; arguments as of `numbers`."""
    return numbers(treebank_words(text), vocabulary, settings)


def tree_of(text: str) -> tuple[SentenceTree, bool]:
    """The tree of a sentence, and whether it is a guess: that of its brackets, that of the example that it is, or (a (b c)).

    Raises:
        UserError: brackets that are no binary tree.
    """
    if text.lstrip().startswith("("):
        try:
            return parse(text, labelled=False), False
        except ValueError as error:
            raise UserError(f"{text[:60]!r} is no binary tree: {error}.") from error
    words = tuple(treebank_words(text))
    known = {tree.words: tree for tree, _ in examples()}
    return (known[words], False) if words in known else (right_branching(words), True)


def written(words: Sequence[str]) -> str:
    """The words of a phrase with blanks between them, contractions in one piece."""
    text = " ".join(words)
    for ending in (" n't", " 's", " 're", " 've", " 'll", " 'd", " 'm"):
        text = text.replace(ending, ending[1:])
    return text


def spans(tree: SentenceTree) -> list[tuple[str, ...]]:
    """The words of every node: of its N leaves, then of the nodes at its N gaps (of gap 0 the whole sentence)."""
    whole = [(0, len(tree.words)), *(tuple(span) for span in tree.spans[1:].tolist())]
    return [(word,) for word in tree.words] + [tree.words[start:stop] for start, stop in whole]


def value(probabilities: Float[np.ndarray, "... classes"]) -> Float[np.ndarray, "..."]:
    """The mean over classes that stand at equal distances from -1, the most negative, to 1."""
    return np.asarray(probabilities @ np.linspace(-1, 1, probabilities.shape[-1]))


def root(tree: SentenceTree) -> int:
    """The number of the root among the nodes that a `Judge` gives."""
    return len(tree.words) + tree.root if tree.root else 0


def drawn(tree: SentenceTree, probabilities: Float[np.ndarray, "n classes"], names: Sequence[str]) -> ParseTree:
    """A tree whose nodes have the colour of what was said of them."""
    count, order = len(tree.words), tree.order
    number = {**{word: word for word in range(count)}, **{-gap: count + i for i, gap in enumerate(order)}}
    children = [[number[int(child)] for child in tree.children[gap]] for gap in order]
    rows = [*range(count), *(count + gap for gap in order)]
    said = probabilities[rows]
    notes = [f"{names[p.argmax()]} ({p.max():.0%})" for p in said]
    return ParseTree(tree.words, np.array(children, np.int32).reshape(-1, 2), value(said).astype(np.float32), notes)


def shown(judge: Judge, names: Sequence[str]) -> dict[str, Artifact]:
    """A table of the sentences and what is said of each, and the lecture's sentence and all others as coloured trees."""
    trees = examples()
    said = judge([tree for tree, _ in trees])
    rows, pictures = [], dict[str, Artifact]()
    for (tree, expected), probabilities in zip(trees, said, strict=True):
        whole = probabilities[root(tree)]
        verdict = POSITIVE if value(whole) > 0 else NEGATIVE
        text, right = " ".join(tree.words), verdict == expected
        rows.append((text, expected, names[int(whole.argmax())], round(float(value(whole)), 2), "" if right else "wrong"))
        pictures[text] = drawn(tree, probabilities, names)
    table = Table(("sentence", "a reader says", "the model says", "from -1 to 1", ""), rows)
    return {"negations": table, **pictures}
