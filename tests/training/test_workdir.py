import json
import os
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.artifacts import Images, Table, Text
from dl.errors import UserError
from dl.report import recorded
from dl.training import history
from dl.training.events import add_shown
from dl.training.workdir import MetricsFile, open_for_writing, read_config, read_data, read_metrics, statistics, write_json
from tests.training.tasks import settings


def opened(workdir, override=False, **changes):
    return open_for_writing(workdir, settings(**changes), override)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dataset", {"name": "digits", "splits": 3}, "dataset.splits should be an object"),
        ("dataset", {"name": "digits", "splits": {"test": 3}}, "dataset.splits should hold texts"),
        ("augmentation", [], "augmentation should be an object"),
        ("test_time", {"samples": 1, "augmentation": 0}, "test_time.augmentation should be an object"),
        ("mesh", 3, "mesh should be an object"),
        ("reference", "x", "reference should be an object"),
        ("optimizer", {"name": "sgd", "schedule": "cosine"}, "optimizer.schedule should be an object"),
    ],
)
def test_what_stands_in_the_place_of_a_section(workdir, key, value, said):
    opened(workdir).close()
    path = workdir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=rf"config.json is damaged: it holds no configuration \({said}\)"):
        read_config(workdir)


@pytest.mark.parametrize("name", ["config.json", "data.json", "metrics.jsonl"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(workdir, name):
    workdir.mkdir()
    os.mkfifo(workdir / name)
    read = {"config.json": read_config, "data.json": read_data, "metrics.jsonl": read_metrics}[name]
    with pytest.raises(UserError, match=f"{name} is a pipe or a device, and should be a file"):
        read(workdir)
    if name == "metrics.jsonl":
        with pytest.raises(UserError, match="is a pipe or a device"):
            recorded.read_lines(workdir, [])


def test_another_configuration_is_refused_with_the_keys_that_differ(workdir):
    opened(workdir, batch_size=16).close()
    with pytest.raises(UserError, match=r"holds a run of another configuration \(batch_size: 16 -> 32; seed: 0 -> 5\)"):
        opened(workdir, batch_size=32, seed=5)
    assert read_config(workdir).batch_size == 16
    opened(workdir, override=True, batch_size=32).close()
    assert read_config(workdir).batch_size == 16  # until it is known that the run can go on with it


def test_a_key_that_came_or_went_is_named(workdir):
    opened(workdir, model={"name": "mlp", "width": 3}).close()
    with pytest.raises(UserError, match=r"model.width: 3 -> \(absent\)"):
        opened(workdir)


def test_the_same_configuration_and_another_mesh_are_welcome(workdir):
    opened(workdir, dataset={"mean": (0.1, 0.2)}).close()
    opened(workdir, dataset={"mean": (0.1, 0.2)}).close()
    opened(workdir, dataset={"mean": (0.1, 0.2)}, mesh={"data": 4, "fsdp": 2, "rules": (("kernel", ("model", None)),)}).close()
    assert read_config(workdir).mesh.rules == (("kernel", ("model", None)),)  # as tuples


def test_two_runs_cannot_write_at_once(workdir):
    lock = opened(workdir)
    with pytest.raises(UserError, match="another run is writing to --workdir"):
        opened(workdir)
    lock.close()
    opened(workdir).close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to --workdir=.*: Not a directory. Give a folder that can be written"):
        opened(tmp_path / "file" / "run")


def test_a_folder_without_a_run_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        read_config(tmp_path)


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_json_is_not_written(value, tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*x.json: a.1.b is not a finite number"):
        write_json(tmp_path / "x.json", {"a": [1, {"b": value}]})
    log = MetricsFile(tmp_path, 0, writing=True)
    with pytest.raises(UserError, match=r"metrics.jsonl: loss.mean is not a finite number"):
        write(log, 10, value=value)
    log.close()
    assert not (tmp_path / "x.json").exists() and not log.lines and read_metrics(tmp_path) == []


# What a crash, a full disk, an editor or a person leaves in place of a file of JSON.
DAMAGES = {
    "empty": b"",
    "cut": b'{"dataset": {"na',
    "a list": b"[1, 2]",
    "null": b"null",
    "a string": b'"x"',
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "no sections": b'{"seed": 1}',
    "a section of another type": b'{"dataset": 3, "model": [], "task": {}, "optimizer": {}}',
    "a key in a number": json.dumps(
        {**{s: {"name": "a"} for s in ("dataset", "model", "task", "optimizer")}, "mesh": 3}
    ).encode(),
}


@pytest.mark.parametrize("damage", [*DAMAGES, "a folder"])
def test_a_damaged_config_is_one_line_and_can_be_overridden(damage, workdir):
    workdir.mkdir()
    path = workdir / "config.json"
    path.mkdir() if damage == "a folder" else path.write_bytes(DAMAGES[damage])
    for read in (lambda: read_config(workdir), lambda: opened(workdir)):
        with pytest.raises(UserError, match="config.json") as told:
            read()
        assert "\n" not in str(told.value)
    assert "--override_config" in str(told.value)
    if damage != "a folder":
        opened(workdir, override=True).close()
        history.begin(workdir, settings(), 0, "")
        assert read_config(workdir).batch_size == 16


@pytest.mark.parametrize(
    "damage", [name for name in DAMAGES if "section" not in name and "key" not in name] + ["a folder", "types"]
)
def test_damaged_data_json_and_history_are_one_line(damage, workdir):
    workdir.mkdir()
    for name, read in {"data.json": read_data, "history.json": history.read}.items():
        path = workdir / name
        content = {"types": b'[{"step": "x"}]' if name == "history.json" else b'{"data_dir": 3}', **DAMAGES}
        if damage == "a list" and name == "history.json":
            content = {"a list": b"{}"}
        path.mkdir() if damage == "a folder" else path.write_bytes(content[damage])
        with pytest.raises(UserError, match=name) as told:
            read(workdir)
        assert "\n" not in str(told.value)


def test_an_older_configuration_is_read_as_it_would_be_now(workdir):
    opened(workdir).close()
    path = workdir / "config.json"
    old = json.loads(path.read_text())
    del old["test_time"], old["dataset"]["margin"], old["optimizer"]["l1"]
    old["task"]["anew"] = "head"
    old["dataset"]["splits"] = {"train": "train"}
    path.write_text(json.dumps(old))
    read = read_config(workdir)
    assert read.test_time.samples == 1 and read.dataset.margin == 0 and read.optimizer.l1 == 0.0
    assert read.task.reinitialise == "head"
    assert read.dataset.splits.to_dict() == {"train": "train"}  # has no split that it did not have
    now = settings(task={"name": "classification", "reinitialise": "head"})
    now.dataset.splits = ConfigDict({"train": "train"})
    open_for_writing(workdir, now, False).close()  # no difference


def test_statistics_over_replicas():
    assert statistics(np.array([2.0])) == {"mean": 2.0, "std": 0.0, "values": [2.0]}
    one = statistics(np.array([1.0, 2.0, 6.0], np.float32))
    assert one["mean"] == 3 and one["std"] == pytest.approx(np.sqrt((4 + 1 + 9) / 2)) and one["values"] == [1, 2, 6]


def write(log, step, split="train", value=1.0):
    return log.write(step, split, {"loss": np.array([value])}, seconds=2.0)


def where(workdir):
    return [(line["step"], line["split"], line["loss"]["values"]) for line in read_metrics(workdir)]


def test_lines_after_the_step_that_a_run_goes_on_from_are_dropped(workdir):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    for step in (10, 20, 30):
        write(log, step)
        write(log, step, "test")
    log.close()
    log = MetricsFile(workdir, 20, writing=True)
    assert where(workdir) == [(s, split, [1.0]) for s in (10, 20) for split in ("train", "test")]
    write(log, 20, "test", value=5.0)  # there already
    write(log, 30, value=3.0)
    log.close()
    assert where(workdir)[4:] == [(30, "train", [3.0])]
    assert len(where(workdir)) == 5


def test_a_line_cut_short_by_a_kill_is_dropped(workdir, capsys):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    write(log, 10)
    write(log, 20)
    log.close()
    path = workdir / "metrics.jsonl"
    path.write_text(path.read_text()[:-15])
    assert where(workdir) == [(10, "train", [1.0])]
    assert "cut short" in capsys.readouterr().err
    MetricsFile(workdir, 20, writing=True).close()
    assert path.read_text().endswith("}\n") and len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"3",
        b"[]",
        b'{"split": "train"}',
        b'{"step": "1", "split": "train"}',
        b'{"step": 1, "split": null}',
        b'{"step": 1, "split": "train", "loss": NaN}',
        b'{"step": 1, "split": "train", "loss": {"mean": 1}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_line_is_named_and_dropped(line, workdir, capsys):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    write(log, 10)
    write(log, 20)
    log.close()
    first, second = (workdir / "metrics.jsonl").read_bytes().splitlines()
    (workdir / "metrics.jsonl").write_bytes(b"\n".join([first, line, second]))
    assert where(workdir) == [(10, "train", [1.0]), (20, "train", [1.0])]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"dropped line 2 of {workdir / 'metrics.jsonl'}" in said


def test_a_folder_in_place_of_the_metrics_is_one_line(workdir):
    (workdir / "metrics.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot read .*metrics.jsonl: Is a directory"):
        MetricsFile(workdir, 0, writing=True)


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_workdir_that_is_taken_away_stops_the_run(how, workdir, tmp_path):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    write(log, 10)
    workdir.rename(tmp_path / "other") if how == "moved" else shutil.rmtree(workdir)
    if how == "replaced":
        workdir.mkdir()
        (workdir / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=r"metrics.jsonl was removed or replaced while the run wrote to it"):
        write(log, 20)


def test_a_line_is_on_disk_at_once_and_is_what_was_returned(workdir):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    line = write(log, 10)
    assert (
        read_metrics(workdir)
        == [line]
        == [{"step": 10, "split": "train", "seconds": 2.0, "loss": {"mean": 1.0, "std": 0.0, "values": [1.0]}}]
    )
    log.close()


def test_other_processes_remember_and_write_nothing(workdir):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=False)
    write(log, 10)
    log.close()
    assert len(log.lines) == 1 and not list(workdir.iterdir())


def test_tensorboard_shows_what_was_written(workdir):
    workdir.mkdir()
    log = MetricsFile(workdir, 0, writing=True)
    write(log, 10, value=0.25)
    log.close()
    content = b"".join(path.read_bytes() for path in (workdir / "tensorboard").iterdir())
    assert b"train/loss" in content and np.float32(0.25).tobytes() in content


def test_tensorboard_shows_images_texts_and_settings_at_the_end(workdir):
    workdir.mkdir()
    pictures, text = Images(np.linspace(0, 1, 3 * 16).reshape(3, 4, 4, 1)), Text("to be <or> not")
    shown = {("test", "samples"): pictures, ("test", "sample"): text, ("test", "classes"): Table(("a",), ((1,),))}
    add_shown(
        workdir / "tensorboard", 7, shown, {"optimizer.learning_rate": 0.5, "model.hidden": [3]}, {"reached/test/error": 0.25}
    )
    (file,) = (workdir / "tensorboard").iterdir()
    content = file.read_bytes()
    for expected in (b"PNG", b"test/samples", b"to be", b"optimizer.learning_rate", b"reached/test/error"):
        assert expected in content, expected
    assert b"classes" not in content and b"model.hidden" not in content
