"""End-to-end memory network (Sukhbaatar, Szlam, Weston & Fergus 2015, sections 2 and 4.1), adjacent weight tying.

    parameter   of hop k                                                        numbers, 3 hops, V symbols, d = 20, 50 sentences
    embedding   A_k = C_(k-1), C_k; the question's B = A_1, the answer's W = C_K         4 V d
    time        T_A and T_C, tied alike                                                  4 x 50 d = 4,000

    memory      m_i = sum_j l_j * A x_ij + T_A(i)          c_i alike, of C          section 4.1
    attention   p_i = softmax(u^T m_i)                                              eq. 1
    output      o = sum_i p_i c_i;  u <- u + o                                      eqs. 2 and 4
    answer      softmax(W u)                                                        eq. 3

Details are those of the authors' code (facebook/MemNN, MemN2N-babi-matlab): the position encoding is twice the paper's, with
words and dimensions counted from 1/2, a sentence has as many words as the longest, and the time is a word behind the last.

Deviations: no attention to places without a sentence, which count with a score of 0 there; times are no answers.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from dl.errors import unknown

ENCODINGS = ("position", "bag")
LOWEST = -1e30  # a score that no softmax sees


def position_encoding(words: int, width: int) -> Float[Array, "words width"]:
    """l_kj = 1 + 4 (k - (d + 1) / 2) (j - (J + 1) / 2) / (d J), of word j = 1..J and dimension k = 1..d (section 4.1).

    With k and j counted from 1/2 that is twice the paper's (1 - j / J) - (k / d) (1 - 2 j / J).
    """
    return 1 + jnp.outer(*_factors(words, width))


def _factors(words: int, width: int) -> tuple[Float[Array, " words"], Float[Array, " width"]]:
    word = (jnp.arange(1, words + 1) - (words + 1) / 2) / words
    return word, 4 * (jnp.arange(1, width + 1) - (width + 1) / 2) / width


def attend(scores: Float[Array, "b s"], valid: Bool[Array, "b s"], linear: bool) -> Float[Array, "b s"]:
    """Their softmax over the valid places, or with `linear` the scores themselves; 0 elsewhere."""
    weights = scores if linear else jax.nn.softmax(jnp.where(valid, scores, LOWEST))
    return jnp.where(valid, weights, 0.0)


class MemoryNetwork(nn.Module):
    """Answers a question about a story by attention to its sentences, `hops` times.

    Attributes:
        width: d, of the embeddings.
        hops: K.
        memory: sentences that have a time vector of their own; older ones share the last.
        encoding: "position", or "bag": the words of a sentence are summed.
        temporal: whether sentences have times.
        deviation: all parameters are drawn from N(0, deviation^2).

    Raises:
        UserError: an unknown encoding.
    """

    num_classes: int
    width: int = 20
    hops: int = 3
    memory: int = 50
    encoding: str = "position"
    temporal: bool = True
    deviation: float = 0.1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        story: Int[Array, "b s w"],
        length: Int[Array, " b"],
        question: Int[Array, "b q"],
        age: Int[Array, "b s"],
        linear: bool = False,
        train: bool = False,
    ) -> tuple[Float[Array, "b v"], Float[Array, "b k s"]]:
        """Scores of the symbols, float32, and the attention of each hop to each sentence.

        Args:
            story: words of each sentence, 0 where there is none.
            length: sentences of each story.
            question: its words.
            age: how many sentences come after each.
            linear: attention is the scores themselves, without a softmax ("linear start", section 4.2).
            train: not used.
        """
        if self.encoding not in ENCODINGS:
            raise unknown("encoding", self.encoding, ENCODINGS)
        tables = self._tables(max(story.shape[-1], question.shape[-1]) + self.temporal)
        valid = jnp.arange(story.shape[1]) < length[:, None]
        scale = tables["word"]
        sentences = [_counts(story, self.num_classes, scale)]
        if self.temporal:
            sentences.append(jax.nn.one_hot(jnp.minimum(age, self.memory - 1), self.memory, dtype=self.dtype))
        encoded = jnp.concatenate(sentences, -1) * valid[:, :, None]
        memory = (encoded @ tables["sentence"]).reshape(*valid.shape, self.hops + 1, self.width)
        u = _counts(question, self.num_classes, scale) @ tables["question"]
        attention = []
        for hop in range(self.hops):
            scores = jnp.einsum("bsd,bd->bs", memory[:, :, hop], u)
            attention.append(attend(scores, valid, linear))
            u = u + jnp.einsum("bs,bsd->bd", attention[-1], memory[:, :, hop + 1])
        return (u @ tables["answer"].T).astype(jnp.float32), jnp.stack(attention, 1).astype(jnp.float32)

    def _tables(self, words: int) -> dict[str, Any]:
        """What counts of symbols are multiplied by. l_j = 1 + word_j * dimension, so a sentence takes two products."""
        draw = nn.initializers.normal(self.deviation)
        embedding = self.param("embedding", draw, (self.hops + 1, self.num_classes, self.width)).astype(self.dtype)
        embedding = embedding.at[:, 0].set(0)  # of the padding (section 4.2)
        word, dimension = (factor.astype(self.dtype) for factor in _factors(words, self.width))
        word = word if self.encoding == "position" else word * 0
        rows = [embedding, embedding * dimension]
        if self.temporal:
            time = self.param("time", draw, (self.hops + 1, self.memory, self.width)).astype(self.dtype)
            rows.append(time * (1 + word[-1] * dimension))
        sentence = jnp.concatenate(rows, 1).swapaxes(0, 1).reshape(-1, (self.hops + 1) * self.width)
        return {
            "word": word,
            "sentence": sentence,
            "question": jnp.concatenate([row[0] for row in rows[:2]]),
            "answer": embedding[-1],
        }


def _counts(tokens: Int[Array, "... w"], symbols: int, word: Float[Array, " j"]) -> Float[Array, "... f"]:
    """How often each symbol occurs, and the sum of `word` over its places, side by side: two numbers a symbol.

    A product with these is as fast as looking up few symbols, and its gradient is faster by far.
    """
    hot = jax.nn.one_hot(tokens, symbols, dtype=word.dtype)
    placed = (hot * word[: tokens.shape[-1], None]).sum(-2)
    return jnp.concatenate([hot.sum(-2), placed], -1)


PUBLIC = {"memory_network": MemoryNetwork}
