"""AlexNet beside PyTorch modules written from the papers: tests/pytorch/alexnet.py."""

import pytest

from tests.interop.agreement import same_names, same_results
from tests.pytorch.cases import cases


@pytest.mark.parametrize("case", cases("alexnet", scored=False))
def test_torchvision_s_names(case):
    same_names("alexnet", case)


@pytest.mark.parametrize("case", cases("alexnet"))
def test_scores(tmp_path, case):
    same_results("alexnet", case, tmp_path)
