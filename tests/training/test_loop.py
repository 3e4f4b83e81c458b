"""The loop with tasks of every kind: nothing in it knows which one it runs."""

import os
import signal

import jax
import numpy as np
import pytest

from dl.errors import UserError
from dl.training import checkpoint
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.training.tasks import TASKS, curve, experiment, hashes, pictures, run, settings


class Terminate(Progress):
    """Sends SIGTERM to this process once a step is reached."""

    def __init__(self, at: int):
        super().__init__(0, enabled=False)
        self.at = at

    def advance(self, step: int) -> None:
        if step >= self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def lines(workdir):
    """metrics.jsonl without what depends on the clock."""
    clock = ("examples_per_second", "seconds")
    return [{k: v for k, v in line.items() if k not in clock} for line in read_metrics(workdir)]


@pytest.mark.parametrize("steps_per_dispatch", [1, 3])
@pytest.mark.parametrize("name", TASKS)
def test_every_task_goes_on_after_sigterm_bit_for_bit(name, steps_per_dispatch, tmp_path):
    config = settings(steps_per_dispatch=steps_per_dispatch, log_every=3)
    whole = run(experiment(name, config), tmp_path / "whole")
    assert whole.finished and whole.step == 12
    stopped = run(experiment(name, config), tmp_path / "stopped", Terminate(at=6))
    assert not stopped.finished and stopped.step == 6
    resumed = run(experiment(name, config), tmp_path / "stopped")
    assert resumed.finished and hashes(resumed) == hashes(whole)
    a, b = jax.device_get((whole.state, resumed.state))
    jax.tree.map(np.testing.assert_array_equal, a._replace(key=0), b._replace(key=0))
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_learns_the_same_on_eight_devices(name, tmp_path):
    one = run(experiment(name), tmp_path / "one")
    eight = run(experiment(name, devices=8), tmp_path / "eight")
    for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(eight.state.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)
    for key in one.evaluated["test"].metrics:
        np.testing.assert_allclose(one.evaluated["test"].metrics[key], eight.evaluated["test"].metrics[key], atol=1e-5)


def test_tasks_learn(tmp_path):
    run(experiment("painting", settings(steps=60, log_every=20)), tmp_path / "painting")
    distance = curve(tmp_path / "painting", "distance")[:, 0]
    assert distance[-1] < 0.1 * distance[0]
    run(experiment("classifier", settings(steps=60, log_every=20)), tmp_path / "classifier")
    loss = curve(tmp_path / "classifier", "loss")[:, 0]
    assert loss[-1] < 0.5 * loss[0]


def test_a_phase_moves_only_its_groups(tmp_path):
    start = jax.device_get(experiment("stack").initial_state().params)
    chosen = experiment("stack")
    chosen = chosen._replace(task=chosen.task._replace(phases=chosen.task.phases[:1]))
    after = jax.device_get(run(chosen, tmp_path / "run").state.params)
    assert not np.array_equal(start["layer_0"]["kernel"], after["layer_0"]["kernel"])
    np.testing.assert_array_equal(start["layer_1"]["kernel"], after["layer_1"]["kernel"])


def test_the_lines_of_a_step_hold_the_diagnostics_of_every_objective(tmp_path):
    run(experiment("gan", settings(steps=2)), tmp_path / "run")
    line = read_metrics(tmp_path / "run")[0]
    for name in ("generator", "discriminator"):
        assert line[f"objective/{name}"]["mean"] > 0
        assert line[f"gradient_norm/{name}"]["mean"] > 0
        assert line[f"parameter_norm/{name}"]["mean"] > 0
    assert line["examples_per_second"] > 0


def test_steps_per_dispatch_changes_rounding_only(tmp_path):
    for k in (1, 5):
        run(experiment("classifier", settings(steps_per_dispatch=k, log_every=12, checkpoint_every=0)), tmp_path / str(k))
    np.testing.assert_allclose(curve(tmp_path / "1", "loss"), curve(tmp_path / "5", "loss"), rtol=1e-5)


def spoiled(step: int):
    """Pictures of floats of which one is NaN: the first that stands in the batch of `step`, counted from 0."""
    from dl.data.order import example_indices
    from dl.dataset import Arrays

    data = pictures()
    image = data.splits["train"].features["image"].astype(np.float32) / 255
    first = example_indices(0, np.arange(16 * step), 64)
    new = [i for i in example_indices(0, np.arange(16 * step, 16 * (step + 1)), 64) if i not in first]
    image[new[0], 3, 3] = np.nan
    spoiled_split = Arrays({"image": image, "label": data.splits["train"].features["label"]})
    return data._replace(splits={"train": spoiled_split, "test": data.splits["test"]})


@pytest.mark.parametrize("log_every", [1, 4])
def test_nan_in_the_data_stops_the_run_at_its_step_and_keeps_the_last_good_checkpoint(log_every, tmp_path):
    config = settings(log_every=log_every, checkpoint_every=2)
    with pytest.raises(UserError, match=r"stopped at step 4: the metric 'loss' of replica 0 is nan") as caught:
        run(experiment("classifier", config, dataset=spoiled(3)), tmp_path / "run")
    assert "checkpoint of step 2 is kept" in str(caught.value)
    assert checkpoint.steps(tmp_path / "run") == [2]


def early(patience: int):
    config = settings(steps=40, eval_every=2, checkpoint_every=4, log_every=4)
    config.early_stopping.update(metric="validation/loss", patience=patience)
    config.best.metric = "validation/loss"
    data = pictures()
    return experiment("classifier", config, dataset=data._replace(splits={**data.splits, "validation": data.splits["test"]}))


def test_early_stopping_ends_the_run_and_survives_a_stop(tmp_path):
    whole = run(early(2), tmp_path / "whole")
    assert whole.finished and whole.step < 40
    values = [line["loss"]["mean"] for line in read_metrics(tmp_path / "whole") if line["split"] == "validation"]
    assert min(values[-2:]) >= min(values[:-2])  # the last two brought nothing,
    assert min(values[-3:-1]) < min(values[:-3])  # the two before did
    assert set(whole.evaluated) == {"validation", "test"}
    run(early(2), tmp_path / "stopped", Terminate(at=whole.step // 2))
    resumed = run(early(2), tmp_path / "stopped")
    assert resumed.step == whole.step and hashes(resumed) == hashes(whole)


def test_a_finished_run_started_again_is_the_same(tmp_path):
    for make in (lambda: experiment("classifier"), lambda: early(2)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        first = run(make(), folder)
        before = lines(folder)
        again = run(make(), folder)
        assert again.finished and again.step == first.step and hashes(again) == hashes(first)
        assert lines(folder) == before
        np.testing.assert_array_equal(again.evaluated["test"].metrics["loss"], first.evaluated["test"].metrics["loss"])


def test_the_best_checkpoint_is_kept_beside_the_latest_two(tmp_path):
    config = settings(steps=40, eval_every=4, checkpoint_every=4, log_every=4)
    config.best.metric = "test/loss"
    run(experiment("classifier", config), tmp_path / "run")
    losses = {line["step"]: line["loss"]["mean"] for line in read_metrics(tmp_path / "run") if line["split"] == "test"}
    best = min(losses, key=losses.__getitem__)
    assert best < 36
    assert checkpoint.steps(tmp_path / "run") == [best, 36, 40]
    assert checkpoint.best_step(tmp_path / "run", "min") == best
