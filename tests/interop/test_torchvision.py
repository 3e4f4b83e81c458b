"""State dicts, files and what does not fit; the layouts of the architectures have tests of their own."""

import importlib.util
import os
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.interop import classifier, published, torchvision, weights
from dl.interop.torchvision import Layout
from tests.interop.random_variables import random_variables
from tests.pytorch import stand_in

LAYOUT = Layout(lambda path: path.replace("_", "."), {"fc_1": (2, 3)})
VARIABLES = {
    "params": {
        "conv": {"kernel": np.arange(3 * 2 * 4 * 5, dtype=np.float32).reshape(3, 2, 4, 5)},
        "norm_1": {"scale": np.float32([1, 2]), "bias": np.float32([3, 4])},
        "fc_1": {"kernel": np.arange(2 * 3 * 4 * 7, dtype=np.float32).reshape(24, 7), "bias": np.zeros(7, np.float32)},
    },
    "batch_stats": {"norm_1": {"mean": np.float32([5, 6]), "var": np.float32([7, 8])}},
}


@pytest.fixture(params=["stand-in", *["installed"] * bool(importlib.util.find_spec("torch"))])
def torch(request, monkeypatch):
    """What stands in for PyTorch's files, and PyTorch itself where it is installed."""
    if request.param == "installed":
        return importlib.import_module("torch")
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    return stand_in


def test_names_and_layouts():
    state = torchvision.to_state(LAYOUT, VARIABLES)
    assert {name: array.shape for name, array in state.items()} == {
        "conv.weight": (5, 4, 3, 2),
        "norm.1.weight": (2,),
        "norm.1.bias": (2,),
        "norm.1.running_mean": (2,),
        "norm.1.running_var": (2,),
        "norm.1.num_batches_tracked": (),
        "fc.1.weight": (7, 24),
        "fc.1.bias": (7,),
    }
    assert state["norm.1.num_batches_tracked"].dtype == np.int64
    assert state["conv.weight"][1, 2, 0, 1] == VARIABLES["params"]["conv"]["kernel"][0, 1, 2, 1]
    maps = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)  # rows, columns, channels
    ours = maps.reshape(-1) @ VARIABLES["params"]["fc_1"]["kernel"]
    np.testing.assert_allclose(state["fc.1.weight"] @ maps.transpose(2, 0, 1).reshape(-1), ours, rtol=1e-4)


def test_there_and_back_is_exact():
    state = torchvision.to_state(LAYOUT, VARIABLES)
    back = torchvision.from_state(LAYOUT, VARIABLES, state, "a file", "a net")
    assert jax.tree.structure(back) == jax.tree.structure(VARIABLES)
    jax.tree.map(np.testing.assert_array_equal, back, VARIABLES)
    again = torchvision.to_state(LAYOUT, back)
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)


def test_what_does_not_fit_is_named():
    state = torchvision.to_state(LAYOUT, VARIABLES)
    state["conv.weight"] = np.zeros((5, 4, 1, 1))
    del state["fc.1.bias"]
    state |= {f"extra.{i}": np.zeros(1) for i in range(6)}
    message = (
        "the weights a file do not fit a net: missing: fc.1.bias; unexpected: extra.0, extra.1, extra.2, extra.3, and 2 more; "
        "wrong shape: conv.weight is 5x4x1x1 and should be 5x4x3x2."
    )
    with pytest.raises(UserError) as told:
        torchvision.from_state(LAYOUT, VARIABLES, state, "a file", "a net")
    assert str(told.value) == message
    optional = LAYOUT._replace(optional=("extra.",))
    with pytest.raises(UserError, match="missing: fc.1.bias; wrong shape: conv"):
        torchvision.from_state(optional, VARIABLES, state, "a file", "a net")


