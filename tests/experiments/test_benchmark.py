"""The benchmark's case `input`: both sides read the same files into batches of one form. Its timings are not tested."""

import numpy as np
import pytest

from dl.errors import UserError
from experiments import benchmark, benchmark_input


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return benchmark_input.images(tmp_path_factory.mktemp("images"), (24, 32), 130)


def test_both_sides_read_batches_of_the_same_form(paths):
    torch = pytest.importorskip("torch")
    assert benchmark_input.found(paths[0].parent) == paths
    (ours, theirs) = benchmark_input.ours(paths, 16, 0), benchmark_input.torch_loader(torch, paths, 16, 0)
    for _ in range(2):
        images, other = ours()["image"], theirs()[0]
        assert images.shape == (1, 128, 16, 16, 3) and tuple(other.shape) == (128, 16, 16, 3)
        assert images.dtype == np.uint8 and other.dtype == torch.uint8
        assert abs(images.mean() - other.float().mean().item()) < 8  # windows of the same photographs


def test_a_row_for_each_number_of_workers(paths, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(benchmark_input, "WORKERS", (0,))
    monkeypatch.setattr(benchmark_input, "DRAINED", 1)
    (row,) = benchmark.measure_input(str(paths[0].parent), 16, 1, 0.01)
    assert row["case"] == "input16/0" and row["ratio"] == pytest.approx(row["torch_ms"] / row["ours_ms"])


def test_too_few_images(tmp_path):
    with pytest.raises(UserError, match="holds 0 JPEGs, fewer than a batch of 128"):
        benchmark_input.found(tmp_path)
