"""Residual nets: published counts and sizes, the versions' strides and orders, stochastic depth."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError

from dl import registry
from dl.errors import UserError
from dl.layers.residual import dropped, survival
from dl.models.residual_net import ResidualBlock
from dl.models.resnet import ResNet
from dl.models.resnet_cifar import CifarResNet

PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


def shapes(model, side=32):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def outputs(model, side, wanted):
    made = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), jnp.zeros((1, side, side, 3)), wanted, method="features")[0]
    )
    return {name: found.shape[1:] for name, found in made.items()}


@pytest.mark.parametrize(("name", "total"), PUBLISHED.items())
def test_published_parameters(name, total):
    assert count(shapes(registry.find("dl.models", "model", name)())["params"]) == total


@pytest.mark.parametrize(("depth", "total"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)])
def test_cifar_s_parameters(depth, total):
    """Table 6 says 0.27, 0.46, 0.66, 0.85 and 1.7 million."""
    n = (depth - 2) // 6
    stages = [(16, 16), (16, 32), (32, 64)]  # a block is 9 (i + o) o weights, and two BatchNorms
    worked = sum(9 * (i + o) * o + 4 * o + (n - 1) * (18 * o * o + 4 * o) for i, o in stages)
    assert count(shapes(CifarResNet(depth=depth))["params"]) == 9 * 3 * 16 + 2 * 16 + worked + 650 == total


def test_projections_add_their_parameters():
    b, a = (count(shapes(CifarResNet(shortcut=shortcut))["params"]) for shortcut in "BA")
    assert b - a == 16 * 32 + 64 + 32 * 64 + 128


def test_outputs_have_the_published_sizes():
    wanted = ("stem", "maxpool", "layer1_2", "layer2_3", "layer3_5", "layer4_2", "pool", "fc")
    sizes = [(112, 112, 64), (56, 56, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048), (2048,), (1000,)]
    assert outputs(ResNet(50), 224, wanted) == dict(zip(wanted, sizes, strict=True))
    wanted = ("stem", "layer1_2", "layer2_2", "layer3_2", "pool")
    sizes = [(32, 32, 16), (32, 32, 16), (16, 16, 32), (8, 8, 64), (64,)]
    assert outputs(CifarResNet(), 32, wanted) == dict(zip(wanted, sizes, strict=True))


@pytest.mark.parametrize("side", [1, 15])
def test_any_size_and_number_of_classes(side):
    assert outputs(ResNet(18, num_classes=7), side, ("fc",)) == {"fc": (7,)}
    assert outputs(ResNet(18, version="2"), side, ("norm", "fc"))["fc"] == (1000,)


def test_what_lies_after_the_last_wanted_layer_is_not_made():
    made = jax.eval_shape(
        lambda: ResNet(18).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), ("layer1_1", "stem"), method="features")
    )
    assert set(made["params"]) == {"conv1", "norm1", "layer1_0", "layer1_1"}


@pytest.mark.parametrize(("version", "middle"), [("1", 4), ("1.5", 8), ("2", 8)])
def test_where_a_bottleneck_has_its_stride(version, middle):
    """The input of the 3x3 convolution: halved by the first 1x1 in version 1 alone."""
    block = ResidualBlock(4, stride=2, bottleneck=True, version=version)
    seen = jax.eval_shape(
        lambda: block.init_with_output(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), capture_intermediates=True)
    )
    assert seen[0].shape == (1, 4, 4, 16)
    assert seen[1]["intermediates"]["conv1"]["__call__"][0].shape[1] == middle


def test_zero_last_scales_make_a_block_the_identity():
    block = ResidualBlock(4, zero_last_scale=True)
    x = jax.random.uniform(jax.random.key(1), (2, 5, 5, 4))
    y, _ = jax.jit(block.init_with_output)(jax.random.key(0), x)
    np.testing.assert_array_equal(y, x)
    with pytest.raises(UserError, match="zero_last_scale needs version 1 or 1.5"):
        shapes(CifarResNet(version="2", zero_last_scale=True))


def test_padded_shortcuts_take_every_second_pixel_and_zeros():
    block = ResidualBlock(4, stride=2, shortcut="padding", zero_last_scale=True)
    x = jax.random.uniform(jax.random.key(1), (2, 5, 5, 2))
    y, _ = jax.jit(block.init_with_output)(jax.random.key(0), x)
    np.testing.assert_array_equal(y, np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, 2))))


def test_version_2_is_a_sum_of_branches():
    """Nothing follows the sums: what a block gives is what it was given plus its branch, negative numbers and all."""
    block = ResidualBlock(4, version="2")
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 4))
    variables = jax.jit(block.init)(jax.random.key(0), x)
    variables["params"]["conv2"]["kernel"] *= 0
    np.testing.assert_array_equal(jax.jit(block.apply)(variables, x), x)


def test_survival_decays_linearly():
    """Huang et al. 2016, section 3: with p_L = 0.5 and 54 blocks about 40 are kept on average."""
    kept = [survival(block, 54, 0.5) for block in range(1, 55)]
    assert kept[-1] == 0.5 and kept[0] == 1 - 0.5 / 54
    assert sum(kept) == pytest.approx((3 * 54 - 1) / 4)
    with pytest.raises(UserError, match="at least 0 and below 1"):
        survival(1, 2, 1.0)


def test_dropped_branches():
    branch = jnp.ones((4000, 1, 1, 2))
    np.testing.assert_array_equal(dropped(branch, 0.75, None), 0.75 * branch)
    each = np.asarray(dropped(branch, 0.75, jax.random.key(0), per_example=True))
    assert set(np.unique(each)) == {0.0, 1.0} and (each[..., 0] == each[..., 1]).all()
    assert each.mean() == pytest.approx(0.75, abs=0.03)
    whole = [float(dropped(branch[:3], 0.75, key).mean()) for key in jax.random.split(jax.random.key(0), 400)]
    assert set(whole) == {0.0, 1.0} and np.mean(whole) == pytest.approx(0.75, abs=0.08)


def test_stochastic_depth_goes_through_the_net():
    """Blocks 1 to 9 survive less and less often, the last one half of the time; without a key nothing is trained."""
    model, seen = CifarResNet(depth=20, stochastic_depth=0.5), {}

    def look(method, args, kwargs, context):
        if isinstance(context.module, ResidualBlock):
            seen[context.module.name] = context.module.survival
        return method(*args, **kwargs)

    with nn.intercept_methods(look):
        made = shapes(model)
    assert list(seen.values()) == [1 - block / 9 * 0.5 for block in range(1, 10)] and list(seen)[-1] == "layer3_2"
    x = jnp.zeros((2, 8, 8, 3))
    with pytest.raises(InvalidRngError):
        jax.eval_shape(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]), made)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_dropped_block_is_its_shortcut(version):
    block = ResidualBlock(4, version=version, survival=0.5)
    x = jax.random.uniform(jax.random.key(1), (2, 5, 5, 4))
    variables = jax.jit(block.init)(jax.random.key(0), x)

    @jax.jit
    def trained(key):
        return block.apply(variables, x, True, rngs={"dropout": key}, mutable=["batch_stats"])[0]

    dropped = [bool((trained(jax.random.key(i)) == x).all()) for i in range(12)]
    assert 0 < sum(dropped) < 12


def test_half_precision_computes_in_it_and_keeps_float32():
    model = CifarResNet(depth=8, dtype=jnp.bfloat16)
    x = jnp.zeros((2, 8, 8, 3))
    made = jax.eval_shape(model.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}
    apply = lambda v: model.apply(v, x, ("stem", "fc"), True, method="features", mutable=["batch_stats"])  # noqa: E731
    found, new = jax.eval_shape(apply, made)
    assert found["stem"].dtype == found["fc"].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(new)} == {jnp.dtype("float32")}
    assert jax.eval_shape(model.apply, made, x).dtype == jnp.float32


def test_unknown_names_and_depths():
    with pytest.raises(UserError, match="unknown layer of resnet18 'layer1_2'. Did you mean"):
        outputs(ResNet(18), 32, ("layer1_2",))
    with pytest.raises(UserError, match="unknown version of a residual net '3'"):
        shapes(ResNet(18, version="3"))
    with pytest.raises(UserError, match="depth is 21"):
        shapes(CifarResNet(depth=21))
    with pytest.raises(UserError, match="unknown shortcut of resnet_cifar 'C'"):
        shapes(CifarResNet(shortcut="C"))
