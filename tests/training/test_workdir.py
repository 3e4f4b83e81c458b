import json

import numpy as np
import pytest

from dl.errors import UserError
from dl.training.workdir import MetricsFile, open_for_writing, read_config, read_metrics, statistics, write_json
from tests.training.tasks import settings


def opened(workdir, override=False, **changes):
    return open_for_writing(workdir, settings(**changes), override)


def test_another_configuration_is_refused_with_the_keys_that_differ(workdir):
    opened(workdir, batch_size=16).close()
    with pytest.raises(UserError, match=r"holds a run of another configuration \(batch_size: 16 -> 32; seed: 0 -> 5\)"):
        opened(workdir, batch_size=32, seed=5)
    assert read_config(workdir).batch_size == 16
    opened(workdir, override=True, batch_size=32).close()
    assert read_config(workdir).batch_size == 32


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
