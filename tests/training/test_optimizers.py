import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.training import optimizers, rules
from dl.transfer.frozen import frozen
from tests.pytorch import recorded
from tests.pytorch.cases import RATE, SHAPES, UPDATES
from tests.pytorch.draw import uniform

STEPS = 3


@pytest.fixture
def params():
    keys = jax.random.split(jax.random.key(0), 7)
    shapes = {
        "conv1": {"kernel": (3, 3, 1, 4), "bias": (4,)},
        "norm": {"scale": (4,), "bias": (4,)},
        "head": {"kernel": (4, 5), "bias": (2, 5), "negative_slope": (1,)},
    }
    named = iter(keys)
    return {"model": jax.tree.map(lambda s: jax.random.normal(next(named), s), shapes, is_leaf=lambda s: isinstance(s, tuple))}


@pytest.fixture
def gradients(params):
    """One tree of gradients a step; there are zeros among them."""

    def draw(seed):
        key = jax.random.key(seed)
        return jax.tree.map(lambda p: jnp.round(jax.random.normal(jax.random.fold_in(key, p.size), p.shape), 1), params)

    return [draw(seed) for seed in range(1, STEPS + 1)]


def run(settings, params, gradients, steps=STEPS):
    """The parameters after each update, and the last state."""
    optimizer = optimizers.build(settings, steps)
    state, update, seen = jax.jit(optimizer.init)(params), jax.jit(optimizer.update), []
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen, state


def flat(tree):
    return {rules.path_name(path): np.asarray(leaf, np.float64) for path, leaf in jax.tree.leaves_with_path(tree)}


# The published formulas, in NumPy and float64. Each takes parameter, gradient, update t = 1, 2, ..., a dictionary as memory,
# and whether the parameter is a weight, and returns the new parameter.


def sgd(w, g, t, m, is_weight):
    return w - 0.1 * g


def momentum(w, g, t, m, is_weight):
    m["v"] = 0.8 * m.get("v", 0) + g
    return w - 0.1 * m["v"]


def nesterov(w, g, t, m, is_weight):
    """Sutskever et al. 2013, eq. 3-4, followed at the point looked ahead to (Bengio et al. 2013, eq. 7)."""
    previous = m.get("v", 0)
    m["v"] = 0.8 * previous - 0.1 * g
    return w - 0.8 * previous + 1.8 * m["v"]


def adam_direction(g, t, m, eps):
    m["m"] = 0.9 * m.get("m", 0) + 0.1 * g
    m["v"] = 0.99 * m.get("v", 0) + 0.01 * g**2
    return m["m"] / (1 - 0.9**t) / (np.sqrt(m["v"] / (1 - 0.99**t)) + eps)


def adam(w, g, t, m, is_weight):
    return w - 0.1 * adam_direction(g, t, m, 1e-3)


def adamw(w, g, t, m, is_weight):
    return w - 0.1 * (adam_direction(g, t, m, 1e-3) + 0.2 * w * is_weight)


def rmsprop(w, g, t, m, is_weight):
    m["v"] = 0.8 * m.get("v", 0) + 0.2 * g**2
    return w - 0.1 * g / np.sqrt(m["v"] + 1e-3)


def adagrad(w, g, t, m, is_weight):
    m["v"] = m.get("v", 0.5) + g**2
    return w - 0.1 * g / np.sqrt(m["v"] + 1e-3)


def lamb(w, g, t, m, is_weight):
    update = adam_direction(g, t, m, 1e-3) + 0.2 * w * is_weight
    return w - 0.1 * np.linalg.norm(w) / np.linalg.norm(update) * update


def lars(w, g, t, m, is_weight):
    """You et al. 2017, algorithm 1: the local rate is 0.02 |w| / |g + 0.2 w|."""
    g = g + 0.2 * w * is_weight
    local = 0.02 * np.linalg.norm(w) / np.linalg.norm(g) if is_weight else 1.0
    m["v"] = 0.8 * m.get("v", 0) + 0.1 * local * g
    return w - m["v"]