def test_a_part_of_a_network_takes_its_part():
    state = torchvision.to_state(LAYOUT, VARIABLES)
    part = {"params": {"conv": VARIABLES["params"]["conv"]}}
    found = torchvision.from_state(LAYOUT, part, state, "a file", "a net", whole=False)
    jax.tree.map(np.testing.assert_array_equal, found, part)
    with pytest.raises(UserError, match="unexpected: norm.1.weight"):
        torchvision.from_state(LAYOUT, part, state, "a file", "a net")


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_files_give_back_what_was_written(tmp_path, suffix, torch):
    state = torchvision.to_state(LAYOUT, VARIABLES)
    path = tmp_path / f"file{suffix}"
    weights.write(path, state)
    found = weights.read(path)
    assert set(found) == set(state) and [p.name for p in tmp_path.iterdir()] == [path.name]
    for name, array in state.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_file_that_is_none(tmp_path, suffix, damage, torch):
    path = tmp_path / f"file{suffix}"
    weights.write(path, {"a": np.arange(1000, dtype=np.float32)})
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"nothing of the kind\n" * 9}[damage])
    with pytest.raises(UserError, match=rf"file{suffix} can't be read .*; get it again") as told:
        weights.read(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_files_that_need_pytorch_say_so_where_it_is_missing(tmp_path, suffix, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / f"file{suffix}"
    with pytest.raises(UserError, match=rf"file{suffix} needs the package torch: install it, or take .npz or .safetensors"):
        weights.write(path, {"a": np.zeros(1, np.float32)})
    path.write_bytes(b"anything")
    with pytest.raises(UserError, match=rf"file{suffix} needs the package torch"):
        weights.read(path)


def test_files_that_are_missing_or_of_another_kind(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        weights.read(tmp_path / "b.npz")
    (tmp_path / "a.h5").write_text("")
    with pytest.raises(UserError, match="must be .npz, .safetensors, .pt or .pth"):
        weights.read(tmp_path / "a.h5")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(UserError, match="holds no arrays"):
        weights.read(tmp_path / "none.npz")
    with pytest.raises(UserError, match="cannot write .*No such file or directory"):
        weights.write(tmp_path / "nowhere" / "a.npz", {"a": np.zeros(1)})


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_wants_to_execute_code_is_refused(tmp_path, zipped, torch):
    path, made = tmp_path / "file.pth", tmp_path / "made"
    torch.save({"conv.weight": torch.zeros(1), "x": Harmful(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"was refused: to read it, \S*mkdir would be called") as told:
        weights.read(path)
    assert not made.exists() and "\n" not in str(told.value)


def test_objects_in_npz_are_refused(tmp_path):
    made = tmp_path / "made"
    np.savez(tmp_path / "a.npz", x=np.array([Harmful(made)], dtype=object))
    with pytest.raises(UserError, match="was refused: it holds Python objects"):
        weights.read(tmp_path / "a.npz")
    assert not made.exists()
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Harmful(made)))
    with pytest.raises(UserError, match=r"was refused|can't be read"):
        weights.read(tmp_path / "b.npz")
    assert not made.exists()


def test_checkpoints_of_training_programs(tmp_path, torch):
    path = tmp_path / "a.pth"
    state = {"module.fc.weight": torch.ones(2, dtype=torch.bfloat16), "module.fc.bias": torch.nn.Parameter(torch.zeros(2))}
    torch.save({"epoch": 3, "state_dict": state}, path)
    found = weights.read(path)
    assert set(found) == {"fc.weight", "fc.bias"} and found["fc.weight"].dtype == np.float32
    torch.save({"epoch": 3}, path)
    with pytest.raises(UserError, match="holds no state dict"):
        weights.read(path)


def test_half_precision_files_become_float32(tmp_path):
    from safetensors.flax import save_file

    save_file({"a": jnp.float32([1.5, 2]).astype(jnp.bfloat16)}, tmp_path / "a.safetensors")
    found = weights.read(tmp_path / "a.safetensors")["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.5, 2])


# --- classifiers ---


@pytest.fixture(scope="module")
def net():
    """A small one with random weights, of four classes."""
    model = published.build("resnet_cifar", {"depth": 8, "width": 4}, 4)
    variables = random_variables(model, 32)
    names, two = ("a", "b", "c", "d"), np.float32([0.5, 0.25, 0.5])
    settings = {"depth": 8, "width": 4}
    return classifier.Classifier("resnet_cifar", settings, model, variables, two, two, (32, 32, 3), 36, names)


@pytest.mark.parametrize("to", ["folder", "file.npz", "file.safetensors"])
def test_a_classifier_is_kept_with_all_it_needs(tmp_path, net, to):
    classifier.save(net, tmp_path / to)
    found = classifier.load(tmp_path / to)
    assert (found.name, found.shape, found.resize, found.class_names) == ("resnet_cifar", (32, 32, 3), 36, net.class_names)
    assert found.model == net.model
    jax.tree.map(np.testing.assert_array_equal, found.variables, net.variables)
    np.testing.assert_array_equal([found.mean, found.std], [net.mean, net.std])
    with pytest.raises(UserError, match="are of resnet_cifar, not of resnet18"):
        classifier.load(tmp_path / to, "resnet18")


def test_a_file_of_others_needs_a_name_and_fits_it(tmp_path, net):
    file = classifier.save(net, tmp_path / "file.npz")
    file.with_suffix(".json").unlink()
    with pytest.raises(UserError, match="which model are the weights"):
        classifier.load(file)
    with pytest.raises(UserError, match="unknown model 'resnet9'. Did you mean"):
        classifier.load(file, "resnet9")
    with pytest.raises(UserError, match=r"do not fit resnet18: missing: .*; wrong shape: .*conv1.weight is 4x3x3x3 and should"):
        classifier.load(file, "resnet18")
    found = classifier.load(file, "resnet_cifar", net.settings)
    assert found.num_classes == 4  # as many as the file's last layer
    jax.tree.map(np.testing.assert_array_equal, found.variables, net.variables)
    with pytest.raises(UserError, match="wrong shape: .*fc.weight is 4x16 and should be 7x16"):
        classifier.load(file, "resnet_cifar", {**net.settings, "num_classes": 7})


def test_a_record_that_is_damaged(tmp_path, net):
    file = classifier.save(net, tmp_path / "file.npz")
    file.with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match="file.json is damaged or cut short: .* It belongs to file"):
        classifier.load(file)
