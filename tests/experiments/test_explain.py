"""Counts against published tables, formulas and XLA's own; any task can be explained."""

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl import mesh
from dl.config import base
from dl.data.load import load
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.task import Objective, Phase, Task, mean
from dl.training import flops
from dl.training.assembly import Experiment, assemble
from dl.training.explain import assemble_known, explain
from experiments import explain as program
from tests.training import tasks

ROOT = Path(__file__).parents[2]
IMAGE = (4, 4, 1)


def config(**changes):
    settings = base()
    settings.update(steps=10, batch_size=8, **changes)
    settings.mesh.update(replica=1, data=1)
    return settings


@pytest.fixture(scope="module")
def lenet5():
    settings = config()
    settings.dataset.update(size=(32, 32), fit="resize", mean=(0.0784,), std=(0.7843,))
    settings.model.name = "lenet5"
    return explain(assemble(settings))


def experiment(task, features=None, **changes):
    features = {"image": np.zeros((16, *IMAGE), np.float32)} if features is None else features
    settings = config(**changes)
    known = {name: Feature(Kind.IMAGE if name == "image" else Kind.NUMBER, v.shape[1:]) for name, v in features.items()}
    data = Dataset(Info("zeros", known), {"train": Arrays(features)})
    return Experiment(settings, data, task, mesh.build(settings.mesh.to_dict(), settings.replicas))


def one_objective(network, inputs=IMAGE):
    """Descends the mean of what a network makes of the images."""

    def init(key):
        return {"net": network.init(key, jnp.zeros((1, *inputs)))["params"]}, {}

    def loss(params, variables, batch, key):
        value = network.apply({"params": params["net"]}, batch["image"])
        return mean(value), (variables, {"value": mean(value)})

    return Task(init, {"descend": Objective(loss, ("net",), optax.sgd(0.1))}, (Phase(10, ("descend",)),))


def rows(explanation):
    return {layer.path: layer for layer in explanation.layers}


def count(function, *arguments):
    return flops.total(function, *arguments)


def test_lenet5_has_the_published_layers(lenet5):
    """LeCun et al. 1998, section II.B."""
    published = {
        "C1": ((28, 28, 6), 156),
        "S2": ((14, 14, 6), 12),
        "C3": ((10, 10, 16), 1516),
        "S4": ((5, 5, 16), 32),
        "C5": ((1, 1, 120), 48120),
        "F6": ((84,), 10164),
    }
    found = rows(lenet5)
    assert {name: (found[f"model/{name}"].outputs[0], found[f"model/{name}"].parameters) for name in published} == published
    assert lenet5.parameters == 60000
    assert found["model"].outputs == ((10,),)


def test_lenet5_costs_what_its_sizes_say(lenet5):
    """Two a multiply-add and one for the bias, for each output; on this CPU it runs as another, larger product."""
    found = rows(lenet5)
    assert found["model/C1"].flops == 28 * 28 * 6 * (2 * 5 * 5 + 1)
    assert found["model/C5"].flops == 120 * (2 * 5 * 5 * 16 + 1)
    assert found["model/F6"].flops == 84 * (2 * 120 + 1)
    assert found["model/C1"].activation_bytes == 4 * 28 * 28 * 6


def test_columns_add_up(lenet5):
    assert lenet5.flops == sum(layer.flops for layer in lenet5.layers)
    assert lenet5.parameters == sum(layer.parameters for layer in lenet5.layers)
    assert lenet5.parameters == sum(math.prod(leaf.shape) for leaf in lenet5.sharding)
    assert sum(leaf.bytes_per_device for leaf in lenet5.sharding) == 4 * 60000


def test_counts_are_those_of_xla():
    """Of a function without what XLA counts apart (tanh, exp, ...) or rewrites."""

    def forward(x, w, v, b):
        h = jnp.maximum(x @ w + b, 0.0)
        return h.sum(1) * 3.0 - (h @ v).max()

    arguments = [jnp.ones(shape) for shape in ((8, 30), (30, 20), (20, 5), (20,))]
    measured = jax.jit(forward).lower(*arguments).cost_analysis()["flops"]
    assert count(forward, *arguments) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "SAME"), ((1, 1), "VALID"), ((2, 2), "SAME"), ((2, 2), "VALID")])
