"""Greedy layer-wise pretraining: phases move their own layers alone, streams are their own, and what is refused."""

import itertools

import jax
import numpy as np
import pytest

from dl.config import base
from dl.errors import UserError
from dl.models.autoencoder import DenseAutoencoder
from dl.tasks.reconstruction import squared_error
from dl.tasks.stacked_autoencoder import AutoencoderLoss
from dl.training.assembly import assemble
from dl.training.explain import explain
from tests.training.tasks import hashes, run

STACKED = {"name": "stacked_autoencoder", "loss": "cross_entropy", "noise": {"name": "masking", "amount": (0.1, 0.2)}}
BELIEF = {"name": "deep_belief_net", "k": 1}


def config(task=STACKED, pretraining=8, **changes):
    """Two layers of so many steps, then 8 of fine-tuning, on the embedded digits; pretraining sees all, fine-tuning 100."""
    made = base()
    made.update(steps=8, batch_size=32, log_every=8, checkpoint_every=4, steps_per_dispatch=4)
    model = "dense_autoencoder" if task["name"] == "stacked_autoencoder" else "deep_belief_net"
    made.model = {"name": model, "hidden": (12, 6), "kernel_init": "glorot_logistic"}
    made.task = {**task, "dropout": 0.0, "pretraining": {"steps": pretraining, "stream": "unlabelled"}}
    made.dataset.splits = {"train": "train[:100]", "unlabelled": "train", "test": "test"}
    made.optimizer.update(name="momentum", learning_rate=0.1)
    made.mesh.update(data=1)
    for key, value in changes.items():
        made.update_from_flattened_dict({key.replace("__", "."): value})
    return made


def moved(a, b):
    """The groups in which any bit differs."""
    groups = []
    for name in a:
        same = jax.tree.map(lambda x, y: np.array_equal(x, y), a[name], b[name])
        if not all(jax.tree.leaves(same)):
            groups.append(name)
    return groups


@pytest.mark.parametrize("task", [STACKED, BELIEF], ids=["stacked", "belief"])
def test_each_phase_moves_its_own_layer_alone_bit_for_bit(task, tmp_path):
    made = assemble(config(task))
    states = [jax.device_get(made.initial_state().params)]
    for count in (1, 2, 3):  # the run with so many phases goes on from the one before
        phases = made.task.phases[:count]
        part = made._replace(task=made.task._replace(phases=phases))
        states.append(jax.device_get(run(part, tmp_path / "run").state.params))
    changes = [moved(a, b) for a, b in itertools.pairwise(states)]
    assert changes == [["layer_0"], ["layer_1"], ["layer_0", "layer_1", "output"]]
    last = jax.tree.map(np.array_equal, states[-2], states[-1])
    assert last["layer_0"]["decoder_bias"] and last["layer_1"]["decoder_bias"]  # labels say nothing about the decoders
    whole = run(made, tmp_path / "whole")
    assert hashes(whole) == hashes(run(made, tmp_path / "run"))


def test_the_phases_are_fed_by_their_streams():
    made = assemble(config())
    assert [(p.objectives, p.stream, p.steps) for p in made.task.phases] == [
        (("layer_0",), "unlabelled", 8),
        (("layer_1",), "unlabelled", 8),
        (("finetune",), "train", 8),
    ]
    assert [len(made.dataset.splits[name]) for name in ("unlabelled", "train")] == [1442, 100]
    assert made.evaluation_splits() == ["test"]


def test_fine_tuning_the_output_leaves_the_layers(tmp_path):
    frozen = config(pretraining=0, eval_batch_size=100)
    frozen.task.finetune = "output"
    made = assemble(frozen)
    start = jax.device_get(made.initial_state().params)
    done = run(made, tmp_path / "run")
    assert moved(start, jax.device_get(done.state.params)) == ["output"]
    outputs, measured = done.evaluated["test"].outputs[0], done.evaluated["test"].metrics
    assert len(outputs["loss"]) % frozen.eval_batch_size  # the last batch is not full: rows that pad count nowhere
    assert measured["error"][0] == pytest.approx((outputs["prediction"] != outputs["label"]).mean())
    assert measured["loss"][0] == pytest.approx(outputs["loss"].mean(), rel=1e-5)


def test_a_layer_learns_to_undo_its_corruption():
    """All of the code below is blotted out: what is measured is how far the answer to zeros lies from what was there."""
    model = DenseAutoencoder((2, 2, 1), hidden=(3,), activation="identity", output="identity")
    below = jax.random.normal(jax.random.key(0), (5, 2, 2, 1))
    params = jax.tree.map(lambda p: p + 0.3, model.init(jax.random.key(1), below)["params"])
    loss = AutoencoderLoss(model, squared_error, [lambda key, x: 0 * x])
    layer = {name: np.asarray(value) for name, value in params["layer_0"].items()}
    answer = layer["bias"] @ layer["decoder_kernel"] + layer["decoder_bias"]
    (total, count), metrics = loss(params, 0, below, jax.random.key(2))
    expected = np.square(answer - np.asarray(below).reshape(5, 4)).sum(-1).mean()
    assert float(total / count) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["layer_0_reconstruction"][0]) == pytest.approx(5 * expected, rel=1e-5)


