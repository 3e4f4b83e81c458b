"""What the devices are does not matter to what is learned; what lies where does matter to memory."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dl import config_file, mesh
from dl.data.pipeline import read_block
from dl.errors import UserError
from dl.tasks.classification import Classification
from dl.training.assembly import Experiment
from experiments.train import train
from tests.training.tasks import classifier, curve, experiment, image_dataset, run, settings

RULES = (("model/wide/kernel", (None, "model")), ("model/last/kernel", ("model", None)))
TOLERANCE = 2e-5  # relative, on the loss of each of 12 steps of SGD with momentum, dropout and batch normalisation


def trained(folder, mesh_settings=None, devices=1, **changes):
    config = settings(**changes)
    config.mesh.update(mesh_settings or {})
    chosen = experiment("classifier", config, devices)
    return chosen, run(chosen, folder)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The loss curve on one device."""
    folder = tmp_path_factory.mktemp("single") / "run"
    _, result = trained(folder)
    return curve(folder, "loss"), result


@pytest.mark.parametrize(
    "given",
    [
        {"data": 8},
        {"data": 1, "fsdp": 8},
        {"data": 4, "fsdp": 2},
        {"data": 2, "fsdp": 2, "model": 2, "rules": RULES},
        {"data": 1, "model": 8, "rules": (("model/wide/kernel", (None, "model")),)},
    ],
    ids=lambda given: "-".join(f"{k}{v}" for k, v in given.items() if k != "rules"),
)
def test_the_loss_curve_is_that_of_one_device(given, single, tmp_path):
    chosen, result = trained(tmp_path / "run", given, devices=8)
    assert dict(chosen.mesh.shape) == {"replica": 1, "data": 1, "fsdp": 1, "model": 1} | {
        k: v for k, v in given.items() if k != "rules"
    }
    np.testing.assert_allclose(curve(tmp_path / "run", "loss"), single[0], rtol=TOLERANCE)
    np.testing.assert_allclose(
        result.evaluated["test"].metrics["loss"], single[1].evaluated["test"].metrics["loss"], rtol=TOLERANCE
    )


def test_accumulated_on_eight_devices_is_the_whole_batch_on_one(tmp_path):
    """The stacked autoencoder, because batch normalisation sees other batches."""
    for name, devices, microbatches in (("whole", 1, 1), ("parts", 1, 2), ("both", 8, 2)):
        run(experiment("stack", settings(microbatches=microbatches), devices), tmp_path / name)
    for name in ("parts", "both"):
        np.testing.assert_allclose(curve(tmp_path / name, "squared"), curve(tmp_path / "whole", "squared"), rtol=1e-5)


def test_fsdp_keeps_an_eighth_of_parameters_and_optimizer_on_each_device():
    config = settings(ema=0.9)
    config.mesh.update(data=1, fsdp=8)
    state = experiment("classifier", config, devices=8).initial_state()
    for kernel in (state.params, state.ema["params"], state.opt_state["classify"][0].trace):
        wide = kernel["model"]["wide"]["kernel"]  # [replica, 256, 64]
        assert wide.sharding.spec == P("replica", "fsdp", None)
        assert [s.data.shape for s in wide.addressable_shards] == [(1, 32, 64)] * 8
    small = state.params["model"]["last"]["kernel"]
    assert [s.data.shape for s in small.addressable_shards] == [(1, 64, 4)] * 8  # 256 elements: replicated


def test_what_a_task_shows_is_made_of_parameters_that_stay_split(tmp_path, monkeypatch):
    config = config_file.load("configs/digits_mlp.py:smoke")
    config.mesh.update(replica=1, data=1, fsdp=8)
    config.model.hidden = (64,)
    held = []

    def render(self, params, *rest, original=Classification.render):
        kernel = next(leaf for leaf in jax.tree.leaves(params) if leaf.shape == (64, 64))
        held.extend(shard.data.size for shard in kernel.addressable_shards)
        return original(self, params, *rest)

    monkeypatch.setattr(Classification, "render", render)
    train(config, tmp_path / "run", None, None)
    assert held == [64 * 64 // 8] * 8
    assert (tmp_path / "run" / "report" / "index.html").exists()


def test_fsdp_begins_with_the_same_parameters_bit_for_bit():
    config = settings()
    config.mesh.update(data=1, fsdp=8)
    one, eight = experiment("classifier").initial_state(), experiment("classifier", config, devices=8).initial_state()
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(one.params), jax.device_get(eight.params))