PUBLISHED = {
    "sgd": (sgd, {}),
    "momentum": (momentum, {"momentum": 0.8}),
    "nesterov": (nesterov, {"momentum": 0.8}),
    "adam": (adam, {"b2": 0.99, "eps": 1e-3}),
    "adamw": (adamw, {"b2": 0.99, "eps": 1e-3, "weight_decay": 0.2}),
    "rmsprop": (rmsprop, {"decay": 0.8, "eps": 1e-3}),
    "adagrad": (adagrad, {"initial_accumulator_value": 0.5, "eps": 1e-3}),
    "lamb": (lamb, {"b2": 0.99, "eps": 1e-3, "weight_decay": 0.2}),
    "lars": (lars, {"momentum": 0.8, "weight_decay": 0.2, "trust_coefficient": 0.02}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_three_updates_by_the_published_formula(name, params, gradients):
    formula, settings = PUBLISHED[name]
    seen, _ = run({"name": name, "learning_rate": 0.1, **settings}, params, gradients)
    is_weight = flat(rules.weights(params))
    for path, value in flat(params).items():
        memory = {}
        for t in range(1, STEPS + 1):
            value = formula(value, flat(gradients[t - 1])[path], t, memory, bool(is_weight[path]))
            np.testing.assert_allclose(flat(seen[t - 1])[path], value, rtol=2e-5, atol=2e-6, err_msg=f"{path}, update {t}")


MOMENTUM = {"name": "momentum", "momentum": 0.8}
NESTEROV = {"name": "nesterov", "momentum": 0.8}
ADAM = {"name": "adam", "b1": 0.8, "b2": 0.99, "eps": 1e-3}
RMSPROP = {"name": "rmsprop", "decay": 0.8, "eps": 0.0}
OF_PYTORCH = {
    "sgd": {"name": "sgd"},
    "sgd, l2": {"name": "sgd", "l2": 0.2},
    "sgd, clipped": {"name": "sgd", "clip_norm": 0.5},
    "momentum": MOMENTUM,
    "momentum, l2": {**MOMENTUM, "l2": 0.2},
    "nesterov": NESTEROV,
    "nesterov, l2": {**NESTEROV, "l2": 0.2},
    "adam": ADAM,
    "adam, l2": {**ADAM, "l2": 0.2},
    "adamw": {**ADAM, "name": "adamw", "weight_decay": 0.2},
    "rmsprop": RMSPROP,
    "rmsprop, centred": {**RMSPROP, "eps": 1e-12, "centered": True},
    "rmsprop, momentum": {**RMSPROP, "momentum": 0.7},
    "adagrad": {"name": "adagrad", "initial_accumulator_value": 0.5, "eps": 0.0},
}


@pytest.mark.parametrize("case", OF_PYTORCH)
def test_updates_are_those_of_pytorch(case):
    """tests/pytorch/optimizers.py, whose l2 and weight decay are of the kernel alone, as ours."""

    def draw(prefix=""):
        return {"model": {name: jnp.asarray(uniform(prefix + name, shape)) for name, shape in SHAPES.items()}}

    gradients = [draw(f"gradient {step} ") for step in range(UPDATES)]
    seen, _ = run({**OF_PYTORCH[case], "learning_rate": RATE}, draw(), gradients, UPDATES)
    ours = [np.concatenate([params["model"][name].ravel() for name in SHAPES]) for params in seen]
    np.testing.assert_allclose(ours, recorded.arrays("optimizers", case)["parameters"], rtol=1e-5, atol=2e-6)


def test_muon_orthogonalises_the_update_of_weights_and_leaves_the_rest_to_adam(params, gradients):
    """Jordan et al. 2024: the update is U S' V^T with singular values near 1, convolutions as matrices [inputs, outputs]."""
    seen, _ = run({"name": "muon", "learning_rate": 0.1}, params, gradients[:1])
    by_adam, _ = run({"name": "adam", "learning_rate": 0.1, "nesterov": True}, params, gradients[:1])
    moved = {path: value - flat(params)[path] for path, value in flat(seen[0]).items()}
    for path, rows in (("model/conv1/kernel", 9), ("model/head/kernel", 4)):
        matrix = moved[path].reshape(rows, -1)
        scale = 0.1 * math.sqrt(max(1.0, matrix.shape[1] / matrix.shape[0]))
        singular = np.linalg.svd(matrix, compute_uv=False) / scale
        assert singular.min() > 0.6 and singular.max() < 1.3
    for path in ("model/conv1/bias", "model/norm/scale", "model/head/bias"):
        np.testing.assert_allclose(flat(seen[0])[path], flat(by_adam[0])[path], rtol=1e-6)


def test_every_optimizer_learns_a_line():
    """Least squares on y = 3 x + 1. LAMB moves a parameter in proportion to itself, so the bias starts on its side of 0."""
    x = jnp.linspace(-1, 1, 32)[:, None]
    y = 3 * x + 1
    start = {"model": {"kernel": jnp.full((1, 1), 0.5), "bias": jnp.full((1,), 0.1)}}

    def loss(p):
        return jnp.mean((x @ p["model"]["kernel"] + p["model"]["bias"] - y) ** 2)

    for name in optimizers.OPTIMIZERS:
        settings = {"name": name, "learning_rate": 0.1, "schedule": {"name": "cosine"}, "clip_norm": 1}
        settings |= {"trust_coefficient": 0.1} if name == "lars" else {}
        settings |= {"learning_rate": 1.0} if name == "adagrad" else {}
        optimizer = optimizers.build(settings, 300)

        def step(_, carry, optimizer=optimizer):
            value, gradient = jax.value_and_grad(loss)(carry[0])
            line_search = {"value": value, "grad": gradient, "value_fn": loss}  # as dl.training.step gives them
            update = optax.with_extra_args_support(optimizer).update
            updates, state = update(gradient, carry[1], carry[0], **line_search)
            return optax.apply_updates(carry[0], updates), state

        final, _ = jax.jit(lambda p, o=optimizer, s=step: jax.lax.fori_loop(0, 300, s, (p, o.init(p))))(start)
        assert float(loss(final)) < 0.01 * float(loss(start)), name


def test_clipping_by_the_global_norm(params, gradients):
    norm = math.sqrt(sum((g**2).sum() for g in flat(gradients[0]).values()))
    for limit in (norm / 4, 2 * norm):
        seen, _ = run({"name": "sgd", "learning_rate": 1, "clip_norm": limit}, params, gradients[:1])
        for path, before in flat(params).items():
            expected = before - min(1, limit / norm) * flat(gradients[0])[path]
            np.testing.assert_allclose(flat(seen[0])[path], expected, rtol=1e-5, atol=1e-6)


def test_clipping_counts_only_what_moves(params, gradients):
    rules = ({"pattern": "model/(conv1|norm)/.*", "frozen": True}, {"pattern": "model/head/.*"})
    norm = math.sqrt(sum((g**2).sum() for path, g in flat(gradients[0]).items() if path.startswith("model/head")))
    seen, _ = run({"name": "sgd", "learning_rate": 1.0, "clip_norm": norm / 2, "rules": rules}, params, gradients[:1])
    expected = flat(params)["model/head/kernel"] - flat(gradients[0])["model/head/kernel"] / 2
    np.testing.assert_allclose(flat(seen[0])["model/head/kernel"], expected, rtol=1e-5, atol=1e-6)


WEIGHTS = {"model/conv1/kernel", "model/head/kernel"}


def test_what_counts_as_a_weight(params):
    assert {path for path, is_weight in flat(rules.weights(params)).items() if is_weight} == WEIGHTS
    others = {
        "embed": {"embedding": jnp.zeros((3, 2))},
        "rows": {"kernel": jnp.zeros(3)},
        "image": jnp.zeros((1, 4, 4, 3)),
        "layers": {"norm": {"scale": jnp.zeros((2, 4))}, "attention": {"qkv_bias": jnp.zeros((2, 4))}},
        "subsampling": {"coefficient": jnp.zeros(6)},
    }
    assert {path for path, is_weight in flat(rules.weights(others)).items() if is_weight} == {
        "embed/embedding",
        "rows/kernel",
        "image",
    }


def test_penalties_equal_the_gradient_of_the_penalised_loss(params, gradients):
    """On weights, by automatic differentiation of l1 sum|w| + l2/2 sum w^2; exactly nothing on biases, scales and slopes."""
    l1, l2 = 0.3, 0.07

    def penalty(w):
        return l1 * jnp.abs(w).sum() + l2 / 2 * (w**2).sum()

    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1, "l1": l1, "l2": l2}, STEPS)
    updates, _ = optimizer.update(gradients[0], optimizer.init(params), params)
    by_autodiff = flat(jax.tree.map(jax.grad(penalty), params))
    for path, update in flat(updates).items():
        added = -update - flat(gradients[0])[path]
        if path in WEIGHTS:
            np.testing.assert_allclose(added, by_autodiff[path], rtol=1e-5, atol=1e-6)
        else:
            assert (added == 0).all(), path


