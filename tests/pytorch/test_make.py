"""The fixtures are what PyTorch gives, where it is installed; they are small, and no other test needs PyTorch."""

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.pytorch import make, recorded
from tests.pytorch.cases import NETS

SLOW = {(group, case) for group, nets in NETS.items() for case, net in nets.items() if net.slow}
CASES = [
    pytest.param(group, case, marks=[pytest.mark.slow] * ((group, case) in SLOW))
    for group in make.GROUPS
    for case in make.list_cases(group)
]
