"""A hybrid of hidden Markov models and a belief net, on words made of tones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.fsdd_hybrid import get_config
from dl.data.load import load
from dl.data.sources import fsdd
from dl.errors import UserError
from dl.generation.hybrid_speech import Compared, compare
from dl.generation.transcription import transcribe
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress


def word(digit: int, speaker: str, take: int) -> fsdd.Recording:
    """Two tones, of ten pairs, with noise."""
    rng = np.random.default_rng([digit, take])
    tones = [(400 + 250 * digit, 1200), (400 + 250 * ((3 * digit + 1) % 10), 1000)]
    sound = np.concatenate([np.sin(2 * np.pi * f * np.arange(n + rng.integers(200)) / fsdd.RATE) for f, n in tones])
    return fsdd.Recording(digit, speaker, take, np.int16(6000 * sound + 800 * rng.standard_normal(len(sound))))


@pytest.fixture
def words(monkeypatch):
    takes = {"train": range(5, 12), "test": range(2)}
    made = {split: [word(digit, "a", take) for take in of for digit in range(10)] for split, of in takes.items()}
    monkeypatch.setattr(fsdd, "recorded_splits", lambda settings, manual_dir: made)
    return made


def settings():
    config = get_config("quick")
    config.update(epochs=0.0, steps=800, steps_per_dispatch=100, log_every=400, eval_every=800, checkpoint_every=800)
    config.dataset.update(context=2, words={"states": 3, "mixtures": 1, "iterations": 3}, held_out="")
    config.model.hidden = (48,)
    config.task.pretraining.steps = 50
    config.task.dropout = 0.0
    config.optimizer.learning_rate = 1e-2
    config.mesh.data = 1
    return config


def test_both_systems_know_the_words(words, tmp_path):
    config = settings()
    experiment = assemble(config)
    assert experiment.dataset.info.shapes["image"] == (5, 39, 1) and experiment.dataset.info.num_classes == 30
    (tmp_path / "run").mkdir()
    ended = train(experiment, tmp_path / "run", Progress(config.steps, enabled=False))
    params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[0]), ended.state.params)
    found = compare(experiment, params, None)
    assert found.utterances == 20 and found.mixtures <= 0.05 and found.network <= 0.1
    untrained = compare(experiment, jax.tree.map(jnp.zeros_like, params), None)
    assert untrained.network > 0.5 and untrained.mixtures == found.mixtures
    with pytest.raises(UserError, match="this run cannot do that: it needs a task that transcribes"):
        transcribe(experiment, params, {}, [])


def test_frames_have_the_states_of_their_words_one_after_another(words):
    found = load(settings().dataset).splits["test"]
    frames = [len(r.samples) for r in words["test"]]
    ends = np.cumsum([1 + (n - 200) // 80 for n in frames])
    for recording, label in zip(words["test"], np.split(found.features["label"], ends[:-1]), strict=True):
        assert label[0] == 3 * recording.digit and set(np.diff(label)) <= {0, 1} and label[-1] // 3 == recording.digit


def test_the_relative_change():
    assert Compared(0.274, 0.185, 1).change == pytest.approx(-0.325, abs=1e-3)
    assert Compared(0.0, 0.1, 1).change == 0