def test_l1_leaves_a_zero_at_zero():
    """Of the subgradients of |w| at 0 it is 0, so what L1 has emptied stays empty (jax.grad of jnp.abs gives 1 there)."""
    params = {"model": {"kernel": jnp.array([[0.0, 2.0], [-0.0, -2.0]])}}
    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1, "l1": 0.5}, STEPS)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    assert updates["model"]["kernel"].tolist() == [[0.0, -0.5], [0.0, 0.5]]


def test_penalties_are_clipped_with_the_gradient(params, gradients):
    settings = {"name": "sgd", "learning_rate": 1.0, "l2": 100, "clip_norm": 0.5}
    optimizer = optimizers.build(settings, STEPS)
    updates, _ = optimizer.update(gradients[0], optimizer.init(params), params)
    assert float(optax.tree.norm(updates)) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "lars", "muon"])
def test_rules_scale_rates_and_freeze_bit_for_bit(name, params, gradients):
    rules = (
        {"pattern": r"model/conv1/.*", "frozen": True},
        {"pattern": r"model/norm/\w+", "learning_rate_scale": 2},
        {"pattern": r"model/head/.*", "learning_rate_scale": 0.5},
    )
    settings = {"name": name, "learning_rate": 0.1}
    scaled, state = run({**settings, "rules": rules}, params, gradients[:1])
    plain, _ = run(settings, params, gradients[:1])
    for path, before in flat(params).items():
        factor = {"conv1": 0.0, "norm": 2.0, "head": 0.5}[path.split("/")[1]]
        np.testing.assert_allclose(flat(scaled[0])[path] - before, factor * (flat(plain[0])[path] - before), atol=1e-6)
    with_poison = [jax.tree.map_with_path(lambda p, g: jnp.nan * g if "conv1" in str(p) else g, g) for g in gradients]
    seen, state = run({**settings, "rules": rules, "clip_norm": 1.0, "l2": 0.1}, params, with_poison)
    for leaf in ("kernel", "bias"):
        assert seen[-1]["model"]["conv1"][leaf].tobytes() == params["model"]["conv1"][leaf].tobytes()
    assert not any("conv1" in path for path in flat(state)), "a frozen parameter has no state"
    assert all(np.isfinite(leaf).all() for leaf in flat(seen[-1]).values())


