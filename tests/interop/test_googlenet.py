"""GoogLeNet beside PyTorch modules written from the paper, in torchvision's form and its own: tests/pytorch/googlenet.py."""

import numpy as np
import pytest

from dl.errors import UserError
from dl.interop import classifier, published
from tests.interop.agreement import given, same_names, same_results
from tests.pytorch.cases import cases


@pytest.mark.parametrize(("case", "count"), [("googlenet", 13_004_888), ("paper", 13_378_280)])
def test_torchvision_s_names(case, count):
    assert same_names("googlenet", case) == count


@pytest.mark.parametrize("case", cases("googlenet"))
def test_scores(tmp_path, case):
    same_results("googlenet", case, tmp_path, modes=["evaluation"])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["scores", "paper, auxiliary"])
def test_scores_and_auxiliary_scores_in_training(tmp_path, case):
    same_results("googlenet", case, tmp_path, modes=["training"])


def test_a_model_without_the_auxiliary_classifiers_takes_a_file_with_them(tmp_path):
    ours, _ = given("googlenet", "scores", tmp_path)
    file = tmp_path / "theirs.safetensors"
    without = classifier.load(file, "googlenet", {"auxiliary": False})
    assert set(ours.variables["params"]) - set(without.variables["params"]) == {"auxiliary1", "auxiliary2"}
    assert published.published("googlenet", {"conv1.conv.weight": np.zeros(1)}).settings["auxiliary"] is False
    with pytest.raises(UserError, match="wrong shape: inception3a.branch3.1.conv.weight is 32x16x3x3 and should be 32x16x5x5"):
        classifier.load(file, "googlenet", {"form": "paper"})
