"""Runs of every architecture go out to files that PyTorch reads, and come back exactly."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dl import config_file, registry
from dl.config import base
from dl.errors import UserError
from dl.interop import classifier, own, published, weights
from dl.layers.transposed_convolution import convolve_transposed
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.workdir import open_for_writing, write_json
from experiments import convert, predict, search
from tests.conftest import REPOSITORY
from tests.interop.random_variables import random_variables
from tests.pytorch import draw, recorded
from tests.pytorch.cases import LENET

# One of each architecture that nobody published weights of: settings and images.
CLASSIFIERS = {
    "lenet5": ({}, (32, 32, 1)),
    "lenet5_modern": ({}, (28, 28, 1)),
    "sigmoid_convnet": ({}, (28, 28, 1)),
    "logistic_regression": ({}, (8, 8, 1)),
    "mlp": ({"hidden": (8, 4)}, (8, 8, 1)),
    "cifar_speed": ({"widths": (8, 8, 8)}, (32, 32, 3)),
    "koch": ({}, (105, 105, 1)),
    "pilotnet": ({}, (61, 61, 3)),
    "small_tower": ({"features": 8, "blocks": 2}, (28, 28, 1)),
}
TASKS = {
    "dcgan": {
        "model": {"name": "dcgan", "width": 4, "latent": 8, "conditional": True, "spectral_norm": True},
        "task": {"name": "adversarial"},
        "dataset": {"size": (16, 16), "fit": "resize", "mean": (0.5,), "std": (0.5,)},
    },
    "gan_mlp": {
        "model": {"name": "gan_mlp", "latent": 4, "generator": (8,), "discriminator": (8,), "pieces": 2},
        "task": {"name": "adversarial"},
        "dataset": {},
    },
    "dense_autoencoder": {
        "model": {"name": "dense_autoencoder", "hidden": (16, 4)},
        "task": {"name": "reconstruction"},
        "dataset": {},
    },
    "conv_autoencoder": {
        "model": {"name": "conv_autoencoder", "features": (4, 4)},
        "task": {"name": "reconstruction"},
        "dataset": {},
    },
    "deep_belief_net": {
        "model": {"name": "deep_belief_net", "hidden": (16,)},
        "task": {"name": "restricted_boltzmann_machine", "k": 1, "chains": 4},
        "dataset": {},
    },
    "recurrent_lm": {
        "model": {"name": "recurrent_lm", "cell": "lstm_peephole", "hidden": 8, "embedding": 4, "layers": 2},
        "task": {"name": "language_model"},
        "dataset": {"name": "text", "path": "text.txt", "batches": "windows", "window": 8, "splits": {"train": "train"}},
    },
    "small_tower": {
        "model": {"name": "small_tower", "features": 8, "blocks": 2},
        "task": {"name": "similarity", "loss": "weighted_l1", "embedding": 8},
        "dataset": {"batches": "pairs"},
    },
}


SMOKE = {  # the smallest variants of configs
    "bahdanau": "multi30k_attention.py:smoke",
    "cho": "multi30k_attention.py:no_attention_smoke",
    "luong": "multi30k_attention.py:luong_smoke",
    "sutskever": "multi30k_attention.py:sutskever_smoke",
    "crnn": "iiit5k_crnn.py:smoke",
    "crnn_attention": "iiit5k_crnn.py:attention_smoke",
    "deep_averaging": "sst_averaging.py:smoke",
    "deep_blstm": "an4_ctc.py:smoke",
    "deeplab": "camvid_deeplab.py:smoke",
    "east": "scenes_east.py:smoke",
    "faster_rcnn": "bccd_faster_rcnn.py:smoke",
    "fcn": "camvid_fcn.py:smoke",
    "glove": "imdb_glove.py:smoke",
    "listen_attend_spell": "an4_las.py:smoke",
    "memory_network": "babi_memory.py:smoke",
    "rcnn": "bccd_rcnn.py:smoke",
    "recursive_net": "sst_rntn.py:smoke",
    "lstm_cnn": "shapes_modules.py:lstm_cnn_smoke",
    "module_network": "shapes_modules.py:smoke",
    "relation_network": "shapes_modules.py:relation_smoke",
    "segnet": "camvid_segnet.py:smoke",
    "show_and_tell": "flickr8k_captions.py:no_attention_smoke",
    "show_attend_tell": "flickr8k_captions.py:smoke",
    "visual_semantic": "flickr8k_retrieval.py:smoke",
    "srcnn": "set5_srcnn.py:smoke",
    "srgan": "set5_srgan.py:smoke",
    "srresnet": "set5_srresnet.py:smoke",
    "story_lstm": "babi_memory.py:lstm_smoke",
    "text_cnn": "sst_kim_cnn.py:smoke",
    "text_lstm": "imdb_lstm.py:smoke",
    "text_tower": "ptb_typos.py:smoke",
    "unet": "camvid_unet.py:smoke",
    "word_vectors": "imdb_skipgram.py:smoke",
}


def config(model, task, dataset=None):
    """Four steps on the embedded digits, on one device."""
    made = base()
    made.update(steps=4, batch_size=20, steps_per_dispatch=2, log_every=4, checkpoint_every=4, model=model, task=task)
    with made.dataset.unlocked():
        for key, value in (dataset or {}).items():
            made.dataset[key] = value
    made.optimizer = {"name": "adam", "learning_rate": 1e-3}
    made.mesh.update(data=1)
    return made


@functools.cache
def small(name):
    """A classifier of random weights."""
    settings, shape = CLASSIFIERS[name]
    model = published.build(name, settings, 5)
    half = np.float32([0.5] * shape[2])
    variables = random_variables(model, shape[0], shape[2])
    return classifier.Classifier(name, settings, model, variables, half, half, shape, shape[0], tuple("abcde"))


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b) and jax.tree.leaves(a)
    for ours, theirs in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_architecture_is_in_these_tables_or_published():
    known = {*CLASSIFIERS, *TASKS, *SMOKE, *registry.public("dl.interop", "WEIGHTS")}
    assert set(registry.public("dl.models")) == known


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_out_and_in_is_the_same(tmp_path, name, suffix):
    net = small(name)
    found = classifier.load(classifier.save(net, tmp_path / f"net{suffix}"))
    same(found.variables, net.variables)
    assert (found.name, found.settings, found.shape, found.class_names) == (name, net.settings, net.shape, net.class_names)
    assert found.model == net.model


@pytest.mark.parametrize("name", [*TASKS, *SMOKE])
def test_a_run_out_and_in_is_the_same(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be or not to be, " * 50)
    made = config(**TASKS[name]) if name in TASKS else config_file.load(str(REPOSITORY / "configs" / SMOKE[name]))
    assert made.model.name == name
    task = assemble(made).task
    shapes, rng = jax.eval_shape(task.init, jax.random.key(0)), np.random.default_rng(0)
    params, variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    weights.write(tmp_path / "run.safetensors", own.to_state(params, variables))
    state = weights.read(tmp_path / "run.safetensors")
    back, statistics = own.from_state(*shapes, state, "run.safetensors")
    same(back, params)
    chosen = {path: leaf for path, leaf in flatten_dict(variables).items() if "batch_stats" in path}
    assert jax.tree.structure(statistics) == jax.tree.structure(variables)
    for path, leaf in chosen.items():
        np.testing.assert_array_equal(flatten_dict(statistics)[path], leaf)
    kept = [*flatten_dict(params), *chosen]
    assert len([name for name in state if not name.endswith("num_batches_tracked")]) == len(kept)


def test_pytorch_computes_the_same_of_a_file(tmp_path):
    """A LeNet-5 by hand, of the names and axes that the layout states: tests/pytorch/lenet.py."""
    file = classifier.save(small("lenet5_modern"), tmp_path / "net.safetensors")
    assert {name: array.shape for name, array in weights.read(file).items()} == LENET
    weights.write(file, draw.state(LENET))
    net = classifier.load(file)
    wanted = recorded.arrays("lenet", "scores")["scores"]
    scores = jax.jit(net.model.apply)(net.variables, draw.uniform("x", (3, 28, 28, 1)))
    np.testing.assert_allclose(scores, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", [3, 4, 5])
def test_pytorchs_transposed_convolution_takes_the_weight_turned(side):
    """As the layout states."""
    weight = draw.uniform("weight", (3, 2, side, side))
    kernel = weight.transpose(2, 3, 1, 0)
    state = own.to_state({"net": {"enlarge1": {"kernel": kernel}}}, {})
    np.testing.assert_array_equal(state["net.enlarge1.weight"], weight)
    wanted = recorded.arrays("layers", f"enlarged {side}")["outputs"]
    x = jnp.asarray(draw.uniform("x", (1, 3, 4, 2)))
    np.testing.assert_allclose(convolve_transposed(x, jnp.asarray(kernel)), wanted, atol=1e-5)


def test_a_file_without_its_record_says_so(tmp_path):
    file = classifier.save(small("lenet5"), tmp_path / "net.npz")
    file.with_suffix(".json").unlink()
    with pytest.raises(UserError, match=r"without the record that experiments.convert wrote beside it, net.json"):
        classifier.load(file, "lenet5")
    with pytest.raises(UserError, match=r"unknown model 'lenet'. Did you mean 'lenet5'"):
        classifier.load(file, "lenet")


BROKEN = {
    "cut": '{"model": "len',
    "empty": "",
    "shape": {"shape": [32, 32]},
    "side": {"shape": [32, 32, 0]},
    "mean": {"mean": "0.5"},
    "std": {"std": [0.5, 0.5]},
    "resize": {"resize": "x"},
    "settings": {"settings": []},
    "names": {"class_names": [1]},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_damaged_record_is_named(tmp_path, change):
    path = classifier.save(small("lenet5"), tmp_path / "net.npz").with_suffix(".json")
    path.write_text(change if isinstance(change, str) else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError) as error:
        classifier.load(tmp_path / "net.npz")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def trained(folder, **how):
    """A run of a few steps in a folder."""
    made = config(**how)
    with open_for_writing(folder, made, override=False):
        write_json(folder / "data.json", {"data_dir": None, "manual_dir": None})
        train(assemble(made), folder, Progress(4, enabled=False))


def test_runs_by_relative_paths(tmp_path, monkeypatch):
    """For convert, predict and inspect (they load alike), and search: from where the user stands."""
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "runs" / "x", model={"name": "mlp", "hidden": (8,)}, task={"name": "classification"})
    assert not convert.other_task("runs/x")
    found = convert.load("runs/x", None, {})
    assert convert.differences(found)[0].startswith("names are ours and axes PyTorch's")
    classifier.save(found, tmp_path / "net")
    again = convert.load("net", None, {})
    same(again.variables, found.variables)
    assert predict.predict(again, ["china"]) == predict.predict(found, ["china"])
    tower = search.restore(Path("runs/x").absolute(), "latest", None, None)
    assert tower.embed(np.zeros((1, 8, 8, 1), np.uint8)).shape == (1, 10)


def test_a_run_of_another_task_goes_out(tmp_path):
    trained(tmp_path / "run", **TASKS["dense_autoencoder"])
    assert convert.other_task(str(tmp_path / "run"))
    saved = own.save_run(tmp_path / "run", tmp_path / "out")
    state, record = weights.read(saved.file), json.loads(saved.file.with_suffix(".json").read_text())
    assert saved.file == tmp_path / "out" / "weights.safetensors"
    assert (saved.task, saved.model) == ("reconstruction", "dense_autoencoder")
    assert record["task"] == "reconstruction" and record["config"]["model"]["hidden"] == [16, 4]
    assert state["layer_0.weight"].shape == (16, 64) and saved.parameters == sum(array.size for array in state.values())
