"""Translation: the losses by hand, no padding counted, phrases learned and translated, the config's mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.multi30k_attention import get_config
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.decoding import Beam
from dl.generation.translation import drawn, generate, translations
from dl.tasks.translation import learner_of, symbol_losses
from dl.training.assembly import assemble
from dl.training.evaluate import Evaluations
from dl.training.loop import train
from dl.training.progress import Progress


def test_losses_by_hand():
    scores = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]])) + 3.0
    targets = jnp.array([[1, 2]])
    np.testing.assert_allclose(symbol_losses(scores, targets), [[np.log(4), -np.log(0.8)]], rtol=1e-6)
    smoothed = -0.9 * np.log(0.25) - 0.1 * np.log([0.5, 0.25, 0.25]).mean()
    assert symbol_losses(scores, targets, 0.1)[0, 0] == pytest.approx(smoothed, rel=1e-6)


def small(**changes):
    config = get_config("smoke")
    config.update(changes)
    return config


def learner(config):
    experiment = assemble(config)
    return learner_of(config, Resources(experiment.dataset.info)), experiment


def test_padding_and_masked_rows_are_not_counted():
    translator, experiment = learner(small())
    params, _ = jax.jit(translator.init)(jax.random.key(0))
    batch = {name: jnp.asarray(v) for name, v in experiment.dataset.splits["train"].gather(np.arange(6)).items()}
    batch["mask"] = jnp.array([True] * 4 + [False] * 2)
    evaluate, loss = jax.jit(translator.evaluate), jax.jit(translator.loss)
    metrics, outputs = evaluate(params, {}, batch, jax.random.key(1))
    assert metrics["loss"][1] == (batch["target_length"][:4] - 1).sum()
    spoilt = dict(batch)
    for name in ("source", "target"):
        inside = np.arange(batch[name].shape[1]) < np.asarray(batch[f"{name}_length"])[:, None]
        spoilt[name] = jnp.where(inside, batch[name], 5)
    again, same = evaluate(params, {}, spoilt, jax.random.key(1))
    assert again["loss"][0] == pytest.approx(float(metrics["loss"][0]), rel=1e-5)
    np.testing.assert_allclose(same["sentence_loss"], outputs["sentence_loss"], rtol=1e-5)
    (total, count), _ = loss(params, {}, batch, jax.random.key(2))
    assert count == metrics["loss"][1]
    (other, _), _ = loss(params, {}, spoilt, jax.random.key(2))
    assert other == pytest.approx(float(total), rel=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small translator of the phrases, after a few hundred steps: experiment, parameters, and its evaluation."""
    config = get_config("smoke")
    config.update(steps=240, batch_size=48, log_every=40, eval_every=0, checkpoint_every=0)
    config.dataset.splits = ConfigDict({"train": "train", "test": "test"})
    config.best.metric = ""
    config.model.update(embedding=32, hidden=32, maxout=32, dropout=0.0)
    config.optimizer.learning_rate = 1e-2
    config.task.smoothing = 0.0
    experiment = assemble(config)
    state = train(experiment, tmp_path_factory.mktemp("run"), Progress(240, enabled=False)).state
    evaluated = Evaluations(experiment)(state, "test")
    params, _ = jax.tree.map(lambda x: x[0], state.evaluated())
    return experiment, params, evaluated


def test_phrases_are_learned(trained):
    _, _, evaluated = trained
    assert evaluated.metrics["bleu"][0] > 80 and evaluated.metrics["chrf"][0] > 85
    assert evaluated.metrics["perplexity"][0] < 1.3


def test_sentences_are_translated_with_their_attention(trained):
    experiment, params, _ = trained
    translator = learner_of(experiment.config, Resources(experiment.dataset.info))
    lines = ["Today a man sleeps in the park.", "", "Two boys run on the beach."]
    found = translations(translator, params, lines, Beam(size=4, alpha=1.0, best=2))
    assert [len(texts) for texts in found] == [2, 2, 2] and found[1] == ["", ""]
    assert found[0][0] == "Heute schläft ein Mann im Park." and found[2][0] == "Zwei Jungen laufen am Strand."
    assert found[0][1] not in ("", found[0][0])
    alone = translations(translator, params, lines[:1], Beam(size=4, alpha=1.0, best=2))
    assert alone[0] == found[0]
    source = np.append(translator.source.encode(lines[0]), translator.source.stop)
    (matrix,) = translator.alignments(params, source[None], np.array([len(source)]), found[0][:1]).values()
    assert matrix.columns[-1] == matrix.rows[-1] == "</s>"
    np.testing.assert_allclose(matrix.values.sum(1), 1, atol=0.1)  # they are rounded for the page
    picture = drawn(translator, params, lines[0], found[0][0]).splitlines()
    assert len(picture) == len(matrix.columns) + 1 + len(matrix.rows) and picture[-1].split()[0] == "</s>"


def test_the_program_translates_a_sentence_or_a_file(trained, tmp_path):
    experiment, params, _ = trained
    made = generate(experiment, params, {}, jax.random.key(0), prompt="A man sleeps in the park.", samples=2)
    assert made["translation"].text.splitlines()[0] == "Ein Mann schläft im Park."
    (tmp_path / "a.en").write_text("A man sleeps in the park.\nTwo boys run on the beach.\n")
    made = generate(experiment, params, {}, jax.random.key(0), file=str(tmp_path / "a.en"))
    assert made["translations"].text.splitlines() == ["Ein Mann schläft im Park.", "Zwei Jungen laufen am Strand."]
    with pytest.raises(UserError, match="give a sentence"):
        generate(experiment, params, {}, jax.random.key(0))
    with pytest.raises(UserError, match="at least 1 sequence"):
        generate(experiment, params, {}, jax.random.key(0), prompt="A man.", beam=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.task.update(beam=0), "a beam keeps at least 1"),
        (lambda c: c.task.update(smoothing=1.0), r"task\.smoothing"),
        (
            lambda c: c.dataset.update(name="sonnets", batches="examples"),
            "pairs of sentences",
        ),
        (lambda c: c.model.update(attention="soft"), "unknown attention"),
    ],
)
def test_mistakes_are_told_in_one_line(change, message):
    config = get_config("smoke")
    with config.unlocked():
        change(config)
    if config.dataset.name == "sonnets":
        config.dataset.update(level="word", splits=ConfigDict({"train": "train", "validation": "train", "test": "train"}))
    with pytest.raises(UserError, match=message) as raised:
        assemble(config).target()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("variant", ["luong_smoke", "no_attention_smoke", "sutskever_smoke"])
def test_every_variant_takes_a_step(variant, tmp_path):
    config = get_config(variant)
    config.update(steps=2, steps_per_dispatch=1, log_every=1, eval_every=0, checkpoint_every=0)
    config.best.metric = ""
    experiment = assemble(config)
    found = train(experiment, tmp_path, Progress(2, enabled=False))
    assert np.isfinite(found.evaluated["test"].metrics["bleu"][0])