def test_every_step_draws_new_noise():
    """The loss of a layer depends on the step's key."""
    made = assemble(config({**STACKED, "noise": {"name": "masking", "amount": (0.5, 0.5)}}))
    params = made.task.init(jax.random.key(0))[0]
    batch = {"image": jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))}
    for name in ("layer_0", "layer_1"):
        loss = jax.jit(lambda key, of=made.task.objectives[name].value: of(params, {}, batch, key)[0])
        assert len({float(loss(jax.random.key(k))) for k in (2, 3, 2)}) == 2


def finetuning_losses(dropout, keys):
    """Of one batch, at the initial parameters but for an output that is not zero."""
    made = assemble(config(pretraining=0, task__dropout=dropout))
    params = jax.tree.map(lambda leaf: leaf[0], made.initial_state().params)
    params["output"]["dense"]["kernel"] = jax.random.normal(jax.random.key(1), params["output"]["dense"]["kernel"].shape)
    batch = {"image": jax.random.uniform(jax.random.key(0), (32, 8, 8, 1)), "label": jax.numpy.arange(32) % 10}
    loss = made.task.objectives["finetune"].value
    return np.array([loss(params, {}, batch, jax.random.key(k))[0] for k in range(keys)])


def test_fine_tuning_drops_pixels_by_its_key():
    whole, dropped = finetuning_losses(0.0, 2), finetuning_losses(0.5, 20)
    assert whole[0] == whole[1] and len(set(dropped.tolist())) == 20
    # what is left is scaled up: on average the units get the same input
    assert abs(dropped.mean() - whole[0]) < 4 * dropped.std()


def test_without_pretraining_there_is_one_phase():
    assert [p.objectives for p in assemble(config(pretraining=0)).task.phases] == [("finetune",)]


@pytest.mark.slow
def test_replicas_are_the_single_runs_and_devices_do_not_matter(tmp_path):
    single = config(BELIEF)
    single.seed = 1
    alone = jax.device_get(run(assemble(single), tmp_path / "alone").state.params)
    both = config(BELIEF, replicas=2, mesh__replica=1)
    pair = jax.device_get(run(assemble(both), tmp_path / "pair").state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b[1], atol=1e-5), alone, pair)
    single.mesh.data = 8
    eight = jax.device_get(run(assemble(single), tmp_path / "eight").state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), alone, eight)


@pytest.mark.slow
def test_pretraining_pays_where_labels_are_few(tmp_path):
    errors = {}
    for steps in (0, 600):
        made = config(pretraining=steps, steps=300, batch_size=100, log_every=300, checkpoint_every=0, steps_per_dispatch=100)
        made.model.hidden = (64, 64)
        made.dataset.splits.train = "train[:50]"
        made.optimizer.update(name="adam", learning_rate=0.003)
        errors[steps] = run(assemble(made), tmp_path / str(steps)).evaluated["test"].metrics["error"][0]
    assert errors[600] < errors[0]


def test_an_explanation_names_the_layers_and_counts_their_parameters_once():
    explained = explain(assemble(config(BELIEF)))
    counts = {layer.path: layer.parameters for layer in explained.layers if layer.parameters}
    assert counts == {"layer_0": 64 * 12 + 12 + 64, "layer_1": 12 * 6 + 6 + 12, "output/dense": 6 * 10 + 10}
    assert [phase.objectives for phase in explained.phases] == [("layer_0",), ("layer_1",), ("finetune",)]


MISTAKES = {
    "amounts": ({"task__noise__amount": (0.1, 0.2, 0.3)}, "gives 3 numbers for 2 layers"),
    "steps": ({"task__pretraining__steps": -1}, "task.pretraining.steps, of each layer, must be a whole number"),
    "stream": ({"task__pretraining__stream": "unlabeled"}, "trains on the split 'unlabeled'"),
    "dropout": ({"task__dropout": 1.0}, "task.dropout, of the pixels in fine-tuning, must be at least 0 and below 1, not 1.0"),
    "loss": ({"task__loss": "cross"}, "unknown loss 'cross'"),
    "activation": ({"model__activation": "relu"}, "needs logistic units"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(changes, message):
    made = config()
    made.model.activation = "logistic"
    for key, value in changes.items():
        made.update_from_flattened_dict({key.replace("__", "."): value})
    with pytest.raises(UserError, match=message):
        assemble(made)


def test_mistakes_of_a_belief_net_are_named():
    made = config(BELIEF)
    made.task.k = 0
    with pytest.raises(UserError, match="task.k, the sweeps of contrastive divergence"):
        assemble(made)
    made = config(BELIEF)
    made.model.name = "dense_autoencoder"
    with pytest.raises(UserError, match="needs the model of that name"):
        assemble(made)
    made = config()
    made.task.finetune = "top"
    with pytest.raises(UserError, match="unknown value of task.finetune 'top'"):
        assemble(made)
    made.task = {**STACKED, "pretraining": {"epochs": 3}}
    with pytest.raises(UserError, match="unknown setting of task.pretraining 'epochs'"):
        assemble(made)
