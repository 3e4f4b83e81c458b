"""Residual nets beside PyTorch modules written from the papers: tests/pytorch/resnet.py."""

import pytest

from tests.interop.agreement import same_names, same_results
from tests.pytorch.cases import cases


@pytest.mark.parametrize("case", cases("resnet", scored=False))
def test_torchvision_s_names(case):
    same_names("resnet", case)


@pytest.mark.parametrize("case", cases("resnet"))
def test_scores(tmp_path, case):
    same_results("resnet", case, tmp_path)
