"""The loop with tasks of every kind: nothing in it knows which one it runs."""

import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.dataset import Arrays
from dl.errors import UserError
from dl.task import Phase, mean
from dl.training import checkpoint, result
from dl.training.assembly import check_task
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.training.tasks import TASKS, curve, experiment, hashes, image_dataset, run, settings


class Terminate(Progress):
    """Sends a signal to this process once a step is reached."""

    def __init__(self, at: int, number: int = signal.SIGTERM):
        super().__init__(0, enabled=False)
        self.at, self.number = at, number

    def advance(self, step: int) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.number)


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
    assert not stopped.finished and stopped.step == 6 and stopped.stopped_by == "SIGTERM"
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
    """Images of floats of which one is NaN: the first that stands in the batch of `step`, counted from 0."""
    from dl.data.order import example_indices

    data = image_dataset()
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
    data = image_dataset()
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
    assert checkpoint.best_step(tmp_path / "run", "lower") == best


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_between_two_lines_changes_nothing_of_the_run(number, tmp_path):
    """Neither what was summed up nor where early stopping ends it; lines at 5, 10, ..., checkpoints at 7, 14, ..."""

    def chosen():
        config = settings(steps=60, steps_per_dispatch=4, log_every=5, checkpoint_every=7)
        config.early_stopping.update(metric="train/loss", patience=1)
        return experiment("classifier", config)

    whole = run(chosen(), tmp_path / "whole")
    assert whole.step < 60
    for at in (4, 8, 12):  # each start goes on where the last one was stopped
        stopped = run(chosen(), tmp_path / "stopped", Terminate(at, number))
        assert stopped.step == at and stopped.stopped_by == {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}[number]
    ended = run(chosen(), tmp_path / "stopped")
    assert ended.finished and ended.step == whole.step and hashes(ended) == hashes(whole)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


def test_the_best_is_the_best_of_all_evaluations(tmp_path):
    """Evaluations at 3, 6, ..., checkpoints at 10, 20, ...: the best value that was measured is that of the checkpoint kept."""
    config = settings(steps=40, eval_every=3, checkpoint_every=10, log_every=4)
    config.best.metric = "test/loss"
    run(experiment("classifier", config), tmp_path / "run")
    losses = {line["step"]: line["loss"]["mean"] for line in read_metrics(tmp_path / "run") if line["split"] == "test"}
    best = min(losses, key=losses.__getitem__)
    assert set(losses) == {*range(3, 40, 3), 40} and best % 10
    assert checkpoint.best_step(tmp_path / "run", "lower") == best
    assert set(checkpoint.steps(tmp_path / "run")) == {best, 30, 40}


@pytest.mark.parametrize("section", ["best", "early_stopping"])
@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("test/eror", "Did you mean 'test/error'"),
        ("validation/loss", "unknown metric for config.* 'validation/loss'.*Choices: test/error, test/loss"),
        ("train/los", "Did you mean 'train/loss'"),
    ],
)
def test_a_metric_that_is_not_measured_is_refused_before_the_training(section, metric, said):
    config = settings(eval_every=2)
    config[section].metric = metric
    with pytest.raises(UserError, match=said):
        check_task(experiment("classifier", config))


def test_early_stopping_without_patience_is_refused():
    config = settings(early_stopping={"metric": "test/loss", "patience": 0})
    with pytest.raises(UserError, match=r"early_stopping.patience=0 .*: give at least 1, or no metric"):
        check_task(experiment("classifier", config))


def test_a_feature_that_batches_lack_is_one_line(tmp_path):
    data = image_dataset()
    splits = {name: Arrays({"image": split.features["image"]}) for name, split in data.splits.items()}
    with pytest.raises(UserError, match=r"the task needs the feature 'label', which its batches lack; they have image\."):
        run(experiment("classifier", dataset=data._replace(splits=splits)), tmp_path / "run")
    only = data._replace(splits={**data.splits, "test": splits["test"]})
    with pytest.raises(UserError, match=r"the feature 'label', which its batches lack; they have image, mask\."):
        run(experiment("classifier", dataset=only), tmp_path / "evaluated")


