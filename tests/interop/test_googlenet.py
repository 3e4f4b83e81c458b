"""GoogLeNet beside PyTorch modules written from the paper (Szegedy et al. 2015, table 1, figure 3), in torchvision's form."""

from functools import partial

import jax
import numpy as np
import pytest

from dl.errors import UserError
from dl.interop import classifier, published
from tests.interop.agreement import randomise, run, same_means, same_names, same_state

torch = pytest.importorskip("torch")
nn = torch.nn

TABLE = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Convolution(nn.Module):
    def __init__(self, inputs, outputs, side, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    def __init__(self, inputs, one, reduce3, three, reduce5, five, projection):
        super().__init__()
        self.branch1 = Convolution(inputs, one, 1)
        self.branch2 = nn.Sequential(Convolution(inputs, reduce3, 1), Convolution(reduce3, three, 3))
        self.branch3 = nn.Sequential(Convolution(inputs, reduce5, 1), Convolution(reduce5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Convolution(inputs, projection, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.conv, self.fc1, self.fc2 = Convolution(inputs, 128, 1), nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(nn.functional.adaptive_avg_pool2d(x, 4))
        return self.fc2(self.fc1(x.flatten(1)).relu())


class GoogLeNet(nn.Module):
    """In training the auxiliary scores are kept in `auxiliary`."""

    def __init__(self, classes=1000):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Convolution(3, 64, 7, 2), Convolution(64, 64, 1), Convolution(64, 192, 3)
        inputs = 192
        for name, widths in TABLE.items():
            setattr(self, f"inception{name}", Inception(inputs, *widths))
            inputs = widths[0] + widths[2] + widths[4] + widths[5]
        self.aux1, self.aux2, self.fc = Auxiliary(512, classes), Auxiliary(528, classes), nn.Linear(1024, classes)

    def forward(self, x):
        def pool(x, side=3):
            return nn.functional.max_pool2d(x, side, 2, ceil_mode=True)

        x = pool(self.conv3(self.conv2(pool(self.conv1(x)))))
        x = pool(self.inception3b(self.inception3a(x)))
        fourth = self.inception4a(x)
        x = self.inception4d(self.inception4c(self.inception4b(fourth)))
        if self.training:
            self.auxiliary = self.aux1(fourth), self.aux2(x)
        x = self.inception5b(self.inception5a(pool(self.inception4e(x), 2)))
        return self.fc(x.mean((2, 3)))


def test_torchvision_s_names():
    with torch.device("meta"):
        theirs = GoogLeNet()
    assert sum(p.numel() for p in theirs.parameters()) == 13_004_888
    same_names(theirs, "googlenet", {})


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """PyTorch's net with random weights, its file, and ours of that file."""
    theirs = GoogLeNet(7)
    randomise(torch, theirs)
    file = tmp_path_factory.mktemp("googlenet") / "theirs.pth"
    torch.save(theirs.state_dict(), file)
    return theirs, file, classifier.load(file, "googlenet", {"dropout": 0.0, "auxiliary_dropout": 0.0})


def pictures(side, batch=4):
    x = np.random.default_rng(1).normal(size=(batch, side, side, 3)).astype(np.float32)
    return x, torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def test_weights_go_there_and_back(both, tmp_path):
    theirs, _, ours = both
    same_state(torch, theirs, ours, tmp_path)


def test_scores_in_evaluation(both):
    """From 75 x 75 every pooling meets an odd side or an even one: ceil mode matters."""
    theirs, _, ours = both
    x, y = pictures(75)
    with torch.no_grad():
        wanted = theirs.eval()(y).numpy()
    assert wanted.std() > 0.01
    np.testing.assert_allclose(run(ours.model.apply, ours.variables, x), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_scores_and_auxiliary_scores_in_training(both):
    theirs, _, ours = both
    x, y = pictures(75)
    with torch.no_grad():
        wanted = theirs.train()(y).numpy()
    train = partial(ours.model.apply, train=True, mutable=["batch_stats", "auxiliary"], rngs={"dropout": jax.random.key(0)})
    scores, new = run(train, ours.variables, x)
    np.testing.assert_allclose(scores, wanted, atol=1e-4, rtol=1e-4)
    for name, found in zip(("auxiliary1_scores", "auxiliary2_scores"), theirs.auxiliary, strict=True):
        np.testing.assert_allclose(new["auxiliary"][name][0], found.numpy(), atol=1e-4, rtol=1e-4)
    same_means(theirs, ours._replace(variables={"params": ours.variables["params"], "batch_stats": new["batch_stats"]}))


def test_a_model_without_the_auxiliary_classifiers_takes_a_file_with_them(both):
    _, file, ours = both
    without = classifier.load(file, "googlenet", {"auxiliary": False})
    assert set(ours.variables["params"]) - set(without.variables["params"]) == {"auxiliary1", "auxiliary2"}
    assert published.published("googlenet", {"conv1.conv.weight": np.zeros(1)}).settings["auxiliary"] is False
    with pytest.raises(UserError, match="wrong shape: inception3a.branch3.1.conv.weight is 32x16x3x3 and should be 32x16x5x5"):
        classifier.load(file, "googlenet", {"form": "paper"})
