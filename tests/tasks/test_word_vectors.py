"""word2vec: its losses against sums over single pairs, what is beside what, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.word_similarity import Benchmarks
from dl.errors import UserError
from dl.evaluation.huffman import huffman
from dl.models.word_vectors import WordVectors
from dl.tasks import word_vectors as tasks
from dl.training.assembly import assemble
from dl.training.workdir import read_metrics
from dl.vocabulary import Vocabulary
from experiments.similar import of_run
from experiments.train import train
from tests.tasks.test_similarity import config

RNG = np.random.default_rng(0)
BLOCK, WINDOW, SIZE, WIDTH = 4, 3, 12, 5
COUNTS = np.arange(SIZE, 0, -1) ** 2


def learner(**settings):
    vocabulary, chosen = Vocabulary([f"w{i}" for i in range(SIZE)]), tasks.Settings(**settings)
    tree = huffman(COUNTS) if chosen.loss == "hierarchical_softmax" else None
    model = WordVectors(SIZE, WIDTH, nodes=SIZE - 1 if tree else 0)
    return tasks.Learner(model, vocabulary, chosen, BLOCK, WINDOW, Benchmarks({}, {}), tree)


def batch():
    """Two rows of 12 words, the last 3 of the second being padding; windows differ on both sides."""
    tokens = RNG.integers(0, SIZE, (2, 12)).astype(np.int32)
    left = np.minimum(RNG.integers(1, WINDOW + 1, (2, 12)), np.arange(12)).astype(np.uint8)
    right = np.minimum(RNG.integers(1, WINDOW + 1, (2, 12)), 11 - np.arange(12)).astype(np.uint8)
    right[1] = np.minimum(right[1], np.maximum(8 - np.arange(12), 0))
    left[1, 9:] = 0
    return {"tokens": tokens, "left": left, "right": right, "noise": RNG.integers(0, SIZE, (2, 3, 6)).astype(np.int32)}


def params(learner):
    made = learner.init(jax.random.key(0))[0]
    return jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape), jnp.float32), made)


def windows(data):
    """(row, place, places around it), of the words that have any."""
    for row in range(2):
        for t in range(12):
            near = [*range(t - int(data["left"][row, t]), t), *range(t + 1, t + 1 + int(data["right"][row, t]))]
            if near:
                yield row, t, near


def softplus(x):
    return np.log1p(np.exp(x))


def by_way(tree, table, vector, word):
    """-log of the product of probabilities along the way to a word (equation 3)."""
    depth = tree.depth[word]
    signs = np.where(tree.turns[word, :depth], -1, 1)
    return softplus(-signs * (table[tree.nodes[word, :depth]] @ vector)).sum()


def expected(learner, table, data):
    """Sum and count, pair by pair."""
    inputs, outputs = (np.asarray(table["model"][name], np.float64) for name in ("input", "output"))
    skip, total, count = learner.settings.architecture == "skip_gram", 0.0, 0
    for row, t, near in windows(data):
        words = data["tokens"][row]
        tasks_ = [(inputs[words[t]], words[o]) for o in near] if skip else [(inputs[words[near]].mean(0), words[t])]
        for vector, target in tasks_:
            count += 1
            if learner.tree:
                total += by_way(learner.tree, outputs, vector, target)
                continue
            noise = outputs[data["noise"][row, t // BLOCK]]
            total += softplus(-outputs[target] @ vector) + learner.settings.negatives * softplus(noise @ vector).mean()
    return total, count


@pytest.mark.parametrize("loss", tasks.LOSSES)
@pytest.mark.parametrize("architecture", tasks.ARCHITECTURES)
def test_the_loss_is_that_of_single_pairs(architecture, loss):
    made, data = learner(architecture=architecture, loss=loss, negatives=7), batch()
    table = params(made)
    (total, count), (_, metrics) = made.loss(table, {}, jax.tree.map(jnp.asarray, data), jax.random.key(0))
    assert (float(total), float(count)) == pytest.approx(expected(made, table, data), rel=1e-5)
    assert metrics["loss"] == (total, count)


@pytest.mark.parametrize("loss", tasks.LOSSES)
def test_padding_and_words_that_stand_alone_learn_nothing(loss):
    made, data = learner(loss=loss), batch()
    data["left"][:], data["right"][:] = 0, 0
    table = params(made)
    gradient = jax.grad(lambda p: made.loss(p, {}, jax.tree.map(jnp.asarray, data), jax.random.key(0))[0][0])(table)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))


def test_what_is_beside_a_word():
    left, right = jnp.array([[0, 1, 2, 3, 1, 0, 0, 0]]), jnp.array([[3, 1, 0, 2, 1, 0, 1, 0]])
    near = np.asarray(tasks.beside(left, right, BLOCK, WINDOW))
    assert near.shape == (1, 2, BLOCK, BLOCK + 2 * WINDOW)
    places = np.asarray(tasks.spans(jnp.arange(1, 9)[None], BLOCK, WINDOW))[0]  # 0 is outside of the row
    assert places.tolist() == [[0, 0, 0, 1, 2, 3, 4, 5, 6, 7], [2, 3, 4, 5, 6, 7, 8, 0, 0, 0]]
    found = [sorted(places[t // BLOCK][near[0, t // BLOCK, t % BLOCK]].tolist()) for t in range(8)]
    assert found == [[2, 3, 4], [1, 3], [1, 2], [1, 2, 3, 5, 6], [4, 6], [], [8], []]


def test_the_hierarchical_softmax_is_a_distribution():
    made = learner(loss="hierarchical_softmax")
    table, vector = params(made)["model"]["output"], RNG.normal(size=WIDTH)
    assert sum(np.exp(-by_way(made.tree, table, vector, word)) for word in range(SIZE)) == pytest.approx(1)


def test_the_first_loss_is_that_of_coins():
    """Output vectors are 0 at first, so each of 1 + k products is a coin: log 2 each."""
    made = learner(negatives=5)
    start, _ = made.init(jax.random.key(0))
    assert start["model"]["input"].shape == (SIZE, WIDTH) and abs(start["model"]["input"]).max() <= 0.5 / WIDTH
    (total, count), _ = made.loss(start, {}, jax.tree.map(jnp.asarray, batch()), jax.random.key(0))
    assert float(total / count) == pytest.approx(6 * np.log(2), rel=1e-5)


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """A text whose lines are each of one of three topics, of six words."""
    rng = np.random.default_rng(0)
    lines = [" ".join(f"{'abc'[t]}{i}x" for i in rng.integers(0, 6, 12)) for t in rng.integers(0, 3, 400)]
    path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("changes", [{}, {"architecture": "cbow"}, {"loss": "hierarchical_softmax"}], ids=str)
def test_words_of_a_topic_come_together(topics, workdir, changes):
    chosen = config("imdb_skipgram", epochs=8.0, steps=0, batch_size=2, eval_every=0, checkpoint_every=0)
    chosen.dataset.update(name="text", path=str(topics), length=128, sample=0.0)
    chosen.optimizer.learning_rate = 0.3
    chosen.task.update(changes)
    chosen.mesh.data = 1
    train(chosen, workdir, None, None)
    vectors = of_run(workdir)
    unit, topic = vectors.unit, np.array([word[0] for word in vectors.words])
    same = topic[:, None] == topic
    cosines = unit @ unit.T
    assert cosines[same & ~np.eye(18, dtype=bool)].min() > cosines[~same].max() + 0.2
    assert read_metrics(workdir)[-1]["length"]["mean"] == pytest.approx(
        np.linalg.norm(vectors.vectors, axis=1).mean(), rel=1e-4
    )


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"architecture": "skipgram"}, "Did you mean 'skip_gram'"),
        ({"loss": "softmax"}, "unknown loss 'softmax'"),
        ({"negatives": 0}, "negatives=0 must be at least 1"),
        ({"benchmarks": ("analogies",)}, r"questions-words\.txt"),
    ],
)
def test_settings_out_of_range(changes, says):
    chosen = config("imdb_skipgram")
    chosen.task.update(changes)
    with pytest.raises(UserError, match=says):
        assemble(chosen)


def test_a_text_by_characters_has_no_words():
    chosen = config("imdb_skipgram")
    chosen.dataset.update(level="character")
    with pytest.raises(UserError, match="a text by words"):
        assemble(chosen)