def test_a_convolution_costs_the_same_in_all_three_directions(strides, padding):
    """Forward and the gradients by image and kernel are the same sum over the same triples."""
    x, kernel = jnp.ones((2, 12, 12, 3)), jnp.ones((3, 3, 3, 5))
    layout = ("NHWC", "HWIO", "NHWC")

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)

    y = convolve(x, kernel)
    expected = 2 * y.size * 3 * 3 * 3
    assert count(convolve, x, kernel) == expected
    assert count(jax.linear_transpose(lambda x: convolve(x, kernel), x), y) == expected
    assert count(jax.linear_transpose(lambda k: convolve(x, k), kernel), y) == expected


def test_transposed_and_grouped_convolutions():
    """A transposed convolution meets each input with the whole kernel once; in a group an output sees its own inputs only."""
    x = jnp.ones((1, 8, 8, 6))
    transposed = jax.eval_shape(lambda: jnp.ones((4, 4, 6, 2)))
    layout = ("NHWC", "HWIO", "NHWC")
    up = count(lambda x, k: jax.lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=layout), x, transposed)
    assert up == 2 * 8 * 8 * 6 * 4 * 4 * 2
    depthwise = count(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=6),
        x,
        jnp.ones((3, 3, 1, 6)),
    )
    assert depthwise == 2 * 8 * 8 * 6 * 3 * 3


def test_loops_and_branches():
    x = jnp.ones(10)
    assert count(lambda x: jax.lax.scan(lambda c, _: (c * 2.0, None), x, length=7)[0], x) == 70
    assert count(lambda x: jax.lax.while_loop(lambda c: c[0] < 3.0, lambda c: c + 1.0, x), x) == 10
    assert count(lambda x: jax.lax.cond(x[0] > 0, lambda x: x + 1.0, lambda x: x * 2.0 + 1.0, x), x) == 20
    assert count(lambda i: i.at[0].add(1) * 2, jnp.arange(10)) == 0  # integers
    assert count(lambda x: x.at[jnp.array([1, 2])].add(1.0), x) == 2
    assert count(lambda x: nn.max_pool(x, (2, 2), (2, 2)), jnp.ones((1, 8, 8, 1))) == 8 * 8


def test_a_training_step_of_a_perceptron():
    """Forward, gradient by the weights, and by the hidden units but not the images: 2 + 3 products of matrices."""
    settings = config()
    settings.model.update(name="mlp", hidden=(128,), activation="relu")
    settings.optimizer.update(name="sgd", learning_rate=0.1)
    explanation = explain(assemble(settings))
    products = 8 * 2 * (2 * 64 * 128 + 3 * 128 * 10)
    assert products < explanation.phases[0].flops_per_step < 1.25 * products
    assert explanation.parameters == 64 * 128 + 128 + 128 * 10 + 10


@pytest.mark.parametrize("name", tasks.TASKS)
def test_any_task(name):
    """Every parameter has its row, and a step costs more than the forward passes in it."""
    made = tasks.experiment(name)
    explanation = explain(made)
    params, _ = jax.eval_shape(made.task.init, jax.random.key(0))
    assert explanation.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert [phase.objectives for phase in explanation.phases] == [phase.objectives for phase in made.task.phases]
    assert all(phase.flops_per_step > 0 for phase in explanation.phases)
    groups = {layer.path.split("/")[0] for layer in explanation.layers if layer.parameters}
    assert groups == set(params)


class Scorer(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="score")(x.reshape(len(x), -1))


class Painter(nn.Module):
    @nn.compact
    def __call__(self, z):
        return nn.Dense(16, name="paint")(z).reshape(len(z), *IMAGE)


def adversarial():
    """A GAN whose groups and objectives have the same names."""
    scorer, painter = Scorer(), Painter()

    def init(key):
        groups = {"discriminator": scorer.init(key, jnp.zeros((1, *IMAGE))), "generator": painter.init(key, jnp.zeros((1, 3)))}
        return {name: variables["params"] for name, variables in groups.items()}, {}

    def generated(params, key, count):
        return painter.apply({"params": params["generator"]}, jax.random.normal(key, (count, 3)))

    def score(params, images):
        return scorer.apply({"params": params["discriminator"]}, images)

    def discriminate(params, variables, batch, key):
        fake = generated(params, key, len(batch["image"]))
        return mean(score(params, fake) - score(params, batch["image"])), (variables, {})

    def generate(params, variables, batch, key):
        return mean(-score(params, generated(params, key, len(batch["image"])))), (variables, {})

    objectives = {
        "discriminator": Objective(discriminate, ("discriminator",), optax.sgd(0.1)),
        "generator": Objective(generate, ("generator",), optax.sgd(0.1)),
    }
    phases = (Phase(4, ("discriminator",)), Phase(6, ("discriminator", "discriminator", "generator")))
    return Task(init, objectives, phases)


