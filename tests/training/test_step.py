import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.state import TrainState
from dl.task import Objective, Phase, Task, mean
from dl.training import optimizers
from dl.training.assembly import create
from dl.training.step import Packed, add, dispatch, train_step
from tests.training.tasks import classifier, recurrent


def task_of(params, objectives: dict[str, Objective], *phases: Phase, variables=None) -> Task:
    return Task(lambda key: (params, variables or {}), objectives, phases)


def regression(optimizer: optax.GradientTransformation) -> Task:
    """Least squares: batches hold x [B, 3] and y [B]."""

    def loss(params, variables, batch, key):
        errors = jnp.square(batch["x"] @ params["line"]["w"] + params["line"]["b"] - batch["y"])
        return mean(errors), (variables, {"squared": mean(errors)})

    start = {"line": {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.float32(0.1)}}
    return task_of(start, {"fit": Objective(loss, ("line",), optimizer)}, Phase(10, ("fit",)))


def batch_of(size: int = 8, seed: int = 0) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 3)).astype(np.float32)
    return {"x": jnp.asarray(x), "y": jnp.asarray(x @ [1.0, 2.0, 3.0] + 1, jnp.float32)}


def scalar(*order: str) -> Task:
    """`down` (loss p, rate 1) takes 1 from p; `half` (loss p^2 / 2, rate 1/2) halves it; `draw` reports what its key gives."""

    def down(params, variables, batch, key):
        return (params["a"]["p"], jnp.float32(1)), (variables, {"seen": (params["a"]["p"], jnp.float32(1))})

    def half(params, variables, batch, key):
        return (params["a"]["p"] ** 2 / 2, jnp.float32(1)), (variables, {"seen": (params["a"]["p"], jnp.float32(1))})

    def draw(params, variables, batch, key):
        return (0.0 * params["a"]["p"], jnp.float32(1)), (variables, {"drawn": (jax.random.uniform(key), jnp.float32(1))})

    objectives = {
        "down": Objective(down, ("a",), optax.sgd(1.0)),
        "half": Objective(half, ("a",), optax.sgd(0.5)),
        "draw": Objective(draw, ("a",), optax.sgd(1.0)),
    }
    return task_of({"a": {"p": jnp.float32(3)}}, objectives, Phase(10, order))


def state_of(task: Task, ema: float = 0.0, seed: int = 0) -> TrainState:
    return create(task, jnp.uint32(seed), jnp.int32(0), ema)


def step(task: Task, batch=None, parts: int = 1, ema: float = 0.0, state: TrainState | None = None, phase: int = 0):
    taken = train_step(task, task.phases[phase], parts, ema)
    return jax.jit(taken)(state or state_of(task, ema), batch or {}, jax.random.key(1))


def several(task: Task, batches, state: TrainState | None = None, parts: int = 1, phase: int = 0, count: int | None = None):
    """As many steps as the loop dispatches, where `batches` holds `step` [K, B], or the first `count` of them."""
    taken = dispatch(task, task.phases[phase], lambda constants, key, batch: batch, parts, 0.0)
    count = len(batches["step"]) if count is None else count
    state, metrics = jax.jit(taken)(state or state_of(task), {}, batches, jnp.int32(count))
    return state, by_name(metrics)


def by_name(metrics: Packed) -> dict[str, tuple]:
    """name -> (sums [K], counts [K])."""
    return {name: (metrics.values[..., m, 0], metrics.values[..., m, 1]) for m, name in enumerate(metrics.names)}


