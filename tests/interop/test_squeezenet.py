"""SqueezeNet beside a PyTorch module written from the paper (tests/pytorch/squeezenet.py); the authors' Caffe weights."""

import jax
import numpy as np
import pytest

from dl.interop import classifier, weights
from tests.interop.agreement import drawn, same_names, same_results
from tests.pytorch import recorded
from tests.pytorch.cases import cases
from tests.pytorch.draw import uniform

FILE = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


@pytest.mark.parametrize("case", cases("squeezenet"))
def test_scores(tmp_path, case):
    same_results("squeezenet", case, tmp_path)


@pytest.mark.parametrize("case", cases("squeezenet", scored=False))
def test_names_and_the_version_told_by_a_file(tmp_path, case):
    same_names("squeezenet", case)
    weights.write(tmp_path / "a.npz", drawn("squeezenet", case))
    assert classifier.load(tmp_path / "a.npz", "squeezenet").model.version == case


def test_the_authors_weights(shared_data, tmp_path):
    """BGR becomes RGB, names become torchvision's; PyTorch gives the same scores of the same image from the arrays alone."""
    published = weights.read(shared_data / FILE)
    ours = classifier.load(shared_data / FILE, "squeezenet")
    assert (ours.model.padding, ours.shape, ours.num_classes) == (1, (227, 227, 3), 1000)
    classifier.save(ours, tmp_path / "a.npz")
    written = weights.read(tmp_path / "a.npz")
    assert set(written) == set(recorded.shapes("squeezenet", "1.0"))
    np.testing.assert_array_equal(written["features.0.weight"][:, ::-1], published["conv1/weight"])

    pixels = (uniform("pixels", (1, 99, 99, 3)) + 1) / 2
    x = (pixels - ours.mean) / ours.std
    scores = np.asarray(jax.jit(ours.model.apply)(ours.variables, x))
    np.testing.assert_allclose(scores, recorded.arrays("authors", "scores")["scores"], atol=1e-3, rtol=1e-4)
    again = classifier.load(tmp_path / "a.npz")  # its record says which padding and images
    assert again.model == ours.model
    np.testing.assert_array_equal(again.std, ours.std)
