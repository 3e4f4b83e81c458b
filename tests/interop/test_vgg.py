"""VGG beside PyTorch modules written from the paper: tests/pytorch/vgg.py."""

import pytest

from dl.interop.vgg import places
from tests.interop.agreement import same_names, same_results
from tests.pytorch.cases import cases


@pytest.mark.parametrize("case", cases("vgg", scored=False))
def test_torchvision_s_names(case):
    same_names("vgg", case)


def test_known_places():
    """Style transfer's relu4_2 of VGG-19 follows torchvision's features.21."""
    assert places(19)["conv4_2"] == "features.21" and places(16)["conv5_3"] == "features.28"
    assert places(11, batch_norm=True)["norm5_2"] == "features.26"


@pytest.mark.parametrize("case", cases("vgg"))
def test_scores(tmp_path, case):
    same_results("vgg", case, tmp_path)