def test_a_step_of_sgd_is_the_gradient_by_hand():
    batch = batch_of()
    state, metrics = step(regression(optax.sgd(0.1)), batch)
    x, y, w, b = np.asarray(batch["x"]), np.asarray(batch["y"]), np.array([0.5, -1.0, 2.0]), 0.1
    residual = x @ w + b - y
    gradient = np.append(2 * x.T @ residual / 8, 2 * residual.mean())
    np.testing.assert_allclose(state.params["line"]["w"], w - 0.1 * gradient[:3], rtol=1e-5)
    np.testing.assert_allclose(state.params["line"]["b"], b - 0.1 * gradient[3], rtol=1e-5)
    np.testing.assert_allclose(metrics["objective/fit"][0], np.mean(residual**2), rtol=1e-5)
    np.testing.assert_allclose(metrics["squared"], (np.sum(residual**2), 8), rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm/fit"][0], np.linalg.norm(gradient), rtol=1e-5)
    assert state.step == 1


@pytest.mark.parametrize(
    ("order", "end"),
    [
        (("down", "half", "down"), 0.0),
        (("half", "down", "down"), -0.5),
        (("down", "down", "half"), 0.5),
        (("half", "half"), 0.75),
    ],
)
def test_objectives_are_taken_in_their_order_each_from_where_the_last_one_left(order, end):
    assert float(step(scalar(*order))[0].params["a"]["p"]) == end


def test_a_metric_of_an_objective_taken_twice_is_the_mean():
    _, metrics = step(scalar("down", "half", "down"))
    assert [float(v) for v in metrics["seen"]] == [3 + 2 + 1, 3]
    assert [float(v) for v in metrics["objective/down"]] == [3 + 1, 2]
    assert [float(v) for v in metrics["objective/half"]] == [2, 1]


def test_sums_and_counts_add_up():
    a, b = (
        {"x": (jnp.float32(1), jnp.float32(2))},
        {"x": (jnp.float32(3), jnp.float32(4)), "y": (jnp.float32(5), jnp.float32(6))},
    )
    assert add(a, b) == {"x": (4, 6), "y": (5, 6)}


def test_keys_are_folded_from_the_step_and_the_place_in_it():
    task = scalar("draw", "down", "draw")
    state = state_of(task)
    _, metrics = several(task, {"step": jnp.zeros((2, 4), jnp.int32)})
    for k in range(2):
        key = jax.random.split(jax.random.fold_in(state.key, k))[1]
        expected = sum(jax.random.uniform(jax.random.fold_in(key, i)) for i in (0, 2))
        np.testing.assert_allclose(metrics["drawn"][0][k], expected, rtol=1e-6)
    assert metrics["drawn"][0][0] != metrics["drawn"][0][1]


def test_dropout_differs_from_step_to_step_and_from_seed_to_seed():
    task = classifier(optimizer=optax.sgd(0.0))
    one = {"image": jnp.ones((1, 16, 8, 8, 1)), "label": jnp.zeros((1, 16), jnp.int32), "step": jnp.zeros((1, 16), jnp.int32)}
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), one)
    _, metrics = several(task, twice)
    assert metrics["loss"][0][0] != metrics["loss"][0][1]  # nothing moves and nothing differs but the dropout
    _, again = several(task, twice)
    np.testing.assert_array_equal(metrics["loss"][0], again["loss"][0])


def test_other_groups_are_constants():
    def loss(params, variables, batch, key):
        return (params["a"]["p"] * params["b"]["p"], jnp.float32(1)), (variables, {})

    groups = {"a": {"p": jnp.float32(2)}, "b": {"p": jnp.float32(5)}}
    task = task_of(groups, {"only_a": Objective(loss, ("a",), optax.adam(1.0))}, Phase(1, ("only_a",)))
    state, metrics = step(task)
    assert float(state.params["b"]["p"]) == 5 and float(state.params["a"]["p"]) < 2
    assert float(metrics["gradient_norm/only_a"][0]) == 5  # of a alone
    assert set(state.opt_state["only_a"][0].mu) == {"a"}


def test_the_gradient_in_parts_is_that_of_the_whole_batch():
    batch = batch_of(16)
    optimizer = optax.sgd(0.1, momentum=0.9)
    whole, in_parts = (step(regression(optimizer), batch, parts=p) for p in (1, 4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole[0].params, in_parts[0].params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), whole[1], in_parts[1])


