"""Speech to text by attention: the loss by hand, beside CTC; the search; padding; tones are learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.an4_las import get_config
from dl.errors import UserError
from dl.evaluation import ctc
from dl.models.listen_attend_spell import ListenAttendSpell
from dl.tasks.attend_and_spell import Settings, Speller, build, spelling_losses, with_ends
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.vocabulary import Vocabulary

KEY = jax.random.key(0)


def speller(**settings):
    model = ListenAttendSpell(4, hidden=4, halvings=1, speller=5, speller_layers=1, filter_width=3, attention="location")
    return Speller(model, Vocabulary("abc", words=False), 3, Settings(**settings))


def batch(length=8, symbols=3):
    frames = np.random.default_rng(0).standard_normal((2, length, 3)).astype(np.float32)
    text = np.zeros((2, symbols), np.int32)
    text[0, :2], text[1, :1] = [0, 2], [1]
    lengths = {"frames_length": jnp.array([8, 5]), "text_length": jnp.array([2, 1])}
    return {"frames": jnp.asarray(frames), "text": jnp.asarray(text), **lengths, "mask": jnp.array([True, True])}


def test_the_loss_of_a_text_by_hand():
    probabilities = jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]])
    exact, smoothed = spelling_losses(jnp.log(probabilities), jnp.array([[0, 1, 2]]), jnp.array([2]), 0.1)
    assert float(exact[0]) == pytest.approx(-np.log(0.5 * 0.7), rel=1e-5)
    spread = np.log(np.asarray(probabilities[0, :2])).mean(-1).sum()
    assert float(smoothed[0]) == pytest.approx(-0.9 * np.log(0.35) - 0.1 * spread, rel=1e-5)


def test_a_text_has_a_start_and_an_end():
    given, targets = with_ends(jnp.array([[1, 2, 0], [2, 0, 0]]), jnp.array([2, 1]), 9)
    assert given.tolist() == [[9, 1, 2, 0], [9, 2, 0, 0]]
    assert targets[0, :3].tolist() == [1, 2, 9] and targets[1, :2].tolist() == [2, 9]


def test_the_joint_loss_is_the_mixture_of_both():
    params, _ = speller().init(KEY)
    losses = {w: speller(ctc=w).measure(params, batch())[0] for w in (0.0, 0.25)}
    _, (_, _, frames, places) = speller().forward(params, batch())
    aligned = ctc.losses(frames, places, batch()["text"], batch()["text_length"])
    np.testing.assert_allclose(losses[0.25], 0.75 * losses[0.0] + 0.25 * aligned, rtol=1e-5)
    _, metrics, _ = speller(ctc=0.25).measure(params, {**batch(), "mask": jnp.array([True, False])})
    assert float(metrics["ctc_loss"][0]) == pytest.approx(float(aligned[0]), rel=1e-5)
    assert metrics["attention_loss"][1] == 3 and metrics["loss"][1] == 1


def test_padding_changes_nothing():
    task = speller(ctc=0.5, beam=3)
    params, _ = task.init(KEY)
    short = batch()
    long = {**batch(symbols=5), "frames": jnp.pad(short["frames"], ((0, 0), (0, 6), (0, 0)), constant_values=3.0)}
    np.testing.assert_allclose(task.measure(params, short)[0], task.measure(params, long)[0], rtol=1e-4)
    found = [task.search(params, {}, b, KEY)[1] for b in (short, long)]
    for row in range(2):
        size = int(found[0]["heard_length_beam"][row])
        assert size <= 4
        if size < 4:  # within what both may spell
            assert found[1]["heard_beam"][row, :size].tolist() == found[0]["heard_beam"][row, :size].tolist()


def test_the_best_text_of_the_search_is_the_best_by_both_scores():
    """Every text of up to two symbols and its end, scored by hand; the beam holds them all."""
    task = speller(ctc=0.5, beam=64)
    params, _ = task.init(KEY)
    given = {name: values[:1] for name, values in batch(4).items()} | {"frames_length": jnp.array([4])}
    found = task.search(params, {}, given, KEY)[1]
    texts = [[], *([a] for a in range(3)), *([a, b] for a in range(3) for b in range(3))]
    scores = []
    for text in texts:
        one = {**given, "text": jnp.array([[*text, 0, 0][:2]]), "text_length": jnp.array([len(text)])}
        targets, (said, _, frames, places) = task.forward(params, one)
        spelled = spelling_losses(said, targets, one["text_length"] + 1)[0]
        aligned = ctc.losses(frames, places, one["text"], one["text_length"])
        possible = bool(ctc.alignable(places, one["text"], one["text_length"])[0])
        scores.append(-0.5 * float(spelled[0]) - 0.5 * float(aligned[0]) if possible else -np.inf)
    best = texts[int(np.argmax(scores))]
    assert found["heard_beam"][0, : found["heard_length_beam"][0]].tolist() == best
    assert float(found["score_beam"][0]) == pytest.approx(max(scores), rel=1e-4)


def test_what_does_not_fit():
    config = get_config("smoke")
    experiment = assemble(config)
    for key, value, message in (
        ("ctc", 1.5, "task.ctc=1.5 lie in 0..1"),
        ("beam", -1, "task.beam=-1 must not be negative"),
        ("smoothing", 1.0, "task.smoothing=1 be at least 0 and below 1"),
    ):
        wrong = get_config("smoke")
        wrong.task[key] = value
        with pytest.raises(UserError, match=message):
            build(wrong, _resources(experiment), 1)
    config.model = ConfigDict({"name": "deep_blstm"})
    with pytest.raises(UserError, match="'deep_blstm' does not spell"):
        build(config, _resources(experiment), 1)


def _resources(experiment):
    from dl.dataset import Resources

    return Resources(experiment.dataset.info)


@pytest.mark.slow
def test_tones_are_learned(tmp_path):
    config = get_config("smoke")
    config.update(steps=300, batch_size=16, steps_per_dispatch=20, log_every=100, eval_every=300, checkpoint_every=300)
    config.dataset.update(examples=240, buckets=1, splits={"train": "train", "test": "test"})
    config.model.update(hidden=32, speller=48, dropout=0.1)
    config.optimizer.learning_rate = 1e-2
    config.best.metric = ""
    config.augmentation = ConfigDict()
    (tmp_path / "run").mkdir()
    found = train(assemble(config), tmp_path / "run", Progress(config.steps, enabled=False)).evaluated["test"].metrics
    assert found["character_error"][0] < 0.15 and found["character_error_beam"][0] < 0.15
