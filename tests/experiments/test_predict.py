"""`experiments.convert` and `experiments.predict`: what they write and say, and what they make of bad input."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from dl.data import image_files
from dl.data.class_names import read_class_names
from dl.errors import UserError
from dl.interop import classifier, published, weights
from experiments import convert
from experiments.predict import predict
from tests.experiments.programs import REPOSITORY, end, one_line, start, train
from tests.interop.random_variables import random_variables

SETTINGS = {"depth": 8, "width": 4}
NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small net of random weights, as experiments.convert keeps it."""
    model = published.build("resnet_cifar", SETTINGS, 3)
    half = np.float32([0.5, 0.5, 0.5])
    net = classifier.Classifier(
        "resnet_cifar", SETTINGS, model, random_variables(model, 24), half, half, (24, 24, 3), 28, NAMES
    )
    path = tmp_path_factory.mktemp("net")
    classifier.save(net, path)
    return path


@pytest.fixture(scope="module")
def net(folder):
    return convert.load(str(folder), None, {})


def colours(path, mode, size=(60, 40)):
    """Four patches, saved in a mode of Pillow's."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (2, 2, 3), np.uint8)
    if mode in ("L", "I;16", "LA", "1"):
        small[...] = small[..., :1] if mode != "1" else (small[..., :1] > 127) * np.uint8(255)
    image = Image.fromarray(small).resize(size, Image.Resampling.NEAREST)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = image.quantize(8)
    elif mode != "RGB":
        image = image.convert(mode)
    image.save(path)
    return Image.fromarray(small).resize(size, Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("I;16", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("L", "png"), ("1", "png"), ("CMYK", "jpg")],
)
def test_images_of_every_mode_are_the_same_images(tmp_path, net, mode, suffix):
    plain = colours(tmp_path / f"other.{suffix}", mode)
    if suffix == "jpg":  # which loses a little
        plain = Image.open(tmp_path / "other.jpg").convert("RGB")
    plain.save(tmp_path / "plain.png")
    other, plain = predict(net, [str(tmp_path / f"other.{suffix}"), str(tmp_path / "plain.png")])
    assert [name for name, _ in other] == [name for name, _ in plain]
    np.testing.assert_allclose([p for _, p in other], [p for _, p in plain], atol=2e-3)


def test_probabilities_are_the_network_s(tmp_path, net):
    """Softmax of the scores of the middle of the image, the likeliest first."""
    import jax

    plain = colours(tmp_path / "a.png", "RGB")
    scaled = plain.resize((42, 28), Image.Resampling.BILINEAR)
    cut = np.asarray(scaled, np.float32)[2:26, 9:33] / 255
    scores = jax.jit(net.model.apply)(net.variables, (cut[None] - 0.5) / 0.5)
    wanted = np.asarray(jax.nn.softmax(scores))[0]
    (found,) = predict(net, [str(tmp_path / "a.png")], top=3)
    assert [name for name, _ in found] == [NAMES[i] for i in np.argsort(-wanted)]
    np.testing.assert_allclose([p for _, p in found], np.sort(wanted)[::-1], atol=5e-3)
    assert predict(net, [str(tmp_path / "a.png")], top=1) == [found[:1]]


@pytest.mark.parametrize(("shape", "side"), [((7, 3), 24), ((300, 10), 24), ((24, 24), 24)])
def test_the_middle_is_cut_out_of_images_of_any_shape(shape, side):
    image = np.full((*shape, 3), [1.0, 0.5, 0.0], np.float32)
    np.testing.assert_allclose(
        image_files.central(image, (side, side, 3), 28), np.full((side, side, 3), [1, 0.5, 0]), atol=1e-6
    )
    grey = image_files.central(image, (side, side, 1), 28)
    np.testing.assert_allclose(grey, np.full((side, side, 1), 0.299 + 0.587 / 2), atol=1e-6)


def test_class_names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n\n")
    assert read_class_names(path, 2) == ("tench, Tinca tinca", "goldfish")
    with pytest.raises(UserError, match=r"has 2 class names, and the network has 3 classes"):
        read_class_names(path, 3)
    with pytest.raises(UserError, match="can't be read: No such file"):
        read_class_names(tmp_path / "none.txt", 3)
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="can't be read"):
        read_class_names(path, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"0" * 30])
def test_what_is_no_image(tmp_path, net, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="a.png can't be decoded"):
        predict(net, [str(tmp_path / "a.png")])
    with pytest.raises(UserError, match="is missing"):
        predict(net, [str(tmp_path / "b.png")])


def test_a_side_that_is_too_small_for_the_net(tmp_path):
    model = published.build("squeezenet", {}, 2)
    half = np.float32([0.5, 0.5, 0.5])
    small = classifier.Classifier("squeezenet", {}, model, random_variables(model, 64), half, half, (64, 64, 3), 64, ())
    with pytest.raises(UserError, match="larger image"):
        predict(small, ["china"], side=8)


def test_a_side_that_a_dense_layer_does_not_take():
    model = published.build("mlp", {"hidden": (4,)}, 2)
    half = np.float32([0.5])
    net = classifier.Classifier("mlp", {"hidden": (4,)}, model, random_variables(model, 8, 1), half, half, (8, 8, 1), 8, ())
    assert len(predict(net, ["china"], side=8)[0]) == 2
    with pytest.raises(UserError, match="mlp takes images of 8x8 alone: leave out --side=9"):
        predict(net, ["china"], side=9)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 3}'])
def test_a_broken_config_beside_weights_or_alone(folder, tmp_path, content):
    shutil.copytree(folder, tmp_path / "net")
    (tmp_path / "net" / "config.json").write_text(content)  # of somebody else, beside weights of ours
    assert classifier.load(tmp_path / "net").name == "resnet_cifar"
    (tmp_path / "net" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"config.json (is|should)") as told:
        classifier.load(tmp_path / "net")
    assert "\n" not in str(told.value)


def test_destinations(tmp_path):
    with pytest.raises(UserError, match=r"a.h5 must be a folder, or end in one of .npz, .safetensors"):
        convert.destination(str(tmp_path / "a.h5"), False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is the workdir of a run"):
        convert.destination(str(tmp_path / "run"), True)
    (tmp_path / "a.npz").write_text("")
    with pytest.raises(UserError, match="is there already: give another --to, or --overwrite"):
        convert.destination(str(tmp_path / "a.npz"), False)
    assert convert.destination(str(tmp_path / "a.npz"), True) == tmp_path / "a.npz"
    assert convert.destination(str(tmp_path / "resnet-1.5"), False) == tmp_path / "resnet-1.5"


def test_settings_of_the_model(folder):
    assert convert.model_settings(["depth=20", "version=1.5", "shortcut=B"]) == {"depth": 20, "version": "1.5", "shortcut": "B"}
    with pytest.raises(UserError, match="give KEY=VALUE"):
        convert.model_settings(["depth"])
    with pytest.raises(UserError, match="unknown setting of the model resnet_cifar 'deep'"):
        convert.load(str(folder), None, {"deep": 3})
    with pytest.raises(UserError, match="missing: layer1_1|missing: layer1.1"):
        convert.load(str(folder), None, {"depth": 14})


def test_programs_from_file_to_file_to_prediction(tmp_path, folder):
    """A file without a record, of torchvision's names, into a folder; then what it says of an image, in JSON."""
    weights.write(tmp_path / "net.npz", weights.read(folder / "weights.safetensors"))
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    flags = ["--model=resnet_cifar", "--set=depth=8", "--set=width=4", f"--classes={tmp_path / 'names.txt'}"]
    ended = end(start("convert", f"--from={tmp_path / 'net.npz'}", *flags, f"--to={tmp_path / 'made'}", fresh=True))
    assert ended.returncode == 0, ended.stderr
    assert "resnet_cifar, 4,887 parameters, 3 classes, images of 32x32x3" in ended.stdout
    made = os.path.relpath(tmp_path / "made", REPOSITORY)
    ended = end(start("predict", f"--weights={made}", "--json", "--top=2", "china", "flower", fresh=True))
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["image"] for line in lines] == ["china", "flower"]
    assert all(len(line["classes"]) == 2 and {c["name"] for c in line["classes"]} < set(NAMES) for line in lines)


