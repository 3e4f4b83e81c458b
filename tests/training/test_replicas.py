"""Replica r of R is the single run of seed + r, in initialisation, order, dropout and metrics."""

import jax
import numpy as np
import pytest

from dl.training.workdir import read_metrics
from tests.training.tasks import curve, experiment, hashes, run, settings

REPLICAS = 4


@pytest.fixture(scope="module")
def singles(tmp_path_factory):
    """The four single runs: their folders and what they ended with."""
    folder = tmp_path_factory.mktemp("singles")
    runs = [run(experiment("classifier", settings(seed=7 + r)), folder / str(r)) for r in range(REPLICAS)]
    return folder, runs


@pytest.mark.parametrize(("how", "devices"), [("unroll", 1), ("vmap", 1), ("unroll", 4), ("unroll", 8), ("vmap", 2)])
def test_replica_r_is_the_single_run_of_its_seed(how, devices, singles, tmp_path):
    config = settings(seed=7, replicas=REPLICAS, replicate=how)
    chosen = experiment("classifier", config, devices)
    assert chosen.mesh.shape["replica"] == min(devices, REPLICAS)
    together = run(chosen, tmp_path / "run")
    folder, runs = singles
    loss = curve(tmp_path / "run", "loss")
    for r, single in enumerate(runs):
        np.testing.assert_allclose(loss[:, r], curve(folder / str(r), "loss")[:, 0], rtol=2e-5)
        for ours, theirs in zip(jax.tree.leaves(together.state.params), jax.tree.leaves(single.state.params), strict=True):
            np.testing.assert_allclose(np.asarray(ours)[r], np.asarray(theirs)[0], atol=1e-5)
        for name, values in single.evaluated["test"].metrics.items():
            np.testing.assert_allclose(together.evaluated["test"].metrics[name][r], values[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            together.evaluated["test"].outputs[r]["scores"], single.evaluated["test"].outputs[0]["scores"], atol=1e-4
        )


@pytest.mark.slow  # compiled as a user does: without XLA's costly passes the programs of one and four devices round differently
def test_replicas_with_a_device_each_are_the_single_runs_bit_for_bit(singles, tmp_path):
    together = run(experiment("classifier", settings(seed=7, replicas=REPLICAS), devices=4), tmp_path / "run")
    assert hashes(together) == [hashes(single)[0] for single in singles[1]]


def test_every_metric_has_mean_deviation_and_values(tmp_path):
    run(experiment("classifier", settings(steps=2, replicas=3)), tmp_path / "run")
    for line in read_metrics(tmp_path / "run"):
        values = np.array(line["loss"]["values"])
        assert values.shape == (3,) and len(set(values)) == 3
        np.testing.assert_allclose(line["loss"]["mean"], values.mean())
        np.testing.assert_allclose(line["loss"]["std"], values.std(ddof=1))


def test_replicas_go_on_after_a_stop_bit_for_bit(tmp_path):
    config = settings(replicas=2, steps_per_dispatch=2)
    whole = run(experiment("classifier", config, devices=2), tmp_path / "whole")
    half = experiment("classifier", config, devices=2)
    half = half._replace(task=half.task._replace(phases=(half.task.phases[0]._replace(steps=6),)))
    run(half, tmp_path / "run")
    resumed = run(experiment("classifier", config, devices=2), tmp_path / "run")
    assert hashes(resumed) == hashes(whole)
