"""SqueezeNet beside a PyTorch module written from the paper (Iandola et al. 2016, table 1); the authors' Caffe weights."""

import jax
import numpy as np
import pytest

from dl.interop import classifier, weights
from tests.interop.agreement import same_names, same_results

FILE = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def squeezenet(torch, version, classes=1000, padding=0):
    nn = torch.nn

    class Fire(nn.Module):
        def __init__(self, inputs, width):
            super().__init__()
            self.squeeze = nn.Conv2d(inputs, width, 1)
            self.expand1x1 = nn.Conv2d(width, 4 * width, 1)
            self.expand3x3 = nn.Conv2d(width, 4 * width, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu()
            return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()

    class SqueezeNet(nn.Module):
        def __init__(self):
            super().__init__()
            first, side, pools = (96, 7, (1, 4, 8)) if version == "1.0" else (64, 3, (1, 3, 5))
            made, inputs = [nn.Conv2d(3, first, side, 2), nn.ReLU()], first
            for number in range(1, 10):
                if number > 1:
                    width = 16 * (number // 2)
                    made.append(Fire(inputs, width))
                    inputs = 8 * width
                if number in pools:
                    made.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            self.features = nn.Sequential(*made)
            self.classifier = nn.Sequential(
                nn.Dropout(), nn.Conv2d(inputs, classes, 1, padding=padding), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
            )

        def forward(self, x):
            return self.classifier(self.features(x)).flatten(1)

    return SqueezeNet()


@pytest.mark.parametrize(("version", "side"), [("1.0", 68), ("1.1", 79)])  # ceil mode reaches over the edge
def test_logits(tmp_path, version, side):
    torch = pytest.importorskip("torch")
    same_results(torch, squeezenet(torch, version, classes=30), "squeezenet", {"dropout": 0.0}, tmp_path, side=side, batch=2)


def test_names_and_the_version_told_by_a_file(tmp_path):
    torch = pytest.importorskip("torch")
    for version in ("1.0", "1.1"):
        same_names(squeezenet(torch, version), "squeezenet", {"version": version})
    torch.save(squeezenet(torch, "1.1").state_dict(), tmp_path / "a.pth")
    assert classifier.load(tmp_path / "a.pth", "squeezenet").model.version == "1.1"


def test_the_authors_weights(shared_data, tmp_path):
    """BGR becomes RGB, names become torchvision's; PyTorch gives the same scores of the same picture."""
    torch = pytest.importorskip("torch")
    published = weights.read(shared_data / FILE)
    ours = classifier.load(shared_data / FILE, "squeezenet")
    assert (ours.model.padding, ours.shape, ours.num_classes) == (1, (227, 227, 3), 1000)
    classifier.save(ours, tmp_path / "a.pth")
    theirs = squeezenet(torch, "1.0", padding=1)
    theirs.load_state_dict(torch.load(tmp_path / "a.pth", weights_only=True), strict=True)
    np.testing.assert_array_equal(theirs.features[0].weight.detach().numpy()[:, ::-1], published["conv1/weight"])

    picture = np.random.default_rng(0).uniform(size=(1, 99, 99, 3)).astype(np.float32)
    x = (picture - ours.mean) / ours.std
    bgr = 255 * picture[..., ::-1] - np.float32([104, 117, 123])
    np.testing.assert_allclose(x[..., ::-1], bgr, atol=1e-3)
    with torch.no_grad():
        wanted = theirs.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    scores = np.asarray(jax.jit(ours.model.apply)(ours.variables, x))
    np.testing.assert_allclose(scores, wanted, atol=1e-3, rtol=1e-4)
    again = classifier.load(tmp_path / "a.pth")  # its record says which padding and pictures
    assert again.model == ours.model
    np.testing.assert_array_equal(again.std, ours.std)