def test_a_masked_loss_in_parts_is_that_of_the_whole_batch():
    """Parts 0 and 1 have three and one counted examples: means of part means would weigh them alike."""

    def loss(params, variables, batch, key):
        errors = jnp.square(batch["x"] @ params["line"]["w"] - batch["y"])
        return mean(errors, batch["counted"]), (variables, {"squared": mean(errors, batch["counted"])})

    task = task_of({"line": {"w": jnp.ones(3)}}, {"fit": Objective(loss, ("line",), optax.sgd(0.1))}, Phase(10, ("fit",)))
    batch = {**batch_of(8), "counted": jnp.array([1, 1, 1, 0, 1, 0, 0, 0], bool)}
    whole, in_parts = (step(task, batch, parts=p) for p in (1, 2))
    np.testing.assert_allclose(whole[0].params["line"]["w"], in_parts[0].params["line"]["w"], rtol=1e-6)
    np.testing.assert_allclose(whole[1]["objective/fit"][0], in_parts[1]["objective/fit"][0], rtol=1e-6)
    counted = np.flatnonzero(batch["counted"])
    expected = np.square(np.asarray(batch["x"])[counted].sum(1) - np.asarray(batch["y"])[counted]).mean()
    np.testing.assert_allclose(in_parts[1]["objective/fit"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_batch_in_which_nothing_counts_moves_nothing(parts):
    def loss(params, variables, batch, key):
        errors = jnp.square(batch["x"] @ params["line"]["w"] - batch["y"])
        return mean(errors, jnp.zeros(len(errors), bool)), (variables, {})

    task = task_of({"line": {"w": jnp.ones(3)}}, {"fit": Objective(loss, ("line",), optax.sgd(0.1))}, Phase(10, ("fit",)))
    state, metrics = step(task, batch_of(8), parts=parts)
    np.testing.assert_array_equal(state.params["line"]["w"], np.ones(3))
    assert float(metrics["objective/fit"][0]) == 0


def test_variables_pass_from_part_to_part():
    task = recurrent()
    batch = {"image": jnp.ones((16, 8, 8, 1)), "label": jnp.zeros(16, jnp.int32)}
    state, _ = step(task, batch)
    assert int(state.variables["seen"]) == 1

    def count(params, variables, batch, key):
        return (params["a"]["p"], jnp.float32(1)), ({"seen": variables["seen"] + 1}, {"size": mean(batch["x"])})

    counting = task_of(
        {"a": {"p": jnp.float32(0)}},
        {"count": Objective(count, ("a",), optax.sgd(1.0))},
        Phase(1, ("count",)),
        variables={"seen": jnp.int32(0)},
    )
    state, metrics = step(counting, {"x": jnp.arange(8.0)}, parts=4)
    assert int(state.variables["seen"]) == 4
    assert [float(v) for v in metrics["size"]] == [28, 8]
    assert float(state.params["a"]["p"]) == -1  # one update


def test_the_moving_average_follows_its_formula():
    task, seen = scalar("down"), []
    state = state_of(task, ema=0.9)
    for t, p in enumerate((2.0, 1.0, 0.0), start=1):
        state, _ = step(task, ema=0.9, state=state)
        seen.append(p)
        weights = 0.9 ** np.arange(t)[::-1]  # nothing of where it began
        np.testing.assert_allclose(state.ema["params"]["a"]["p"], weights @ seen / weights.sum(), rtol=1e-6)
    assert state_of(task).ema == {}


def test_the_gradient_is_clipped_by_its_global_norm():
    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1.0, "clip_norm": 0.5}, 10)
    task, batch = regression(optimizer), batch_of()
    before = state_of(task)
    after, metrics = step(task, batch)
    moved = optax.tree.norm(jax.tree.map(lambda a, b: a - b, after.params, before.params))
    assert float(metrics["gradient_norm/fit"][0]) > 1  # reported as it was
    np.testing.assert_allclose(moved, 0.5, rtol=1e-5)
    assert float(metrics["learning_rate/fit"][0]) == 1


def test_each_optimizer_counts_its_own_updates():
    rate = optax.piecewise_constant_schedule(1.0, {2: 0.0})  # moves twice, then stays
    task = scalar("down", "half", "down")
    task = task._replace(objectives={**task.objectives, "down": task.objectives["down"]._replace(optimizer=optax.sgd(rate))})
    state, _ = step(task)
    assert float(state.params["a"]["p"]) == 0.0  # 3 - 1, / 2, - 1
    state, _ = step(task, state=state._replace(params={"a": {"p": jnp.float32(4)}}))
    assert float(state.params["a"]["p"]) == 2.0  # only halved


def test_an_optimizer_with_a_line_search_gets_the_loss():
    task, batch = regression(optax.lbfgs()), batch_of(32)
    state = state_of(task)
    for _ in range(12):
        state, metrics = step(task, batch, state=state)
    assert float(metrics["objective/fit"][0]) < 1e-6
    np.testing.assert_allclose(state.params["line"]["w"], [1, 2, 3], atol=1e-3)


