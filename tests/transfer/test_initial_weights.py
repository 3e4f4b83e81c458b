"""Tasks that start from weights learned earlier: what is loaded, reinitialised, frozen, or does not fit."""

import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from dl import registry
from dl.config import base
from dl.dataset import Resources, labelled_images
from dl.errors import UserError
from dl.interop import classifier
from dl.report import artifacts
from dl.tasks import classification
from dl.training.assembly import assemble
from dl.transfer import initial_weights
from dl.transfer.frozen import frozen
from experiments.train import train

RULES = ({"pattern": "model/conv.*|model/dense[12]/.*", "frozen": True}, {"pattern": "model/dense3/.*"})


def config(**changes):
    made = base()
    made.update(steps=8, batch_size=16, eval_batch_size=400)
    made.dataset.update(size=(32, 32))
    made.update(model={"name": "lenet5_modern"})
    made.task.update(weights="", reinitialise="")
    made.optimizer.update(name="adam", learning_rate=1e-2)
    for key, value in changes.items():
        made.update_from_flattened_dict({key.replace("__", "."): value})
    return made


def flat(tree):
    return flatten_dict(jax.device_get(tree), sep="/")


def initial(made, seed=0):
    return flat(assemble(made).task.init(jax.random.key(seed))[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of eight steps; its last parameters."""
    folder = tmp_path_factory.mktemp("source") / "run"
    train(config(mesh__data=1), folder, None, None)
    return folder, initial_weights.read(config(), str(folder), None).params


def test_a_run_goes_on_where_another_ended(run):
    folder, source = run
    ours = initial(config(task__weights=str(folder), mesh__data=1))
    assert ours.keys() == source.keys()
    assert all(np.array_equal(ours[path], source[path]) for path in ours)
    assert not np.array_equal(source["model/conv1/kernel"], initial(config(mesh__data=1))["model/conv1/kernel"])


def test_what_the_pattern_matches_is_reinitialised_by_each_seed(run):
    folder, source = run
    made = config(task__weights=str(folder), task__reinitialise="model/dense3/.*", mesh__data=1)
    task = assemble(made).task
    one, two = (flat(task.init(jax.random.key(seed))[0]) for seed in (1, 2))
    for path in source:
        assert np.array_equal(one[path], source[path]) == np.array_equal(two[path], source[path]) == ("dense3" not in path)
    assert not np.array_equal(one["model/dense3/kernel"], two["model/dense3/kernel"])
    assert np.array_equal(one["model/dense3/kernel"], initial(config(mesh__data=1), 1)["model/dense3/kernel"])


def test_what_is_frozen_stays_bit_for_bit_and_the_head_learns(run, tmp_path):
    folder, source = run
    made = config(task__weights=str(folder), task__reinitialise="model/dense3/.*", replicas=2, mesh__data=1, mesh__replica=1)
    made.optimizer.rules = RULES
    result = train(made, tmp_path / "frozen", None, None)
    after = initial_weights.read(made, str(tmp_path / "frozen"), None).params
    for path in source:
        assert np.array_equal(after[path], source[path]) == ("dense3" not in path), path
    assert len(set(result["params_sha256"])) == 2  # the heads of the replicas
    origin = {path: where for path, _, where in artifacts.load(tmp_path / "frozen")["test", "initial weights"].rows}
    assert origin == {path: "reinitialised" if "dense3" in path else str(folder) for path in source}


def test_a_run_that_is_taken_up_again_takes_nothing_from_the_weights(run, tmp_path):
    folder, _ = run
    weights = tmp_path / "weights"
    weights.symlink_to(folder)
    made = config(task__weights=str(weights), checkpoint_every=4, log_every=4, mesh__data=1)
    whole = train(made, tmp_path / "run", None, None)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "8")
    weights.unlink()
    weights.symlink_to(tmp_path / "run")  # whose parameters are others
    assert train(made, tmp_path / "run", None, None)["params_sha256"] == whole["params_sha256"]


def test_the_published_weights_of_squeezenet_with_another_head(shared_data):
    name = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"
    made = config(task__weights=name, dataset__size=(32, 32), dataset__fit="resize")
    made.model = {"name": "squeezenet"}
    resources = Resources(labelled_images("images", (32, 32, 3), 10), manual_dir=str(shared_data))
    with pytest.raises(UserError, match=r"take images with dataset.mean=\(0.4824,0.4588,0.4078\), not \(0.0,\)"):
        classification.build(made, resources, 1)
    made.dataset.update(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255,) * 3)
    ours = flat(classification.build(made, resources, 1).init(jax.random.key(0))[0])
    published = flat(classifier.load(shared_data / name, "squeezenet").variables["params"])
    assert ours["model/conv10/kernel"].shape == (1, 1, 512, 10)
    assert len(ours) == len(published) == 52
    for path, array in published.items():
        if not path.startswith("conv10"):
            np.testing.assert_array_equal(ours[f"model/{path}"], array)


def test_what_depends_on_the_number_of_classes_is_the_head():
    def of(classes):
        return classification.build(config(), Resources(labelled_images("images", (32, 32, 1), classes)), 1)

    assert initial_weights.head(of(10), lambda: of(11)) == {"model/dense3/kernel", "model/dense3/bias"}


WRONG = {
    "missing": ({"task__weights": "runs/none"}, "config.task.weights: the file, or the folder of a run, runs/none is missing"),
    "pattern": (
        {"task__reinitialise": "model/dense4/.*"},
        r"'model/dense4/\.\*' matches no parameter. Layers: model/conv1, .*model/dense3; write",
    ),
    "expression": ({"task__reinitialise": "model/(conv1"}, "is not a regular expression: missing \\)"),
    "shape": ({"dataset__channels": 1, "model__name": "wider"}, "model/conv1/kernel is 5x5x1x6 and should be 5x5x1x8"),
    "other model": (
        {"model": {"name": "mlp"}},
        "model/dense1/kernel is 400x120 and should be 1024x512. Give others, or",
    ),
}


class Wider(nn.Module):
    """As lenet5_modern, with a first layer that is wider."""

    num_classes: int
    dtype: type = jnp.float32

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(8, (5, 5), name="conv1")(x)
        return nn.Dense(self.num_classes, name="dense3")(x.mean((1, 2)))


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_one_line(changes, said, run, monkeypatch):
    find = registry.find
    monkeypatch.setattr(registry, "find", lambda package, kind, name: Wider if name == "wider" else find(package, kind, name))
    made = config(task__weights=str(run[0]), mesh__data=1)
    for key, value in changes.items():
        if key == "model":
            made.model = value
        else:
            made.update_from_flattened_dict({key.replace("__", "."): value})
    with pytest.raises(UserError, match=said) as raised:
        assemble(made)
    assert "\n" not in str(raised.value)


class Normalised(nn.Module):
    """Two layers with batch normalisation."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x, train=False):
        x = x.reshape(len(x), -1)
        for i in (1, 2):
            x = nn.Dense(16, use_bias=False, name=f"dense{i}")(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, name=f"norm{i}")(x))
        return nn.Dense(self.num_classes, name="head")(x)


@pytest.mark.parametrize("keep", [True, False])
def test_the_statistics_of_a_frozen_layer_are_kept_unless_they_are_to_move(keep):
    info = labelled_images("images", (4, 4, 1), 10)
    is_frozen = frozen([{"pattern": "model/(dense1|norm1)/.*", "frozen": True}, {"pattern": "model/(dense2|norm2|head)/.*"}])
    learner = classification.Classification(Normalised(), info, is_frozen=is_frozen, freeze_statistics=keep)
    task = learner.task(optax.sgd(0.1), 1)
    params, variables = task.init(jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (32, 4, 4, 1)) + 1
    batch = {"image": images, "label": jnp.arange(32) % 10}
    graded = jax.grad(task.objectives["classify"].value, has_aux=True)
    gradient, (after, _) = graded(params, variables, batch, jax.random.key(2))
    same = {path: np.array_equal(v, flat(variables)[path]) for path, v in flat(after).items()}
    assert same == {f"batch_stats/norm{i}/{kind}": keep and i == 1 for i in (1, 2) for kind in ("mean", "var")}
    moved = {path: bool(np.abs(v).max() > 0) for path, v in flat(gradient).items()}
    assert all(moved[path] == ("1" not in path) for path in moved), moved
