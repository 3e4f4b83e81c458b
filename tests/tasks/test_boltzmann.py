"""The restricted Boltzmann machine as a task; its mathematics: tests/models/test_rbm.py."""

import jax
import numpy as np
import pytest

from dl.config import base
from dl.errors import UserError
from dl.task import Evaluation
from dl.training.assembly import assemble
from tests.training.tasks import hashes, run


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
    "setting": ({"chain": 3}, "unknown setting of the task 'restricted_boltzmann_machine' 'chain'. Did you mean 'chains'"),
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
