"""Evaluation is over the true examples, each once, whatever the batch and the devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.metric import LOWER, NEITHER
from dl.state import TrainState
from dl.task import Evaluator, mean
from dl.training.evaluate import Evaluated, Evaluations, check_finite
from tests.training.tasks import Net, experiment, settings


def evaluate(config, devices, change=lambda task: task) -> tuple[Evaluated, TrainState]:
    chosen = experiment("classifier", config, devices)
    state = chosen.initial_state()
    return Evaluations(chosen._replace(task=change(chosen.task)))(state, "test"), state


def by_hand(state, replica: int = 0, ema: bool = False):
    """Error and loss of all 50 test examples at once, in NumPy from the scores on."""
    source = experiment("classifier").dataset.splits["test"].gather(np.arange(50))
    images = source["image"].astype(np.float32) / 255 - 0.5
    params, variables = jax.tree.map(lambda x: np.asarray(x)[replica], state.evaluated(ema))
    scores = np.asarray(Net().apply({"params": params["model"], **variables}, images), np.float64)
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
    moved = jax.tree.map(lambda s: s + 0.01, state.ema["variables"])  # averaged statistics, other than those of the last step
    state = state._replace(ema={**state.ema, "variables": moved})
    found = {ema: Evaluations(chosen)(state, "test", ema=ema).metrics["loss"] for ema in (True, False)}
    for ema, loss in found.items():
        np.testing.assert_allclose(loss, [by_hand(state, ema=ema)[0]["loss"]], rtol=1e-6)
    assert found[True] != found[False]


def test_numbers_of_the_whole_set_come_from_the_outputs_of_each_replica():
    def change(task):
        def finish(sums, outputs):
            return {"spread": float(np.ptp(outputs["scores"])), "count": len(outputs["label"])}

        evaluator = task.evaluators["classify"]._replace(finish=finish, metrics={"spread": NEITHER, "count": NEITHER})
        return task._replace(evaluators={"classify": evaluator})

    result, state = evaluate(settings(replicas=2), 1, change)
    np.testing.assert_allclose(result.metrics["spread"], [np.ptp(by_hand(state, r)[1]) for r in range(2)], rtol=1e-4)
    assert result.metrics["count"].tolist() == [50, 50]


def test_draws_differ_from_batch_to_batch_and_repeat():
    def change(task):
        def drawn(params, variables, batch, key):
            return {"drawn": mean(jax.random.uniform(key, batch["mask"].shape), batch["mask"])}, {
                "drawn": jax.random.uniform(key, batch["mask"].shape)
            }

        return task._replace(evaluators={"draw": Evaluator(drawn, {"drawn": NEITHER})})

    first, _ = evaluate(settings(), 1, change)
    again, _ = evaluate(settings(), 1, change)
    drawn = first.outputs[0]["drawn"]
    np.testing.assert_array_equal(drawn, again.outputs[0]["drawn"])
    assert not np.array_equal(drawn[:24], drawn[24:48])


def test_sums_of_any_shape_add_up_exactly_over_the_batches_of_each_replica():
    def change(task):
        classify = task.evaluators["classify"].step

        def confusion(params, variables, batch, key):
            _, out = classify(params, variables, batch, key)
            cells = jnp.zeros((4, 4), jnp.int32).at[out["label"], out["scores"].argmax(-1)].add(batch["mask"].astype(jnp.int32))
            return {"confusion": cells}, {}

        def finish(sums, outputs):
            assert sums["confusion"].dtype == np.int64 and outputs == {}
            return {"error": 1 - np.trace(sums["confusion"]) / sums["confusion"].sum()}

        return task._replace(evaluators={"confusion": Evaluator(confusion, {"error": LOWER}, finish)})

    result, state = evaluate(settings(replicas=2, eval_batch_size=7), 8, change)
    for r in range(2):
        expected, scores, label = by_hand(state, r)
        assert result.metrics["error"][r] == pytest.approx(expected["error"], abs=1e-12)
        counts = np.zeros((4, 4), int)
        np.add.at(counts, (label, scores.argmax(1)), 1)
        np.testing.assert_array_equal(result.sums[r]["confusion"]["confusion"], counts)


def test_outputs_without_metrics_keep_every_replica():
    def change(task):
        step = task.evaluators["classify"].step
        return task._replace(evaluators={"scores": Evaluator(lambda *given: ({}, step(*given)[1]), {})})

    result, state = evaluate(settings(replicas=2), 1, change)
    assert result.metrics == {} and len(result.outputs) == 2
    np.testing.assert_allclose(result.outputs[1]["scores"], by_hand(state, 1)[1], atol=1e-5)


def test_a_metric_that_nothing_was_counted_for_is_left_out_and_one_that_is_not_described_is_a_mistake():
    def change(task):
        def step(params, variables, batch, key):
            return {"never": mean(jnp.ones(len(batch["mask"])), jnp.zeros(len(batch["mask"]), bool))}, {}

        return task._replace(evaluators={"never": Evaluator(step, {"never": LOWER} if described else {})})

    described = True
    assert evaluate(settings(), 1, change)[0].metrics == {}
    described = False
    assert evaluate(settings(), 1, change)[0].metrics == {}  # nor is it there

    def misnamed(task):
        return task._replace(evaluators={"classify": task.evaluators["classify"]._replace(metrics={"loss": LOWER})})

    with pytest.raises(ValueError, match=r"'classify' gives \['error'\], which its metrics do not describe"):
        evaluate(settings(), 1, misnamed)


def test_the_splits_of_an_evaluator_are_its_own():
    chosen = experiment("classifier")
    evaluators = chosen.task.evaluators | {"other": chosen.task.evaluators["classify"]._replace(splits=("validation",))}
    chosen = chosen._replace(task=chosen.task._replace(evaluators=evaluators))
    assert Evaluations(chosen).names("test") == ["classify"]
    assert Evaluations(chosen).names("validation") == ["classify", "other"]


def test_a_metric_that_is_not_finite_is_named_with_its_split():
    check_finite(Evaluated({"loss": np.array([1.0, 2.0])}, []), "test", 3)
    with pytest.raises(UserError, match=r"after step 3 the metric 'loss' of replica 1 is nan on the split 'test'"):
        check_finite(Evaluated({"error": np.zeros(2), "loss": np.array([1.0, np.nan])}, []), "test", 3)