def test_running_statistics_of_batch_normalisation_are_those_of_the_batch():
    task = classifier()
    image = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8, 8, 1)), jnp.float32)
    before = state_of(task)
    after, _ = step(task, {"image": image, "label": jnp.zeros(16, jnp.int32)})
    convolved = jax.lax.conv_general_dilated(
        image, before.params["model"]["Conv_0"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(
        after.variables["batch_stats"]["BatchNorm_0"]["mean"], 0.01 * np.asarray(convolved).mean((0, 1, 2)), atol=1e-6
    )


def test_several_steps_in_one_dispatch_are_the_steps_one_by_one():
    task, count = regression(optax.adam(0.1)), 5
    batches = [{**batch_of(seed=k), "step": jnp.full(8, k)} for k in range(count)]
    together, metrics = several(task, jax.tree.map(lambda *b: jnp.stack(b), *batches))
    state = state_of(task)
    for k, batch in enumerate(batches):
        state, one = several(task, jax.tree.map(lambda x: x[None], batch), state)
        np.testing.assert_allclose(metrics["objective/fit"][0][k], one["objective/fit"][0][0], rtol=1e-5)
    assert int(state.step) == int(together.step) == count
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, together.params)


def test_a_dispatch_of_fewer_steps_is_the_same_program_and_leaves_the_rest_alone():
    task = regression(optax.adam(0.1))
    batches = [{**batch_of(seed=k), "step": jnp.full(8, k)} for k in range(5)]
    stacked = jax.tree.map(lambda *b: jnp.stack(b), *batches)
    state, metrics = several(task, stacked, count=3)
    assert int(state.step) == 3
    np.testing.assert_array_equal(metrics["objective/fit"][0][3:], 0)
    rest = jax.tree.map(lambda x: jnp.concatenate([x[3:], x[:3]]), stacked)
    resumed, _ = several(task, rest, state, count=2)
    whole, _ = several(task, stacked)
    jax.tree.map(np.testing.assert_array_equal, whole.params, resumed.params)  # bit for bit, wherever it was cut


def test_the_statistics_of_normalisation_are_averaged_with_the_parameters():
    task = classifier(optimizer=optax.sgd(0.1))
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 8, 8, 1)), jnp.float32)
    state, seen = state_of(task, ema=0.5), []
    assert set(state.ema["variables"]) == {"batch_stats"}
    for k in range(2):
        state, _ = step(task, {"image": image[k], "label": jnp.zeros(16, jnp.int32)}, ema=0.5, state=state)
        seen.append(state.variables["batch_stats"]["BatchNorm_0"]["mean"])
    average = state.ema["variables"]["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(average, (seen[0] + 2 * seen[1]) / 3, rtol=1e-5)  # weights 1/2 and 1, divided by their sum
    np.testing.assert_array_equal(state.evaluated()[1]["batch_stats"]["BatchNorm_0"]["mean"], average)
    np.testing.assert_array_equal(state.evaluated(ema=False)[1]["batch_stats"]["BatchNorm_0"]["mean"], seen[1])
    assert state_of(recurrent(), ema=0.5).ema["variables"] == {}  # a recurrent state is none of the model's


def test_a_batch_may_hold_nothing_but_its_steps():
    for count in (1, 3):
        state, _ = several(scalar("down"), {"step": jnp.zeros((count, 4), jnp.int32)})
        assert float(state.params["a"]["p"]) == 3 - count


def test_batches_are_prepared_with_a_key_of_their_own_step():
    task = regression(optax.sgd(0.0))
    keys = []

    def prepare(constants, key, batch):
        return {"x": jax.random.normal(key, (8, 3)) * constants["scale"], "y": jnp.zeros(8)}

    taken = jax.jit(dispatch(task, task.phases[0], prepare, 1, 0.0))
    _, packed = taken(state_of(task), {"scale": jnp.float32(2)}, {"step": jnp.zeros((3, 8), jnp.int32)}, jnp.int32(3))
    metrics = by_name(packed)
    start = state_of(task)
    for k in range(3):
        key = jax.random.split(jax.random.fold_in(start.key, k))[0]
        keys.append(key)
        x = 2 * jax.random.normal(key, (8, 3))
        expected = jnp.square(x @ start.params["line"]["w"] + 0.1).mean()
        np.testing.assert_allclose(metrics["objective/fit"][0][k], expected, rtol=1e-5)


def test_pmap_over_eight_devices_takes_the_same_steps_as_jit_over_a_mesh():
    """The old way, kept as an equivalent: each device differentiates its part of the batch, then `lax.pmean`."""
    from jax.sharding import NamedSharding, PartitionSpec

    from dl import mesh

    task = regression(optax.adam(0.05))
    objective = task.objectives["fit"]

    def old(params, opt_state, batch):
        graded = jax.value_and_grad(lambda p: objective.value(p, {}, batch, jax.random.key(0))[0])
        value, gradient = jax.lax.pmean(graded(params), "devices")
        updates, opt_state = objective.optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    pmapped = jax.pmap(old, axis_name="devices", in_axes=(None, None, 0), out_axes=(None, None, None))
    built = mesh.build({"data": 8}, 1, jax.devices()[:8])
    over_mesh = jax.jit(
        train_step(task, task.phases[0], 1, 0.0),
        in_shardings=(mesh.replicated(built), NamedSharding(built, PartitionSpec(mesh.BATCH_AXES)), mesh.replicated(built)),
    )
    state = state_of(task)
    params, opt_state = state.params, state.opt_state["fit"]
    for k in range(5):
        batch = batch_of(32, seed=k)
        state, metrics = over_mesh(state, batch, jax.random.key(0))
        params, opt_state, value = pmapped(params, opt_state, jax.tree.map(lambda x: x.reshape(8, 4, *x.shape[1:]), batch))
        np.testing.assert_allclose(metrics["objective/fit"][0], value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5), state.params, params)
