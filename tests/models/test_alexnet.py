"""AlexNet: the published counts and sizes, the lecture's ablations, two halves on two devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from configs import imagenet_alexnet
from dl import mesh, registry
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError
from dl.layers.pooling import max_pool
from dl.layers.response_normalisation import local_response_norm
from dl.state import TrainState
from dl.tasks.classification import Classification
from dl.training import optimizers
from tests.training import tasks

LAYERS = {
    "alexnet": {
        "conv1": 34_944,
        "conv2": 307_456,
        "conv3": 885_120,
        "conv4": 663_936,
        "conv5": 442_624,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    },
    "alexnet_one_tower": {
        "conv1": 23_296,
        "conv2": 307_392,
        "conv3": 663_936,
        "conv4": 884_992,
        "conv5": 590_080,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    },
}
TOTALS = {"alexnet": 60_965_224, "alexnet_one_tower": 61_100_840}


def build(name="alexnet", **settings):
    return registry.find("dl.models", "model", name)(**settings)


def shapes(model, side=227):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))["params"]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def outputs(model, side=227, wanted=None):
    x, wanted = jnp.zeros((1, side, side, 3)), wanted or model.layers
    made = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, wanted, method="features")[0])
    return {name: found.shape[1:] for name, found in made.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_published_parameters(name):
    counts = {layer: count(tree) for layer, tree in shapes(build(name)).items()}
    assert counts == LAYERS[name]
    assert sum(counts.values()) == TOTALS[name]


def test_outputs_have_the_published_sizes():
    sizes = outputs(build())
    assert np.prod(sizes["conv1"]) == 290_400  # neurons
    published = [
        ("conv1", (55, 55, 96)),
        ("norm1", (55, 55, 96)),
        ("pool1", (27, 27, 96)),
        ("conv2", (27, 27, 256)),
        ("norm2", (27, 27, 256)),
        ("pool2", (13, 13, 256)),
        ("conv3", (13, 13, 384)),
        ("conv4", (13, 13, 384)),
        ("conv5", (13, 13, 256)),
        ("pool5", (6, 6, 256)),
        ("fc6", (4096,)),
        ("fc7", (4096,)),
        ("fc8", (1000,)),
    ]
    assert build().layers == tuple(name for name, _ in published) and sizes == dict(published)
    one = outputs(build("alexnet_one_tower"), 224)
    assert [one[name] for name in ("conv1", "pool1", "pool2", "pool5")] == [
        (55, 55, 64),
        (27, 27, 64),
        (13, 13, 192),
        (6, 6, 256),
    ]


@pytest.mark.parametrize(
    ("without", "dropped"), [((7,), 16_781_312), ((6, 7), 49_414_144), ((3, 4), 1_696_512), ((3, 4, 6, 7), 51_110_656)]
)
def test_what_the_lecture_s_ablations_drop(without, dropped):
    """Worked out: the layers themselves, and what the next one no longer, or now, reads."""
    layers = LAYERS["alexnet"]
    worked = sum(layers[f"{'conv' if n < 6 else 'fc'}{n}"] for n in without)
    worked += 9 * (384 - 256) // 2 * 256 if 3 in without else 0  # conv5 reads 256 maps, a half each
    worked -= (6 * 6 * 256 - 4096) * 1000 if 6 in without else 0  # fc8 reads pool5
    settings = imagenet_alexnet.get_config("without_" + "_".join(map(str, without))).model.to_dict()
    model = build(**settings)
    assert TOTALS["alexnet"] - count(shapes(model)) == worked == dropped
    assert outputs(model, wanted=("fc8",)) == {"fc8": (1000,)}


def test_a_half_sees_its_own_maps_in_the_layers_of_two_groups():
    model = build(response_norm="none")  # response normalisation looks across the border
    x = jax.random.normal(jax.random.key(1), (1, 67, 67, 3))
    assert [shapes(build())[f"conv{n}"]["kernel"].shape[2] for n in range(1, 6)] == [3, 48, 256, 192, 192]
    params = jax.jit(lambda: model.init(jax.random.key(0), x, ("conv2",), method="features"))()["params"]

    def second_half(params):
        wanted = model.apply({"params": params}, x, ("conv2",), method="features")["conv2"]
        return wanted[..., 128:].sum()

    gradient = jax.jit(jax.grad(second_half))(params)["conv1"]["kernel"]
    assert not np.any(gradient[..., :48]) and np.all(np.any(gradient[..., 48:], axis=(0, 1, 2)))


@pytest.mark.parametrize("order", ["before", "after", "none"])
def test_response_normalisation_before_or_after_pooling(order):
    model = build(response_norm=order)
    x = 50 * jax.random.normal(jax.random.key(1), (1, 67, 67, 3))
    apply = jax.jit(lambda params: model.apply(params, x, ("conv1", "pool1", model.layers[2]), method="features"))
    found = apply(jax.jit(lambda: model.init(jax.random.key(0), x, model.layers[:3], method="features"))())

    def pooled(x):
        return max_pool(x, (3, 3), (2, 2))

    if order == "before":
        np.testing.assert_allclose(found["pool1"], pooled(local_response_norm(found["conv1"])), rtol=1e-5)
    else:
        np.testing.assert_allclose(found["pool1"], pooled(found["conv1"]), rtol=1e-5)
    if order == "after":
        np.testing.assert_allclose(found["norm1"], local_response_norm(pooled(found["conv1"])), rtol=1e-5)


@pytest.mark.parametrize("sides", [(63, 63), (63, 150), (224, 224)])
def test_the_one_tower_takes_any_size(sides):
    x = jnp.zeros((1, *sides, 3))
    model = build("alexnet_one_tower", num_classes=7)
    assert jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x)[0]).shape == (1, 7)


def test_bad_input():
    with pytest.raises(UserError, match=r"alexnet takes 227x227 images: set --config.dataset.size=\(227,227\)"):
        shapes(build(), 200)
    with pytest.raises(UserError, match="too small for pool5 of alexnet"):
        shapes(build("alexnet_one_tower"), 62)
    with pytest.raises(UserError, match="unknown layer that alexnet can be without '5'.*Choices: 3, 4, 6, 7"):
        shapes(build(without=(5,)))
    with pytest.raises(UserError, match="unknown order .*'behind'.*after, before, none"):
        shapes(build(response_norm="behind"))
    with pytest.raises(UserError, match="unknown layer of alexnet 'conv6'"):
        outputs(build(), wanted=("conv6",))
    with pytest.raises(UserError, match="unknown layer of alexnet 'fc7'"):
        outputs(build(without=(7,)), wanted=("fc7",))


def rules():
    return imagenet_alexnet.get_config("halves").mesh.rules


def experiment(devices, **changes):
    """Two steps on random images, with few units in the dense layers."""
    rng = np.random.default_rng(0)
    examples = {"image": rng.integers(0, 256, (2, 227, 227, 3), np.uint8), "label": np.array([1, 4], np.int32)}
    info = labelled_images("random", (227, 227, 3), 5)
    config = tasks.settings(steps=2, batch_size=2, checkpoint_every=0)
    config.mesh.update(changes)
    optimizer = optimizers.build({"name": "momentum", "learning_rate": 0.01}, 2)
    task = Classification(build(num_classes=5, hidden=32, without=(3, 4)), info).task(optimizer, 2)
    data = Dataset(info, {"train": Arrays(examples)})
    return tasks.experiment(task, config, devices, data)


def test_initial_weights_are_the_paper_s():
    for name, layer in jax.device_get(experiment(1).initial_state().params["model"]).items():
        np.testing.assert_allclose(layer["kernel"].std(), 0.01, rtol=0.1)
        assert set(np.unique(layer["bias"])) == {float(name in ("conv2", "conv4", "conv5", "fc6", "fc7"))}


def test_two_halves_on_two_devices_are_one_net(tmp_path):
    one, two = experiment(1), experiment(2, data=1, model=2, rules=rules())
    both = [tasks.run(chosen, tmp_path / name) for chosen, name in ((one, "one"), (two, "two"))]
    np.testing.assert_allclose(tasks.curve(tmp_path / "one", "loss"), tasks.curve(tmp_path / "two", "loss"), rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *(jax.device_get(t.state.params) for t in both))
    kernel = both[1].state.params["model"]["conv2"]["kernel"]  # [replica, 5, 5, 48, 256]
    assert [shard.data.shape for shard in kernel.addressable_shards] == [(1, 5, 5, 48, 128)] * 2


def test_each_device_holds_half_of_all_but_the_last_layer():
    built = mesh.build({"model": 2}, 1, jax.devices()[:2])
    params = {"model": jax.tree.map(lambda s: jax.ShapeDtypeStruct((1, *s.shape), s.dtype), shapes(build()))}
    scalar = jax.ShapeDtypeStruct((1,), jnp.int32)
    state = TrainState(scalar, scalar, params, {}, {"fit": {"trace": params}}, {})  # as of momentum
    placed = mesh.place(state, built, rules())
    assert placed.params["model"]["conv2"]["kernel"].spec == P("replica", None, None, None, "model")
    assert placed.opt_state["fit"]["trace"] == placed.params
    held = jax.tree.map(lambda s, where: np.prod(where.shard_shape(s.shape)), params, placed.params)
    assert sum(jax.tree.leaves(held)) == (TOTALS["alexnet"] - LAYERS["alexnet"]["fc8"]) // 2 + LAYERS["alexnet"]["fc8"]