def test_rules_replace_the_penalties(params, gradients):
    rules = ({"pattern": "model/conv1/.*", "l2": 0.5}, {"pattern": "model/(norm|head)/.*", "l1": 0.25})
    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1.0, "l1": 0.125, "rules": rules}, STEPS)
    updates, _ = optimizer.update(gradients[0], optimizer.init(params), params)
    added = {path: -update - flat(gradients[0])[path] for path, update in flat(updates).items()}
    conv, head = flat(params)["model/conv1/kernel"], flat(params)["model/head/kernel"]
    np.testing.assert_allclose(added["model/conv1/kernel"], 0.125 * np.sign(conv) + 0.5 * conv, atol=1e-6)
    np.testing.assert_allclose(added["model/head/kernel"], 0.25 * np.sign(head), atol=1e-6)
    assert (added["model/head/bias"] == 0).all()


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["model/conv1/.*", "model/norm/.*"], r"no rule matches the parameter 'model/head/bias'"),
        (["model/conv1"], r"no rule matches the parameter 'model/conv1/bias'"),  # a pattern matches the whole path
        (["model/.*", ".*/kernel"], r"'\.\*/kernel' matches no parameter that no rule before it matches"),
        (
            ["model/.*", "decoder/.*"],
            r"'decoder/\.\*' matches no parameter. Parameters: model/conv1/bias, model/conv1/kernel, .*\.\.\.",
        ),
    ],
)
def test_every_parameter_has_a_rule_and_every_rule_a_parameter(patterns, message, params):
    optimizer = optimizers.build({"name": "adam", "learning_rate": 0.1, "rules": [{"pattern": p} for p in patterns]}, STEPS)
    for init in (optimizer.init, jax.jit(optimizer.init), lambda p: jax.eval_shape(optimizer.init, p)):
        with pytest.raises(UserError, match=message):
            init(params)


def test_the_first_rule_that_matches_holds(params, gradients):
    given = (
        {"pattern": ".*/kernel", "learning_rate_scale": 0.5},
        {"pattern": "model/conv1/.*", "frozen": True},
        {"pattern": ".*"},
    )
    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1.0, "rules": given}, STEPS)
    updates, _ = optimizer.update(gradients[0], optimizer.init(params), params)
    moved, gradient, is_frozen = flat(updates), flat(gradients[0]), frozen(given)
    for path, update in moved.items():
        scale = 0.5 if path.endswith("/kernel") else 0.0 if path.startswith("model/conv1/") else 1.0
        np.testing.assert_allclose(update, -scale * gradient[path], atol=1e-7, err_msg=path)
        assert is_frozen(path) == (scale == 0)


