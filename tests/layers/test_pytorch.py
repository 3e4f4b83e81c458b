"""Layers beside PyTorch's: tests/pytorch/layers.py and recurrent.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.layers.ceil_pooling import ceil_pool
from dl.layers.convolution import convolve
from dl.layers.pooling import adaptive_avg_pool
from dl.layers.recurrent import Recurrent, RecurrentStack
from dl.layers.residual import batch_norm
from dl.layers.response_normalisation import local_response_norm
from dl.layers.transposed_convolution import convolve_transposed
from dl.tasks.classification import cross_entropy
from tests.pytorch import recorded
from tests.pytorch.cases import LENGTHS, B, D, H, T
from tests.pytorch.draw import uniform


def check(ours, theirs, tolerance=1e-5):
    """Every array that PyTorch gave, to a part of its size."""
    assert set(ours) == set(theirs)
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, atol=tolerance * max(1, np.abs(array).max()), err_msg=name)


def with_gradients(function, x, kernel=None):
    """As in tests/pytorch/layers.py."""

    @jax.jit
    def results(*given):
        y, back = jax.vjp(function, *given)
        return y, *back(jnp.asarray(uniform("weights", y.shape)))

    given = (x,) if kernel is None else (x, kernel)
    return dict(zip(("outputs", "to_x", "to_kernel"), results(*given), strict=False))


def test_response_normalisation():
    x = 30 * uniform("x", (2, 3, 4, 11))
    check(with_gradients(local_response_norm, x), recorded.arrays("layers", "response normalisation"))


@pytest.mark.parametrize("sides", [(6, 6), (12, 6), (13, 7), (5, 1), (2, 17)])
def test_adaptive_average(sides):
    ours = with_gradients(lambda x: adaptive_avg_pool(x, (6, 4)), uniform("x", (2, *sides, 3)))
    check(ours, recorded.arrays("layers", "adaptive average {}x{}".format(*sides)))


@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_in_ceil_mode(kind):
    ours = with_gradients(lambda x: ceil_pool(x, kind), uniform("x", (2, 6, 9, 3)))
    check(ours, recorded.arrays("layers", f"ceil pool, {kind}"))


def test_convolution_with_strides_padding_holes_and_groups():
    def function(x, kernel):
        return convolve(x, kernel, (2, 1), (2, 1), (2, 1), groups=2)

    ours = with_gradients(function, uniform("x", (2, 9, 7, 4)), uniform("kernel", (3, 2, 2, 6)))
    check(ours, recorded.arrays("layers", "convolution"))


@pytest.mark.parametrize("side", [2, 3, 4, 5])
def test_transposed_convolution(side):
    """With an odd kernel "SAME" lies a pixel further down and to the right than PyTorch's."""
    theirs = recorded.arrays("layers", f"transposed {side}")
    ours = with_gradients(convolve_transposed, uniform("x", (1, 3, 4, 2)), uniform("kernel", (side, side, 2, 3)))
    if side % 2 == 0:
        check(ours, theirs)
    else:
        check({"outputs": ours["outputs"][:, 1:, 1:]}, {"outputs": theirs["outputs"][:, :-1, :-1]})


def test_batch_norm():
    x, params = uniform("x", (3, 4, 5, 6)), {"scale": 1 + uniform("weight", (6,)) / 2, "bias": 1 + uniform("bias", (6,)) / 2}
    start = {"mean": jnp.zeros(6), "var": jnp.ones(6)}

    def train(params, x):
        return batch_norm(True, jnp.float32, "norm").apply({"params": params, "batch_stats": start}, x, mutable=["batch_stats"])

    y, back, new = jax.vjp(train, params, x, has_aux=True)
    to_params, to_x = back(jnp.asarray(uniform("weights", y.shape)))
    unbiased = 0.9 + (new["batch_stats"]["var"] - 0.9) * 60 / 59  # of 60 values; ours is the biased variance
    running = {"mean": new["batch_stats"]["mean"], "var": unbiased}
    ours = {
        "outputs": y,
        "to_x": to_x,
        "to_weight": to_params["scale"],
        "to_bias": to_params["bias"],
        "running_mean": running["mean"],
        "running_var": running["var"],
        "evaluation": batch_norm(False, jnp.float32, "norm").apply({"params": params, "batch_stats": running}, x),
    }
    check(ours, recorded.arrays("layers", "batch norm"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    scores, labels = 3 * uniform("scores", (5, 7)), jnp.arange(5)
    gradient = jax.grad(lambda s: cross_entropy(s, labels, smoothing).sum())(scores)
    ours = {"loss": cross_entropy(jnp.asarray(scores), labels, smoothing), "gradient": gradient}
    check(ours, recorded.arrays("layers", f"cross entropy {smoothing}"))


# --- recurrent layers ---


def drawn(cell, number=0, inputs=D, reverse=False):
    """Our parameters of a layer of PyTorch's, whose recurrent biases are 0 but for that of a GRU's candidate."""
    blocks, suffix = {"lstm": 4, "gru_after": 3}.get(cell, 1), f"l{number}" + "_reverse" * reverse
    params = {
        "kernel": uniform(f"weight_ih_{suffix}", (blocks * H, inputs)).T,
        "recurrent_kernel": uniform(f"weight_hh_{suffix}", (blocks * H, H)).T,
        "bias": uniform(f"bias_ih_{suffix}", (blocks * H,)),
    }
    if cell == "gru_after":
        params["recurrent_bias"] = uniform(f"bias_hh_{suffix}", (blocks * H,))[2 * H :]
    return params


@pytest.mark.parametrize("cell", ["elman", "irnn", "lstm", "gru_after"])
def test_recurrent_layer(cell):
    layer, theirs = Recurrent(cell, H), recorded.arrays("recurrent", cell)
    state = tuple(jnp.asarray(uniform(name, (1, B, H))[0]) for name in ("h", "c")[: 2 if cell == "lstm" else 1])

    @jax.jit
    def results(params, x):
        outputs, back, last = jax.vjp(lambda p, x: layer.apply({"params": p}, x, state), params, x, has_aux=True)
        return outputs, last, *back(2 * outputs)

    outputs, last, to_params, to_x = results(drawn(cell), uniform("x", (T, B, D)))
    bias = to_params["bias"]
    ours = {
        "outputs": outputs,
        **{f"last{number}": s for number, s in enumerate(last)},
        "to_x": to_x,
        "to_weight_ih_l0": to_params["kernel"].T,
        "to_weight_hh_l0": to_params["recurrent_kernel"].T,
        "to_bias_ih_l0": bias,
        "to_bias_hh_l0": jnp.concatenate([bias[: 2 * H], to_params["recurrent_bias"]]) if cell == "gru_after" else bias,
    }
    check(ours, theirs)


@pytest.mark.parametrize("cell", ["lstm", "gru_after"])
def test_stack_in_both_directions_of_sequences_of_several_lengths(cell):
    stack, theirs = RecurrentStack(cell, H, layers=2, bidirectional=True), recorded.arrays("recurrent", f"{cell}, stack")
    params = {
        f"layer{number + 1}{'_backward' * reverse}": drawn(cell, number, 2 * H if number else D, reverse)
        for number in (0, 1)
        for reverse in (False, True)
    }
    x = uniform("x", (T, B, D)).swapaxes(0, 1)
    outputs, states = jax.jit(stack.apply)({"params": params}, x, (), jnp.array(LENGTHS))
    check({"outputs": outputs, "last": np.stack([state[0] for state in states])}, theirs)
