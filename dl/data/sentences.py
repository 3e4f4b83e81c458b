"""Vocabularies that know their tokeniser: they take a sentence as it is written to numbers, and numbers to such a sentence.

By words, by characters, or by subwords of a model that is trained here on the training split. The first numbers are those of
`<pad>`, `<s>`, `</s>` and `<unk>` in all three.
"""

import functools
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dl.data.tokenisation import detokenised, encoded, vocabulary_of, words
from dl.errors import UserError, unknown
from dl.vocabulary import PAD, RARE, START, STOP, Vocabulary

RESERVED = (PAD, START, STOP, RARE)
LEVELS = ("subword", "word", "character")
KINDS = ("bpe", "unigram")


class Sentences(Vocabulary):
    """A vocabulary of words or characters with the reserved symbols.

    Args:
        names: the symbols, `RESERVED` first.
        words: whether they are words.
        lower: whether sentences are read in small letters.
    """

    def __init__(self, names: Sequence[str], words: bool = True, lower: bool = False):
        super().__init__(names, words)
        self.lower = lower

    @property
    def start(self) -> int:
        """What a decoder is given before the first symbol."""
        return self.numbers[START]

    @property
    def stop(self) -> int:
        """What ends a sentence."""
        return self.numbers[STOP]

    def encode(self, text: str) -> np.ndarray:
        """The numbers of a sentence's symbols, int32 [N], without start and stop; of what is unknown that of `<unk>`."""
        return encoded(self.symbols(text), self)

    def symbols(self, text: str) -> list[str]:
        """The sentence, cut."""
        return words(text, self.lower) if self.words else list(text.lower() if self.lower else text)

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        """The sentence as it is written, up to the first stop; padding and start are left out."""
        kept = self.until_stop(numbers)
        return detokenised(kept) if self.words else "".join(kept)

    def until_stop(self, numbers: Sequence[int] | np.ndarray) -> list[str]:
        """The symbols before the first stop, as they stand in `names`, without padding and start."""
        found = []
        for number in numbers:
            if number == self.stop:
                break
            if self.names[int(number)] not in (PAD, START):
                found.append(self.names[int(number)])
        return found


class Subwords(Sentences):
    """The vocabulary of a SentencePiece model (Kudo & Richardson 2018). `model` is its file."""

    def __init__(self, model: bytes, lower: bool = False):
        self.model = model
        processor = self._processor
        super().__init__([processor.id_to_piece(n) for n in range(len(processor))], True, lower)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subwords) and (self.model, self.lower) == (other.model, other.lower)

    def __hash__(self) -> int:
        return hash((self.model, self.lower))

    @functools.cached_property
    def _processor(self) -> Any:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_proto=self.model)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._processor.encode(text.lower() if self.lower else text), np.int32)

    def symbols(self, text: str) -> list[str]:
        found: list[str] = self._processor.encode(text.lower() if self.lower else text, out_type=str)
        return found

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        stop = next((n for n, number in enumerate(numbers) if number == self.stop), len(numbers))
        text: str = self._processor.decode([int(number) for number in numbers[:stop]])
        return text


def learned(
    lines: Iterable[str], level: str, size: int = 0, minimum: int = 1, lower: bool = False, kind: str = "bpe"
) -> Sentences:
    """The vocabulary of the sentences of a training split.

    Args:
        lines: the sentences, as they are written.
        level: one of `LEVELS`.
        size: how many symbols there are at most, the reserved ones among them; of words and characters 0 is no limit. There are
            fewer subwords where the text is too short for so many.
        minimum: how often a word or character must occur.
        lower: whether capital letters are read as small ones.
        kind: of subwords: byte-pair encoding (Sennrich, Haddow & Birch 2016) or a unigram model (Kudo 2018).

    Raises:
        UserError: an unknown level or kind, or a size that does not go with the text.
    """
    if level not in LEVELS:
        raise unknown("dataset.level", level, LEVELS)
    if level == "subword":
        return Subwords(_trained(list(lines), size, lower, kind), lower)
    cut: Iterable[Sequence[str]] = (words(line, lower) for line in lines)
    if level == "character":
        cut = (line.lower() if lower else line for line in lines)
    found = vocabulary_of(cut, minimum, size, RESERVED, level == "word")
    return Sentences(found.names, level == "word", lower)


def _trained(lines: Sequence[str], size: int, lower: bool, kind: str) -> bytes:
    """The file of a model; on one thread and without a draw, so that the same sentences always give the same bytes."""
    from sentencepiece import SentencePieceTrainer

    if kind not in KINDS:
        raise unknown("dataset.subwords", kind, KINDS)
    if size <= len(RESERVED):
        raise UserError(f"a vocabulary of subwords needs a size, such as dataset.vocabulary_size=6000, not {size}.")
    model = io.BytesIO()
    reserved: dict[str, Any] = {}
    for number, name in enumerate(("pad", "bos", "eos", "unk")):
        reserved |= {f"{name}_id": number, f"{name}_piece": RESERVED[number]}
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter([line.lower() if lower else line for line in lines]),
            model_writer=model,
            vocab_size=size,
            model_type=kind,
            character_coverage=1.0,
            normalization_rule_name="identity",
            num_threads=1,
            minloglevel=3,
            **reserved,
        )
    except RuntimeError as error:
        if (most := re.search(r"<= (\d+)", str(error))) and int(most[1]) < size:
            return _trained(lines, int(most[1]), lower, kind)
        least = re.search(r"smaller than required_chars\. (?:\d+ vs )?(\d+)", str(error))
        advice = f"at least {least[1]}, as many as it has characters" if least else "another"
        raise UserError(
            f"{size} subwords ({kind}) cannot be made of this text: set dataset.vocabulary_size to {advice}."
        ) from error
    return model.getvalue()