def test_freezing_everything_is_a_mistake(params):
    optimizer = optimizers.build({"name": "sgd", "learning_rate": 1.0, "rules": [{"pattern": ".*", "frozen": True}]}, STEPS)
    with pytest.raises(UserError, match="every parameter is frozen"):
        optimizer.init(params)


def test_the_learning_rate_is_seen_and_is_the_one_used(params):
    """With a gradient of ones, SGD moves each parameter by the rate; the state shows the rate of the last update."""
    settings = {"name": "sgd", "learning_rate": 1, "schedule": {"name": "linear", "warmup_steps": 2, "warmup_from": 0.5}}
    optimizer = optimizers.build(settings, 6)
    state = optimizer.init(params)
    assert float(optimizers.learning_rate(state)) == 0.5  # of the first update to come
    seen = []
    for count in range(6):
        assert int(state.count) == count
        updates, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
        seen.append(float(optimizers.learning_rate(state)))
        np.testing.assert_allclose(flat(updates)["model/norm/scale"], -seen[-1], rtol=1e-6)
        assert optax.tree_utils.tree_get(state, "learning_rate").dtype == jnp.float32
    assert seen == pytest.approx([0.5, 0.75, 1.0, 0.75, 0.5, 0.25])
    assert optimizers.learning_rate(optax.adam(0.1).init(params)) is None


def test_each_optimizer_counts_its_own_updates(params, gradients):
    """As of a GAN's two objectives, one of which is taken twice a step."""
    settings = {"name": "adam", "learning_rate": 1.0, "schedule": {"name": "step", "boundaries": (2,)}}
    often, seldom = optimizers.build(settings, 4), optimizers.build(settings, 2)
    states = {"often": often.init(params), "seldom": seldom.init(params)}
    for gradient in gradients[:2]:
        for name, optimizer in (("often", often), ("often", often), ("seldom", seldom)):
            states[name] = optimizer.update(gradient, states[name], params)[1]
    assert (int(states["often"].count), int(states["seldom"].count)) == (4, 2)
    assert float(optimizers.learning_rate(states["often"])) == pytest.approx(0.1)
    assert float(optimizers.learning_rate(states["seldom"])) == 1.0


RULES = ({"pattern": "model/conv1/.*", "frozen": True}, {"pattern": "model/(norm|head)/.*"})


# L-BFGS, which takes neither penalties nor an update without its loss, has tests of its own.
STATES = [(name, ()) for name in optimizers.OPTIMIZERS if name != "lbfgs"] + [
    (name, RULES) for name in ("adamw", "lars", "muon")
]


@pytest.mark.parametrize(("name", "rules"), STATES)
def test_the_state_is_a_plain_tree_of_arrays_that_never_changes_shape(name, rules, params, gradients):
    optimizer = optimizers.build({"name": name, "learning_rate": 0.1, "rules": rules, "clip_norm": 1, "l2": 0.1}, STEPS)
    state = optimizer.init(params)
    assert jax.tree.all(jax.tree.map(lambda leaf: isinstance(leaf, jax.Array), state))
    shapes = {path: leaf.shape for path, leaf in flat(params).items()}
    for path, leaf in flat(state).items():
        if leaf.size > 3:  # moments and traces: where they lie tells whose they are; counts and Muon's coefficients are small
            owner = path[path.index("/model/") + 1 :]
            assert leaf.shape == shapes[owner]

    _, after = jax.jit(optimizer.update)(gradients[0], state, params)
    expected = jax.eval_shape(optimizer.init, params)
    assert jax.tree.structure(after) == jax.tree.structure(expected)
    assert jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), after, expected) == jax.tree.map(
        lambda _: True, expected
    )

    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, after))  # what a checkpoint keeps
    restored = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])
    went_on, came_back = (jax.jit(optimizer.update)(gradients[1], s, params)[0] for s in (after, restored))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(jax.tree.leaves(went_on), jax.tree.leaves(came_back), strict=True))


