"""The fixtures are what PyTorch gives, where it is installed; they are small, and no other test needs PyTorch."""

import re

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.pytorch import make, recorded
from tests.pytorch.cases import NETS

CASES = [
    pytest.param(group, slow, marks=[pytest.mark.slow] * slow, id=f"{group}{', slow' * slow}")
    for group in make.GROUPS
    for slow in (False, True)
    if not slow or any(net.slow for net in NETS.get(group, {}).values())
]


@pytest.mark.parametrize(("group", "slow"), CASES)
def test_pytorch_gives_the_fixtures(group, slow, request):
    pytest.importorskip("torch")
    if group == "authors":
        request.getfixturevalue("shared_data")
    assert sorted(make.list_cases(group)) == recorded.cases(group)
    for case in make.list_cases(group):
        if slow == (group in NETS and NETS[group][case].slow):
            wanted, found = recorded.arrays(group, case), make.made(group, case)
            assert set(wanted) == set(found)
            for name, array in wanted.items():
                size = max(1, np.abs(array).max())
                np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5 * size, err_msg=f"{case}: {name}")


def test_pytorch_gives_the_states():
    pytest.importorskip("torch")
    for group, found in make.states().items():
        assert {case: recorded.shapes(group, case) for case in found} == {
            case: {name: tuple(shape) for name, shape in state.items()} for case, state in found.items()
        }


def test_fixtures_are_small():
    assert sum(path.stat().st_size for path in recorded.FOLDER.iterdir()) < 300_000


def test_nothing_else_is_skipped_without_pytorch():
    """Keep what PyTorch gives as a fixture instead, see tests/pytorch/make.py. The benchmark times PyTorch itself."""
    pattern = re.compile(r"importorskip\(.torch")
    found = {path.name for path in (REPOSITORY / "tests").rglob("*.py") if pattern.search(path.read_text())}
    assert found == {"test_make.py", "test_benchmark.py", "test_benchmark_words.py", "test_commands.py"}