def test_a_metric_of_which_nothing_is_better_is_refused():
    config = settings()
    config.best.metric = "test/accepted"
    with pytest.raises(UserError, match="is no measure of how good the run is"):
        check_task(experiment("gan", config))


def test_infinite_parameters_are_not_saved(tmp_path):
    """The loss of an image that flies away is finite for a while in float32; its norm is not."""
    task = experiment("painting").task
    objective = task.objectives["paint"]

    def outwards(params, variables, batch, key):
        pixels = params["image"]["pixels"]
        step = jnp.where(variables["step"] == 5, jnp.inf, 0.0)  # a gradient that no metric shows
        moved = {**variables, "step": variables["step"] + 1}
        return (jax.lax.stop_gradient(pixels).sum() * 0 + (pixels * 1e-3).sum(), jnp.float32(1)), (
            {**moved, "poison": jnp.where(step > 0, jnp.inf, variables["poison"])},
            {"distance": mean(jnp.zeros(1))},
        )

    def init(key):
        params, variables = task.init(key)
        return params, {**variables, "step": jnp.int32(0), "poison": jnp.float32(0)}

    spoiled_task = task._replace(init=init, objectives={"paint": objective._replace(loss=outwards)})
    chosen = experiment("painting", settings(log_every=4))._replace(task=spoiled_task)
    with pytest.raises(
        UserError, match="stopped at step 8: a running statistic or another variable of replica 0 is NaN or inf"
    ):
        run(chosen, tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run") == [4]


def test_a_parameter_norm_that_is_infinite_stops_the_run(tmp_path):
    def init(key):
        params, variables = experiment("painting").task.init(key)
        return {"image": {"pixels": params["image"]["pixels"] + 1e30}}, variables

    def flat(params, variables, batch, key):  # its loss and its gradient are finite
        return (params["image"]["pixels"].mean() * 0.0, jnp.float32(1)), (variables, {})

    task = experiment("painting").task
    task = task._replace(init=init, objectives={"paint": task.objectives["paint"]._replace(loss=flat)})
    with pytest.raises(
        UserError, match=r"stopped at step 1: the metric 'parameter_norm/image' of replica 0 is NaN or infinite"
    ):
        run(experiment("painting", settings())._replace(task=task), tmp_path / "run")
    assert checkpoint.steps(tmp_path / "run") == []


def test_nan_in_the_test_split_alone_is_one_line_and_the_training_is_saved(tmp_path):
    data = image_dataset()
    image = data.splits["test"].features["image"].astype(np.float32) / 255
    image[7, 0, 0] = np.nan
    data = data._replace(splits={**data.splits, "test": Arrays({**data.splits["test"].features, "image": image})})
    for _ in range(2):  # also when it is started again
        with pytest.raises(UserError, match="after step 12 the metric 'loss' of replica 0 is nan on the split 'test'"):
            run(experiment("classifier", dataset=data), tmp_path / "run")
        assert checkpoint.steps(tmp_path / "run") == [8, 12]


def test_a_workdir_that_is_removed_is_one_line(tmp_path):
    class Remove(Progress):
        def advance(self, step: int) -> None:
            if step == 3:
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(UserError, match="was removed while the run wrote to it"):
        run(experiment("classifier", settings(checkpoint_every=0)), tmp_path / "run", Remove(0, enabled=False))
    assert not (tmp_path / "run").exists()


def test_a_phase_and_an_evaluator_are_one_program_whatever_the_intervals(tmp_path, monkeypatch):
    from jax._src import compiler

    made: list[str] = []
    compile_one = compiler.compile_or_get_cached

    def counted(backend, module, *args, **kwargs):
        made.append(str(module.operation.attributes["sym_name"]).strip('"'))
        return compile_one(backend, module, *args, **kwargs)

    monkeypatch.setattr(compiler, "compile_or_get_cached", counted)
    config = settings(steps=31, steps_per_dispatch=4, log_every=3, eval_every=5, checkpoint_every=7)
    data = image_dataset()
    splits = {**data.splits, "validation": data.splits["test"]}
    run(experiment("classifier", config, dataset=data._replace(splits=splits)), tmp_path / "run")
    # The initial state, the only phase, the norms of the parameters; one evaluator on two splits, seven times.
    assert {name: made.count(name) for name in ("jit_local", "jit_numbered")} == {"jit_local": 3, "jit_numbered": 1}
    run(experiment("stack", config, dataset=data), tmp_path / "stack")
    assert made.count("jit_local") == 3 + 2 + 3  # three phases, with ends of their own


def test_init_is_traced_once(tmp_path):
    config = settings(eval_every=6)
    config.best.metric = "test/error"
    chosen, traced = experiment("classifier", config), []

    def init(key):
        traced.append(key)
        return made(key)

    made = chosen.task.init
    chosen = chosen._replace(task=chosen.task._replace(init=init))
    trained = run(chosen, tmp_path / "run")
    assert result.best(chosen, tmp_path / "run", trained.state)["metrics"]["test"]
    assert len(traced) == 1


def test_a_second_stream_feeds_the_same_steps_under_its_own_name(tmp_path):
    """What a step sees of it is what a run on that split alone would see."""
    data = image_dataset()
    other = image_dataset(train=40).splits["train"]
    task = experiment("classifier").task
    objective, seen = task.objectives["classify"], {}

    def loss(params, variables, batch, key):
        seen.update({name: values.shape for name, values in batch.items()})
        value, (variables, metrics) = objective.loss(params, variables, batch, key)
        return value, (variables, {**metrics, "label": mean(batch["label"]), "other": mean(batch["unlabelled/label"])})

    task = task._replace(
        objectives={"classify": objective._replace(loss=loss)}, phases=(Phase(12, ("classify",), beside=("unlabelled",)),)
    )
    splits = {**data.splits, "unlabelled": other}
    chosen = experiment("classifier", settings(steps_per_dispatch=5), dataset=data._replace(splits=splits))._replace(task=task)
    assert chosen.evaluation_splits() == ["test"]
    run(chosen, tmp_path / "two")
    assert seen["unlabelled/image"] == seen["image"] == (16, 8, 8, 1)
    alone = data._replace(splits={"train": other, "test": data.splits["test"]})

    def labels(params, variables, batch, key):
        value, (variables, _) = objective.loss(params, variables, batch, key)
        return value, (variables, {"label": mean(batch["label"])})

    task = experiment("classifier").task._replace(objectives={"classify": objective._replace(loss=labels)})
    run(experiment("classifier", dataset=alone)._replace(task=task), tmp_path / "one")
    np.testing.assert_array_equal(curve(tmp_path / "two", "other"), curve(tmp_path / "one", "label"))
    assert (curve(tmp_path / "two", "label") != curve(tmp_path / "two", "other")).any()


def test_microbatches_of_a_loss_that_compares_examples_are_refused():
    chosen = experiment("classifier", settings(microbatches=2))
    check_task(chosen)
    across = chosen.task.objectives["classify"]._replace(whole_batch=True)
    with pytest.raises(UserError, match="the objective 'classify' compares the examples of a batch with each other"):
        check_task(chosen._replace(task=chosen.task._replace(objectives={"classify": across})))


def test_a_hidden_transfer_in_the_hot_path_fails(tmp_path, monkeypatch):
    from dl.training import loop

    original = loop.compile_dispatches

    def hidden(*given):
        return [lambda *args, one=one: one(*args[:-1], np.int32(1)) for one in original(*given)]  # a number from the host

    monkeypatch.setattr(loop, "compile_dispatches", hidden)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        run(experiment("painting", settings(steps_per_dispatch=4)), tmp_path / "run")


def test_a_trace_of_some_steps_is_written(tmp_path):
    from dl.training import loop

    (tmp_path / "run").mkdir()
    loop.train(experiment("painting"), tmp_path / "run", Progress(12, enabled=False), profile=(3, 5))
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