def test_the_state_stays_where_it_was_put(tmp_path):
    chosen, result = trained(tmp_path / "run", {"data": 2, "fsdp": 2, "model": 2, "rules": RULES}, devices=8, steps=2)
    expected = jax.tree.map(lambda s: s.sharding, chosen.target())
    jax.tree.map(lambda x, s: np.testing.assert_(x.sharding.is_equivalent_to(s, x.ndim)), result.state, expected)
    assert result.state.params["model"]["wide"]["kernel"].sharding.spec == P("replica", "fsdp", "model")


def test_rules_then_fsdp_on_the_largest_dimension_left():
    built = mesh.build({"data": 2, "fsdp": 2, "model": 2}, 1, jax.devices()[:8])
    shapes = {
        "a": {"kernel": jax.ShapeDtypeStruct((1, 128, 64), jnp.float32)},
        "b": {"kernel": jax.ShapeDtypeStruct((1, 64, 128), jnp.float32)},
        "odd": jax.ShapeDtypeStruct((1, 8191), jnp.float32),
        "step": jax.ShapeDtypeStruct((1,), jnp.int32),
    }
    placed = mesh.place(shapes, built, (("a/kernel", (None, "model")), (".*kernel", ("model", None))))
    assert placed["a"]["kernel"].spec == P("replica", "fsdp", "model")
    assert placed["b"]["kernel"].spec == P("replica", "model", "fsdp")
    assert placed["odd"].spec == P("replica", None)  # 2 does not divide it
    assert placed["step"].spec == P("replica")
    twice = mesh.place(shapes, built, ((".*/kernel", ("fsdp", None)),))["b"]["kernel"]
    assert twice.spec == P("replica", "fsdp", None)  # an axis once


@pytest.mark.parametrize(
    ("given", "replicas", "shape"),
    [
        ({}, 1, (1, 1, 1, 1)),
        ({"replica": -1, "data": -1}, 1, (1, 8, 1, 1)),
        ({"replica": -1, "data": -1}, 2, (2, 4, 1, 1)),
        ({"replica": -1, "data": -1}, 3, (1, 8, 1, 1)),
        ({"replica": -1, "data": -1}, 12, (4, 2, 1, 1)),
        ({"replica": 3, "data": -1}, 3, (3, 2, 1, 1)),
        ({"replica": 1, "data": -1, "fsdp": 4}, 2, (1, 2, 4, 1)),
        ({"data": -1, "fsdp": 2, "model": 2}, 1, (1, 2, 2, 2)),
        ({"data": 3}, 1, (1, 3, 1, 1)),
    ],
)
def test_an_axis_of_minus_one_takes_what_there_is(given, replicas, shape):
    assert tuple(mesh.build(given, replicas, jax.devices()[:8]).shape.values()) == shape


