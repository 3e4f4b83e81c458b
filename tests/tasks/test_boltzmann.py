"""The restricted Boltzmann machine as a task; its mathematics: tests/models/test_rbm.py."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.config import base
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError
from dl.models.rbm import DeepBeliefNet
from dl.task import Evaluation
from dl.tasks.boltzmann import RestrictedBoltzmannMachine, Settings, pseudo_likelihood
from dl.training.assembly import assemble
from tests.training.tasks import experiment, hashes, run, settings


def config(**task):
    made = base()
    made.update(steps=12, batch_size=32, log_every=6, checkpoint_every=6, steps_per_dispatch=3)
    made.model = {"name": "deep_belief_net", "hidden": (16,)}
    made.task = {"name": "restricted_boltzmann_machine", "k": 2, "chains": 16, **task}
    made.mesh.update(data=1)
    return made


def test_persistent_chains_are_part_of_the_state(tmp_path):
    made = assemble(config())
    start = np.asarray(made.initial_state().variables["chains"])[0]
    assert start.shape == (16, 8, 8, 1) and 0.4 < start.mean() < 0.6
    whole = run(made, tmp_path / "whole")
    chains = np.asarray(whole.state.variables["chains"])[0]
    assert set(np.unique(chains)) == {0.0, 1.0} and (chains != start).any()
    half = made._replace(task=made.task._replace(phases=(made.task.phases[0]._replace(steps=6),)))
    run(half, tmp_path / "half")
    resumed = run(made, tmp_path / "half")
    assert hashes(resumed) == hashes(whole)
    np.testing.assert_array_equal(resumed.state.variables["chains"][0], chains)


def test_a_run_measures_each_test_image_once(tmp_path):
    """Without weights and with visible biases 1, a black pixel costs log(1 + e), a white one log(1 + 1/e), whatever the rest.

    Of 50 images the last is white, the others black; the last batch of 24 has 2 of them, and 22 white ones that pad.
    """
    image = np.zeros((50, 2, 2, 1), np.uint8)
    image[-1] = 255
    info = labelled_images("squares", (2, 2, 1), 1)
    split = Arrays({"image": image, "label": np.zeros(50, np.int32)})
    layer = {"kernel": jnp.zeros((4, 3)), "bias": jnp.zeros(3), "decoder_bias": jnp.ones(4)}
    learner = RestrictedBoltzmannMachine(DeepBeliefNet((2, 2, 1), hidden=(3,)), info, Settings())
    task = learner.task(optax.set_to_zero(), 1)
    made = task._replace(init=lambda key: ({"layer_0": layer}, {}))
    whole = settings(steps=1, dataset={"mean": (0.0,)})
    trained = run(experiment(made, whole, dataset=Dataset(info, {"train": split, "test": split})), tmp_path / "run")
    measured = trained.evaluated["test"].metrics
    expected = 4 * (49 * np.log1p(np.e) + np.log1p(1 / np.e)) / 50
    assert measured["reconstruction"][0] == pytest.approx(expected, rel=1e-5)
    assert measured["pseudo_likelihood"][0] == pytest.approx(-expected, rel=1e-5)


def test_grey_pixels_are_rounded_in_the_pseudo_likelihood():
    """Pixels 0.2 and 0.9 are 0 and 1: with visible biases 1, -log(1 + e) and -log(1 + 1/e), times 2 pixels."""
    layer = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3), "decoder_bias": jnp.ones(2)}
    v = jnp.tile(jnp.array([0.2, 0.9]), (40, 1))
    values = np.unique(pseudo_likelihood(DeepBeliefNet((2,), hidden=(3,)), {"layer_0": layer}, v, jax.random.key(0)))
    np.testing.assert_allclose(values, [-2 * np.log1p(np.e), -2 * np.log1p(1 / np.e)], rtol=1e-5)


@pytest.mark.slow
def test_learning_makes_digits_likelier_and_shows_samples(tmp_path):
    made = config(chains=0, k=1)
    made.update(steps=300, log_every=300, checkpoint_every=0, steps_per_dispatch=100)
    chosen = assemble(made)
    trained = run(chosen, tmp_path / "run")
    metrics = trained.evaluated["test"].metrics
    assert metrics["pseudo_likelihood"][0] > 0.6 * 64 * np.log(0.5)  # that of fair coins is 64 log 1/2
    params = jax.tree.map(lambda x: x[0], jax.device_get(trained.state.params))
    evaluation = Evaluation({"reconstruction": np.zeros(12)}, chosen.evaluation("test").examples)
    shown = chosen.task.render(params, {}, evaluation, jax.random.key(0))
    samples = shown["samples"]
    assert samples.pixels.shape == (40, 8, 8, 1) and samples.captions[-1] == "after 1000 sweeps"
    assert samples.pixels[:, :, (0, -1)].mean() < 0.5 * samples.pixels[:, :, 3:5].mean()  # ink in the middle, as digits have it


MISTAKES = {
    "sweeps": ({"k": 0}, "task.k, the sweeps of contrastive divergence, must be a whole number above 0, not 0"),
    "chains": ({"chains": -1}, "task.chains must be a whole number"),
    "setting": ({"chain": 3}, "unknown setting of the task restricted_boltzmann_machine 'chain'. Did you mean 'chains'"),
}


@pytest.mark.parametrize(("task", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(task, message):
    with pytest.raises(UserError, match=message):
        assemble(config(**task))


def test_a_stack_or_standardised_pixels_are_refused():
    made = config()
    made.model.hidden = (16, 8)
    with pytest.raises(UserError, match="is the model 'deep_belief_net' with one layer"):
        assemble(made)
    made = config()
    made.dataset.std = (0.3,)
    with pytest.raises(UserError, match="need pixels in 0..1"):
        assemble(made)