def test_an_adversarial_task():
    explanation = explain(experiment(adversarial()))
    found = rows(explanation)
    assert found["discriminator/score"].calls == 2
    assert found["discriminator/score"].flops == 2 * (2 * 16 + 1)  # real and generated
    assert found["discriminator/score"].parameters == 17
    assert found["generator/paint"].flops == 16 * (2 * 3 + 1)
    assert found["generator"].outputs == (IMAGE,)
    assert found["generator/paint"].parameters == 16 * 4
    assert found["objective/generator"].module == "objective"
    assert explanation.parameters == 17 + 64
    first, second = explanation.phases
    assert (second.steps, second.objectives) == (6, ("discriminator", "discriminator", "generator"))
    assert second.flops_per_step > 2 * first.flops_per_step


def test_twins_are_told_apart():
    """Two networks of one architecture, as of a cycle: each has its own row."""
    network = Scorer()

    def init(key):
        return {name: network.init(key, jnp.zeros((1, *IMAGE)))["params"] for name in ("left", "right")}, {}

    def loss(params, variables, batch, key):
        right = network.apply({"params": params["right"]}, batch["image"])
        left = network.apply({"params": params["left"]}, batch["image"])
        return mean(left * right), (variables, {})

    task = Task(init, {"both": Objective(loss, ("left", "right"), optax.sgd(0.1))}, (Phase(1, ("both",)),))
    found = rows(explain(experiment(task)))
    assert [path for path in found if path.endswith("score")] == ["right/score", "left/score"]
    assert {found[f"{side}/score"].calls for side in ("left", "right")} == {1}


def test_an_image_that_is_itself_the_parameter():
    """Style transfer: the network is a constant among the variables, and the batch is empty."""
    network = Scorer()

    def init(key):
        return {"image": jnp.zeros((1, *IMAGE))}, {"network": network.init(key, jnp.zeros((1, *IMAGE)))["params"]}

    def loss(params, variables, batch, key):
        return mean(network.apply({"params": variables["network"]}, params["image"])), (variables, {})

    task = Task(init, {"paint": Objective(loss, ("image",), optax.sgd(1.0))}, (Phase(5, ("paint",)),))
    explanation = explain(tasks.experiment(task, dataset=tasks.nothing()))
    found = rows(explanation)
    assert (found["image"].module, found["image"].parameters) == ("parameters", 16)
    assert explanation.parameters == 16
    assert found["Scorer/score"].parameters == 0
    assert explanation.sharding[0].path == "image"


