"""Evaluation is over the true examples, each once, whatever the batch and the devices."""

import jax
import numpy as np
import pytest

from dl.state import TrainState
from dl.task import mean
from dl.training.evaluate import Evaluated, evaluator
from tests.training.tasks import Net, experiment, settings


def evaluate(config, devices, change=lambda task: task) -> tuple[Evaluated, TrainState]:
    chosen = experiment("classifier", config, devices)
    state = chosen.initial_state()
    return evaluator(change(chosen.task), chosen.evaluation("test"), chosen.mesh, config.replicate)(state), state


def by_hand(state, replica: int = 0, ema: bool = False):
    """Error and loss of all 50 test examples at once, in NumPy from the scores on."""
    source = experiment("classifier").dataset.splits["test"].gather(np.arange(50))
    images = source["image"].astype(np.float32) / 255 - 0.5
    params = jax.tree.map(lambda x: np.asarray(x)[replica], (state.ema if ema else state.params)["model"])
    variables = jax.tree.map(lambda x: np.asarray(x)[replica], state.variables)
    scores = np.asarray(Net().apply({"params": params, **variables}, images), np.float64)
    shifted = scores - scores.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(50), source["label"]]
    return {"error": np.mean(scores.argmax(1) != source["label"]), "loss": losses.mean()}, scores, source["label"]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("size", [50, 24, 7, 1000])
def test_a_ragged_last_batch_counts_as_it_should(size, devices):
    result, state = evaluate(settings(eval_batch_size=size), devices)
    expected, scores, label = by_hand(state)
    assert result.metrics["error"] == pytest.approx([expected["error"]], abs=1e-12)  # counts are exact
    np.testing.assert_allclose(result.metrics["loss"], [expected["loss"]], rtol=1e-6)
    np.testing.assert_allclose(result.outputs[0]["scores"], scores, atol=1e-5)
    np.testing.assert_array_equal(result.outputs[0]["label"], label)  # all 50, in their order, none twice


@pytest.mark.parametrize(("how", "devices"), [("unroll", 1), ("vmap", 1), ("unroll", 8)])
def test_each_replica_is_evaluated_with_its_own_parameters(how, devices):
    result, state = evaluate(settings(replicas=2, replicate=how), devices)
    for r in range(2):
        expected, scores, _ = by_hand(state, r)
        np.testing.assert_allclose(result.metrics["loss"][r], expected["loss"], rtol=1e-6)
        np.testing.assert_allclose(result.outputs[r]["scores"], scores, atol=1e-5)


def test_the_moving_average_is_evaluated_where_there_is_one():
    config = settings(ema=0.5)
    chosen = experiment("classifier", config)
    state = chosen.initial_state()
    state = state._replace(params=jax.tree.map(lambda p: p * 0, state.params))
    result = evaluator(chosen.task, chosen.evaluation("test"), chosen.mesh, "unroll")(state)
    np.testing.assert_allclose(result.metrics["loss"], [by_hand(state, ema=True)[0]["loss"]], rtol=1e-6)


def test_numbers_of_the_whole_set_come_from_the_outputs_of_each_replica():
    def change(task):
        return task._replace(
            summarize=lambda outputs: {"spread": float(np.ptp(outputs["scores"])), "count": len(outputs["label"])}
        )

    result, state = evaluate(settings(replicas=2), 1, change)
    np.testing.assert_allclose(result.metrics["spread"], [np.ptp(by_hand(state, r)[1]) for r in range(2)], rtol=1e-4)
    assert result.metrics["count"].tolist() == [50, 50]


def test_draws_differ_from_batch_to_batch_and_repeat():
    def change(task):
        def drawn(params, variables, batch, key):
            return {"drawn": mean(jax.random.uniform(key, batch["mask"].shape), batch["mask"])}, {
                "drawn": jax.random.uniform(key, batch["mask"].shape)
            }

        return task._replace(evaluate=drawn)

    first, _ = evaluate(settings(), 1, change)
    again, _ = evaluate(settings(), 1, change)
    drawn = first.outputs[0]["drawn"]
    np.testing.assert_array_equal(drawn, again.outputs[0]["drawn"])
    assert not np.array_equal(drawn[:24], drawn[24:48])