def test_mistakes_are_a_line(tmp_path, folder):
    (tmp_path / "a.npz").write_bytes(b"nothing of the kind")
    assert "a.npz can't be read" in one_line(
        end(start("predict", "--model=resnet18", f"--weights={tmp_path / 'a.npz'}", "china"))
    )
    assert "which images?" in one_line(end(start("predict", f"--weights={folder}")))


@pytest.mark.slow
def test_a_trained_run_becomes_a_file_for_pytorch(tmp_path):
    flags = ("--config.model={'name': 'resnet_cifar', 'depth': 8, 'width': 4}", "--config.steps=2", "--config.eval_every=2")
    train(tmp_path / "run", *flags, "--config.checkpoint_every=2", "--config.steps_per_dispatch=1")
    run = os.path.relpath(tmp_path / "run", REPOSITORY)
    ended = end(start("convert", f"--from={run}", f"--to={tmp_path / 'net.safetensors'}"))
    assert ended.returncode == 0, ended.stderr
    assert load_file(tmp_path / "net.safetensors")["fc.weight"].shape == (10, 16)
    said = [
        end(start("predict", flag, "--json", "china")).stdout
        for flag in (f"--workdir={run}", f"--weights={run}", f"--weights={tmp_path / 'net.safetensors'}")
    ]
    assert len(set(said)) == 1 and json.loads(said[0])