class Reader(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.RNN(nn.GRUCell(5, name="cell"))(x)


def test_a_recurrent_cell_counts_once_a_time_step():
    """A GRU cell of 5 units on 3 inputs: 3 products by the input and 3 by the state, every time step."""
    explanation = explain(experiment(one_objective(Reader(), (7, 3)), {"image": np.zeros((16, 7, 3), np.float32)}))
    products = {p: layer for p, layer in rows(explanation).items() if layer.module == "Dense"}
    assert len(products) == 6 and {layer.calls for layer in products.values()} == {7}
    assert sum(layer.flops for layer in products.values()) == 7 * (3 * 5 * 2 * 3 + 3 * 5 * 2 * 5 + 4 * 5)
    assert {layer.outputs for layer in products.values()} == {((5,),)}


class Deep(nn.Module):
    @nn.compact
    def __call__(self, x):
        def body(block, x):
            return block(x), None

        x = x.reshape(len(x), -1)
        scan = nn.scan(body, variable_axes={"params": 0}, split_rngs={"params": True}, length=6)
        return scan(nn.Dense(16, name="block"), x)[0]


class Loop(nn.Module):
    """Time first, and a loop that is JAX's own: the module is called once."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (3, 3))
        return jax.lax.scan(lambda c, x_t: (c @ kernel + x_t,) * 2, x[:, 0], x.swapaxes(0, 1))[1]


def test_a_loop_inside_a_layer():
    layer = rows(explain(experiment(one_objective(Loop(), (7, 3)), {"image": np.zeros((16, 7, 3), np.float32)})))["net"]
    assert (layer.calls, layer.outputs, layer.flops) == (1, ((7, 3),), 7 * (2 * 3 * 3 + 3))


def test_layers_in_a_scan():
    layer = rows(explain(experiment(one_objective(Deep()))))["net/block"]
    assert (layer.calls, layer.parameters, layer.flops) == (6, 6 * 16 * 17, 6 * 16 * (2 * 16 + 1))


def test_sharding_is_that_of_the_state():
    settings = config(replicas=2)
    settings.mesh.update(replica=2, fsdp=4)
    settings.model.update(name="mlp", hidden=(128,), activation="relu")
    made = assemble(settings)
    explanation = explain(made)
    kernel = next(leaf for leaf in explanation.sharding if leaf.shape == (64, 128))
    assert kernel.axes == (None, "fsdp")
    assert kernel.bytes_per_device == 4 * 64 * 128 // 4
    leaves = [x for x in jax.tree.leaves(made.initial_state()) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    first = jax.devices()[0]
    held = sum(shard.data.nbytes for leaf in leaves for shard in leaf.addressable_shards if shard.device == first)
    keys = 8  # a replica's key
    assert explanation.state_bytes_per_device == held + keys
    assert explanation.state_bytes == sum(leaf.nbytes for leaf in leaves) + 2 * keys


def test_the_tables_fit(lenet5, capsys):
    program.show(lenet5)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 120
    for text in ("28 x 28 x 6", "48,120", "60,000", "model/C3/kernel", "not split"):
        assert text in printed
    assert "\x1b" not in printed


def test_the_program_prints_json():
    command = [sys.executable, "-m", "experiments.explain", "--config=configs/digits_lenet5.py:smoke", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["parameters"] == 60000
    assert found["flops"] == sum(layer["flops"] for layer in found["layers"])
    assert [layer["path"] for layer in found["layers"]][:2] == ["model", "model/C1"]
    assert found["phases"][0] | {"flops_per_step": 0} == {
        "steps": 40,
        "objectives": ["classify"],
        "stream": "train",
        "examples": 64,
        "shapes": 1,
        "flops_per_step": 0,
    }
    assert len(found["sharding"]) == 12


# What the papers say, and what no data on this machine is asked for.
PUBLISHED = {
    "imagenet_alexnet": 60_965_224,
    "imagenet_resnet50": 25_557_032,
    "imagenet_vgg16": 138_357_544,
    "mnist_lenet5": 60_000,
    "omniglot_koch": 38_951_745,
    "ptb_lstm_large": 66_022_000,
    "cifar10_resnet20": 269_722,
}
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
SLOW = {"style_transfer"}  # computes its targets by VGG-19


def published(name):
    made = runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]()
    made.mesh.update(replica=1, data=1)
    if name == "style_transfer":
        made.task.size = 64  # the targets are computed
    return made


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CONFIGS])
def test_every_published_setting_is_assembled_without_its_data(name, tmp_path):
    made, without = assemble_known(published(name), str(tmp_path), None)
    assert set(without) <= {"weights", "reinitialise", "styles", "content", "benchmarks", "features"}
    params, _ = jax.eval_shape(made.task.init, jax.random.key(0))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    assert count == PUBLISHED.get(name, count) > 0
    stream = made.streams()[made.task.phases[0].stream]
    assert set(stream.batch_sizes) == {made.config.batch_size}  # one size for each bucket


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.slow
def test_every_published_setting_is_explained_without_its_data(name, tmp_path):
    found = explain(assemble_known(published(name), str(tmp_path), None)[0])
    assert found.parameters == PUBLISHED.get(name, found.parameters)
    assert all(phase.flops_per_step > 0 for phase in found.phases)


NAMES = ("mnist", "usps", "cifar10_subset", "tiny_shakespeare", "ptb", "omniglot", "an4", "fsdd")


@pytest.mark.parametrize("name", [*NAMES, pytest.param("fsdd_states", marks=pytest.mark.slow)])
def test_what_is_known_is_what_the_files_hold(name, shared_data):
    config = published(next(config for config in CONFIGS if published(config).dataset.name == name))
    config.dataset.update(size=(0, 0), fit="pad")
    told, read = load(config.dataset, known=True), load(config.dataset, manual_dir=str(shared_data))
    assert {split: len(source) for split, source in told.splits.items()} == {s: len(v) for s, v in read.splits.items()}
    assert told.info.num_classes == read.info.num_classes
    assert all(read.info.shapes[feature] == shape for feature, shape in told.info.shapes.items())
    for split, source in read.splits.items():
        ours, theirs = (s.gather(np.arange(2)) for s in (told.splits[split], source))
        varying = {f for f, shape in told.info.shapes.items() if None in shape}  # how long they are, only the files say
        shapes = [{f: (v.shape[: 1 if f in varying else None], v.dtype) for f, v in s.items()} for s in (ours, theirs)]
        assert shapes[0].items() <= shapes[1].items()
    if name != "ptb":  # whose words are in its files alone
        assert told.info.class_names == read.info.class_names