@pytest.mark.parametrize(
    ("given", "replicas", "message"),
    [
        ({"data": 16}, 1, r"needs 16 devices, there are 8.*JAX_NUM_CPU_DEVICES=16"),
        ({"fsdp": 4, "model": 4}, 1, r"needs 16 devices"),
        ({"replica": 2}, 3, r"3 replicas do not divide over mesh.replica=2"),
        ({"data": 0}, 1, r"mesh axes are positive"),
        ({"fsdp": -1}, 1, r"mesh axes are positive"),
        ({"modle": 2}, 1, r"unknown mesh axis 'modle'. Did you mean 'model'\?"),
    ],
)
def test_a_mesh_that_cannot_be_is_refused(given, replicas, message):
    with pytest.raises(UserError, match=message):
        mesh.build(given, replicas, jax.devices()[:8])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (((".*wide/kernel", ("model",)),), r"names 1 axes, but model/wide/kernel has the shape \(256, 64\)"),
        (((".*wide/kernel", ("tensor", None)),), r"unknown mesh axis in a rule 'tensor'.*fsdp, model"),
        (((".*/last/bias", ("model",)),), r"splits model/last/bias \(4,\) over model=8, which does not divide it"),
        ((("model/wide/kernel", ("model", "model")),), r"the mesh rule 'model/wide/kernel' names an axis twice"),
        ((("wide/(kernel", (None, "model")),), r"must be a pair of a regular expression and axes \(missing \)"),
        ((("wide/kernel",),), r"must be a pair"),
        (
            (("wide/kernel", (None, "model")),),
            r"'wide/kernel' matches no parameter\. Parameters: model/BatchNorm",
        ),
        (((".*", (None, "model")),), r"names 2 axes, but model/BatchNorm_0/bias has the shape"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(rules, message):
    config = settings()
    config.mesh.update(data=1, model=8, rules=rules)
    with pytest.raises(UserError, match=message):
        experiment("classifier", config, devices=8).target()


@pytest.mark.parametrize(
    ("batch_size", "microbatches", "message"),
    [(12, 1, r"batch_size=12 does not divide.*multiple of 8"), (24, 2, r"batch_size=24 does not divide.*multiple of 16")],
)
def test_a_batch_that_the_mesh_does_not_divide_is_refused(batch_size, microbatches, message):
    with pytest.raises(UserError, match=message):
        experiment("classifier", settings(batch_size=batch_size, microbatches=microbatches), devices=8).streams()


@pytest.mark.parametrize("given", [{"data": 8}, {"data": 2, "fsdp": 2, "model": 2}, {"replica": 2, "data": 4}])
def test_a_block_of_batches_is_the_same_on_every_mesh(given):
    def block(built, devices):
        config = settings(replicas=2)
        chosen = Experiment(config, image_dataset(), classifier(), mesh.build(built, 2, jax.devices()[:devices]))
        return read_block(chosen.streams()["train"], chosen.mesh, start=5, count=3, capacity=4)

    one, many = block({}, 1), block(given, 8)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(one), jax.device_get(many))
    assert one["image"].shape == (2, 4, 16, 8, 8, 1)
    np.testing.assert_array_equal(one["image"][:, 3], one["image"][:, 2])  # room for a step that is not taken
    assert not np.array_equal(one["image"][0], one["image"][1])
    shard = 16 // (given.get("data", 1) * given.get("fsdp", 1))
    assert many["image"].addressable_shards[0].data.shape[2] == shard


def test_replicate_must_be_a_way_there_is():
    with pytest.raises(UserError, match=r"unknown way to replicate 'vmp'. Did you mean 'vmap'\?"):
        experiment("painting", settings(replicate="vmp")).target()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_state_comes_to_the_host_one_leaf_after_another(processes, monkeypatch):
    """Of several processes each leaf is gathered, and let go before the next one is."""
    leaves = {f"layer{i}": np.arange(i, i + 64 * 1024, dtype=np.float32).reshape(1, 64, 1024) for i in range(6)}
    config = settings()
    config.mesh.update(data=1, fsdp=8)
    built = mesh.build(config.mesh.to_dict(), 1)
    sharded = jax.device_put(leaves, mesh.place(leaves, built))
    first, get, held = jax.devices()[0], jax.device_get, []

    def recorded(leaf):
        shards = [shard for array in jax.live_arrays() for shard in array.addressable_shards if shard.device == first]
        held.append(sum({shard.data.unsafe_buffer_pointer(): shard.data.nbytes for shard in shards}.values()))
        return get(leaf)

    gc.collect()
    recorded(())
    monkeypatch.setattr(jax, "device_get", recorded)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    fetched = mesh.to_host(sharded, built)
    jax.tree.map(np.testing.assert_array_equal, fetched, leaves)
    assert all(isinstance(leaf, np.ndarray) for leaf in fetched.values())
    size = leaves["layer0"].nbytes
    assert held[0] >= 6 * size // 8 and len(held) == 7
    assert max(held) - held[0] == (0 if processes == 1 else size)