@pytest.mark.parametrize("name", ["nesterov", "adamw", "lamb"])
def test_replicas_with_rates_of_their_own_equal_single_runs(name, params, gradients):
    """Under vmap, with the learning rate a traced scalar."""
    settings = {"name": name, "schedule": {"name": "cosine", "warmup_steps": 1}, "clip_norm": 1.0, "rules": RULES}

    def train(rate, params):
        optimizer = optimizers.build({**settings, "learning_rate": rate}, STEPS)
        state = optimizer.init(params)
        for gradient in gradients:
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
        return params, optimizers.learning_rate(state)

    scales = jnp.array([1.0, 2.0])
    stacked = jax.tree.map(lambda p: scales.reshape(-1, *[1] * p.ndim) * p, params)
    together, rates = jax.jit(jax.vmap(train))(jnp.array([0.1, 0.3]), stacked)
    assert rates.tolist() == pytest.approx([0.05, 0.15])
    for r, rate in enumerate((0.1, 0.3)):
        alone, _ = run({**settings, "learning_rate": rate}, jax.tree.map(lambda p, r=r: p[r], stacked), gradients)
        for path, value in flat(alone[-1]).items():
            np.testing.assert_allclose(flat(together)[path][r], value, rtol=1e-5, atol=1e-6)


def test_a_config_section_will_do_and_whole_numbers_are_numbers(params, gradients):
    section = ConfigDict({"name": "adam", "learning_rate": 1, "b1": 0, "eps": 1, "l2": 1, "clip_norm": 2})
    section.rules = ({"pattern": ".*", "learning_rate_scale": 1},)
    same = {"name": "adam", "learning_rate": 1.0, "b1": 0.0, "eps": 1.0, "l2": 1.0, "clip_norm": 2.0}
    section.schedule = {"name": "linear", "final": 1}
    (a, _), (b, _) = run({**section, "learning_rate": 1}, params, gradients), run(same, params, gradients)
    assert all((flat(a[-1])[path] == flat(b[-1])[path]).all() for path in flat(params))
    (a, _) = run(section, params, gradients)
    assert all((flat(a[-1])[path] == flat(b[-1])[path]).all() for path in flat(params))


GOOD = {"name": "adam", "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "adm", "learning_rate": 0.1},
            "unknown optimizer 'adm'. Did you mean 'adam'.*Choices: adagrad, adam, adamw, lamb, lars",
        ),
        ({"learning_rate": 0.1}, "unknown optimizer 'None'"),
        ({"name": "adam"}, "needs the setting 'learning_rate'"),
        ({**GOOD, "beta1": 0.5}, "unknown setting of optimizer 'adam' 'beta1'.*Choices: b1, b2, clip_norm, eps"),
        ({**GOOD, "weight_decay": 0.5}, "unknown setting of optimizer 'adam' 'weight_decay'"),
        ({**GOOD, "name": "adamw", "mask": None}, "unknown setting of optimizer 'adamw' 'mask'"),
        ({**GOOD, "learning_rate": "fast"}, "learning_rate must be a number, not 'fast'"),
        ({**GOOD, "learning_rate": math.nan}, "learning_rate must be a number, not nan"),
        ({**GOOD, "learning_rate": 0}, "learning_rate must be above 0"),
        ({**GOOD, "schedule": "cosine"}, "schedule must be a section such as {'name': 'cosine'}, not 'cosine'"),
        ({**GOOD, "schedule": {"name": "cosin"}}, "unknown schedule 'cosin'"),
        ({**GOOD, "b1": 1}, "b1 must be at least 0 and below 1, not 1"),
        ({**GOOD, "eps": "tiny"}, "eps must be a number, not 'tiny'"),
        ({**GOOD, "clip_norm": -1}, "clip_norm must not be negative"),
        ({**GOOD, "l2": -0.1}, "l2 must not be negative"),
        ({**GOOD, "rules": [{"patern": ".*"}]}, "each rule must be a section with a 'pattern'"),
        (
            {**GOOD, "rules": [{"pattern": ".*", "lr": 2}]},
            r"unknown setting of the optimizer's rule '\.\*' 'lr'.*Choices: frozen, l1, l2",
        ),
        ({**GOOD, "rules": [{"pattern": "(", "frozen": True}]}, r"'\(' is not a regular expression"),
        (
            {**GOOD, "rules": [{"pattern": ".*", "learning_rate_scale": 0}]},
            "must be above 0, not 0; to freeze parameters, set 'frozen'",
        ),
        ({**GOOD, "rules": [{"pattern": ".*", "frozen": "no"}]}, "must be True or False, not 'no'"),
    ],
)
def test_mistakes_are_one_clear_line(settings, message):
    with pytest.raises(UserError, match=message) as caught:
        optimizers.build(settings, STEPS)
    assert "\n" not in str(caught.value)
