"""A sweep's replicas are the single runs; what fails or is finished stays out of the way of the rest."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dl.config import base, variants
from dl.errors import UserError
from dl.report import sweep as results
from dl.signals import EXIT_CODES
from dl.training import run as training
from dl.training import sweep
from dl.training.workdir import open_for_writing
from experiments import sweep as program
from experiments.train import train
from tests.experiments.digits import get_config as digits
from tests.experiments.programs import CONFIG, end, until
from tests.experiments.programs import start as start_program

ROOT = Path(__file__).parents[2]
RATE = "optimizer.learning_rate"


@pytest.fixture
def config():
    """Twelve steps of a small perceptron on the embedded digits, on one device."""
    made = base()
    made.update(steps=12, batch_size=32, steps_per_dispatch=4, log_every=4)
    made.model.update(name="mlp", hidden=(8,), activation="relu")
    made.optimizer.update(name="momentum", schedule={"name": "cosine"})
    made.mesh.update(replica=1, data=1)
    return made


def start(config, grid, workdir, limit=8, job=None):
    """Runs the sweep; whether a run failed, and its table."""
    read = sweep.parse(grid)
    sweep.check(config, read)
    status = program.run(config, read, sweep.groups(config, read, limit), workdir, None, None, job)
    return status == program.FAILURE, json.loads((workdir / "table.json").read_text())


def test_a_grid_is_python_literals_or_text():
    grid = sweep.parse(
        "optimizer.learning_rate=0.01, 1e-1;seed=0,1; model.hidden=(128,),(64, 32);model.activation=relu,'a;b,c'"
    )
    assert grid == {
        RATE: (0.01, 0.1),
        "seed": (0, 1),
        "model.hidden": ((128,), (64, 32)),
        "model.activation": ("relu", "a;b,c"),
    }


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "not a key with its values"),
        ("seed", "the part 'seed', which is not"),
        ("seed=0,,1", "the part 'seed=0,,1'"),
        ("seed=0;=1", "the part '=1'"),
        ("seed=0;seed=1", "the key 'seed' twice"),
        ("seed=0,1,0", "'seed' the same value twice"),
        ("optimizer.learning_rat=0.1", 'no such key: optimizer.learning_rat. Did you mean "learning_rate"?'),
        ("optimizer.name=adam,sgd;optimizer.b1=0.5", "--grid with optimizer.name=sgd: the configuration has no such key"),
        ("optimizer.name=adam,sdg", "--grid with optimizer.name=sdg: unknown optimizer 'sdg'"),
        ("model.name=resnet_cifar;model.depth=8,x", "model.depth cannot be 'x'"),
        ("model.name=3", "unknown model '3'"),
        ("deterministic=True,False", "deterministic is no key for the grid"),
        ("optimizer=sgd", "unknown key of the configuration in --grid 'optimizer'"),
        ("batch_size=64,big", "batch_size cannot be 'big'"),
        ("optimizer.learning_rate=high", "learning_rate cannot be 'high'"),
        ("seed=-1", "seeds must not be negative"),
        ("seed=0.5", "seed cannot be 0.5"),
        ("replicas=2,3", "list the seeds"),
    ],
)
def test_bad_grids_are_one_line(config, grid, message):
    with pytest.raises(UserError, match=".*") as error:
        sweep.check(config, sweep.parse(grid))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_name_in_the_grid_takes_its_own_settings(config):
    grid = sweep.parse("model.name=mlp,resnet_cifar;optimizer.name=adam;optimizer.b1=0.5,0.9;optimizer.learning_rate=0.1,1")
    config.optimizer.nesterov = False
    said = sweep.check(config, grid)
    assert [line.partition(", so ")[0] for line in said] == [
        "config.optimizer.name is 'adam'",
        "config.model.name is 'resnet_cifar'",
    ]
    made = [sweep.configure(config, group) for group in sweep.groups(config, grid, 8)]
    assert [(c.model.name, c.optimizer.b1) for c in made] == [(m, b) for m in ("mlp", "resnet_cifar") for b in (0.5, 0.9)]
    assert made[0].model.hidden == (8,) and "hidden" not in made[2].model
    assert all(c.optimizer.name == "adam" and "nesterov" not in c.optimizer and c.replicas == 2 for c in made)
    assert config.optimizer.name == "momentum"


def test_seeds_and_replicas_are_two_ways_to_say_the_same(config):
    config.replicas = 3
    with pytest.raises(UserError, match="not both"):
        sweep.check(config, sweep.parse("seed=0,1"))
    (group,) = sweep.groups(config, sweep.parse("optimizer.learning_rate=0.1,1"), 8)
    assert group.seeds == (0, 1, 2) and sweep.configure(config, group).replicas == 6


def test_as_few_programs_as_possible(config):
    grid = sweep.parse("seed=5,0,1,2;optimizer.learning_rate=0.1,0.2,0.3;batch_size=32,64")
    groups = sweep.groups(config, grid, limit=6)
    assert [(g.settings["batch_size"], [r[RATE] for r in g.rates], g.seeds) for g in groups[:3]] == [
        (32, [0.1, 0.2], (0, 1, 2)),
        (32, [0.3], (0, 1, 2)),
        (32, [0.1, 0.2, 0.3], (5,)),
    ]
    assert len(groups) == 6 and len({sweep.folder_name(group, grid) for group in groups}) == 6
    assert {len(g.seeds) for g in sweep.groups(config, sweep.parse("seed=0,1,2,3,4"), limit=2)} == {1, 2}
    made = sweep.configure(config, groups[0])
    assert variants(made) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert (made.batch_size, made.replicas, made.optimizer.learning_rate) == (32, 6, (0.1, 0.2))


def test_rates_stay_apart_where_the_mean_over_the_replicas_decides(config):
    config.early_stopping.update(metric="test/error", patience=3)
    groups = sweep.groups(config, sweep.parse("optimizer.learning_rate=0.1,0.2;seed=0,1"), 8)
    assert [len(group.rates) for group in groups] == [1, 1] and groups[0].seeds == (0, 1)


def test_folder_names_are_readable_and_never_shared():
    grid = sweep.parse("model.hidden=(8,),(8, 8);model.activation=a b,a_b;seed=0,1")
    groups = sweep.groups(base(), grid, 8)
    names = [sweep.folder_name(group, grid) for group in groups]
    assert len(set(names)) == 4
    assert all("/" not in name and " " not in name and "seed=0-1" in name for name in names)


def test_a_value_of_bytes_that_are_not_utf8_names_a_folder():
    grid = sweep.parse("dataset.path=caf\udce9,caf\udce8")
    names = [sweep.folder_name(group, grid) for group in sweep.groups(base(), grid, 8)]
    assert len(set(names)) == 2 and all(name.startswith("path=caf-") for name in names)


def test_a_replica_of_a_sweep_is_the_single_run(config, tmp_path):
    """Bit for bit, with its own rate under a schedule and its own seed, and its numbers alone in its row."""
    failed, table = start(config, "optimizer.learning_rate=0.02,0.3;seed=0,1", tmp_path / "sweep")
    assert not failed
    (folder,) = [path for path in (tmp_path / "sweep").iterdir() if path.is_dir()]
    together = json.loads((folder / "result.json").read_text())
    config.optimizer.learning_rate, config.seed = 0.3, 1
    alone = train(config, tmp_path / "alone", None, None)
    assert {name: known["better"] for name, known in alone["described"].items()} == {"loss": "lower", "error": "lower"}
    assert together["params_sha256"][3] == alone["params_sha256"][0]
    assert [(row["settings"], row["seeds"]) for row in table] == [({RATE: 0.02}, [0, 1]), ({RATE: 0.3}, [0, 1])]
    assert table[1]["metrics"]["test"]["loss"]["values"][1] == alone["metrics"]["test"]["loss"]["mean"]
    assert len(set(together["params_sha256"])) == 4


def test_the_table_and_the_page(config, tmp_path, capsys):
    failed, table = start(config, "batch_size=16;seed=0,1,7", tmp_path)
    assert not failed and len(table) == 1
    assert (table[0]["settings"], table[0]["seeds"]) == ({"batch_size": 16}, [0, 1, 7])
    values = table[0]["metrics"]["test"]["error"]["values"]
    assert table[0]["metrics"]["test"]["error"]["mean"] == pytest.approx(sum(values) / 3)
    markdown = (tmp_path / "table.md").read_text().splitlines()
    assert markdown[0].startswith("| batch_size | seeds | test error |") and len(markdown) == 3
    page = (tmp_path / "index.html").read_text()
    assert "batch_size=16, seed=0-1" in page and "batch_size=16, seed=7" in page
    printed = capsys.readouterr().out
    assert "±" in printed and str(tmp_path / "table.md") in printed


def test_one_that_diverges_does_not_take_the_others_with_it(config, tmp_path, capsys):
    """A NaN stops its whole program; its runs are then run one by one, and again only where they are missing."""
    grid = "optimizer.learning_rate=0.1,1e30"
    config.optimizer.update(name="sgd", schedule={"name": "constant"})
    failed, table = start(config, grid, tmp_path)
    assert failed and [row["status"] for row in table] == ["finished", "failed"]
    assert "Lower the learning rate" in table[1]["message"]
    assert "failed: stopped at step" in capsys.readouterr().err
    finished = tmp_path / "learning_rate=0.1" / "result.json"
    before = os.stat(finished).st_mtime_ns
    assert start(config, grid, tmp_path)[0]
    assert os.stat(finished).st_mtime_ns == before
    assert "in one program\nfinished already" in capsys.readouterr().out


def test_what_stops_a_run_stops_the_sweep(config, tmp_path, monkeypatch):
    """Exit codes are those of experiments.train."""
    plan = sweep.groups(config, sweep.parse("batch_size=16,32"), 8)

    def run():
        return program.run(config, sweep.parse("batch_size=16,32"), plan, tmp_path, None, None, None)

    for name in ("SIGTERM", "Ctrl-C"):
        monkeypatch.setattr(training, "begin", lambda *given, name=name, **_: (name, None))
        assert run() == name and EXIT_CODES[name] > 1
        table = json.loads((tmp_path / "table.json").read_text())
        assert [row["status"] for row in table] == ["not run", "not run"]


def test_a_sweep_that_sigterm_stops_says_so_and_goes_on(tmp_path):
    command = [f"--config={CONFIG}", f"--workdir={tmp_path}", "--grid=batch_size=16,32"]
    process = start_program("sweep", *command)
    until(lambda: len(list(tmp_path.glob("*/checkpoints/10"))) > 0, process)
    process.send_signal(signal.SIGTERM)
    stopped = end(process)
    assert stopped.returncode == 75 and "stopped by SIGTERM, saved at step" in stopped.stdout, stopped.stderr
    failed, table = start(digits(), "batch_size=16,32", tmp_path)
    assert not failed and [row["status"] for row in table] == ["finished", "finished"]


def test_one_job_of_several(config, tmp_path):
    failed, table = start(config, "batch_size=16,32", tmp_path, job=1)
    assert not failed and [row["status"] for row in table] == ["not run", "finished"]
    failed, table = start(config, "batch_size=16,32", tmp_path)
    assert not failed and [row["status"] for row in table] == ["finished", "finished"]
    assert [row["settings"]["batch_size"] for row in table] == [16, 32]
    config.steps = 16
    with pytest.raises(UserError, match="another configuration.*steps: 12 -> 16"):
        start(config, "batch_size=16,32", tmp_path)


def test_two_sweeps_of_one_folder_are_refused(config, tmp_path):
    """In one line, and nothing is trained; jobs of one sweep go beside each other, each of them once."""
    with (
        sweep.alone(tmp_path),
        pytest.raises(UserError, match=r"^another sweep is writing to --workdir=.*: wait for it") as error,
    ):
        start(config, "batch_size=16", tmp_path)
    assert "\n" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == [".lock"]
    with sweep.alone(tmp_path, 0), sweep.alone(tmp_path, 1):
        with pytest.raises(UserError, match="another --job=1 is writing"), sweep.alone(tmp_path, 1):
            pass
        with pytest.raises(UserError, match="another sweep is writing"), sweep.alone(tmp_path):
            pass
    with sweep.alone(tmp_path), pytest.raises(UserError, match="another sweep is writing"), sweep.alone(tmp_path, 0):
        pass


def test_a_run_that_somebody_else_is_training_has_not_failed(config, tmp_path):
    """It is not begun again, and neither are its parts."""
    grid = sweep.parse("optimizer.learning_rate=0.1,0.2")
    (group,) = sweep.groups(config, grid, 8)
    folder = tmp_path / sweep.folder_name(group, grid)
    with open_for_writing(folder, sweep.configure(config, group), override=False):
        (folder / "metrics.jsonl").write_text("")
        with pytest.raises(UserError, match="another run is writing to"):
            program.run(config, grid, [group], tmp_path, None, None, None)
    assert not (folder / "failed.txt").exists()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


DAMAGED = {
    "result.json, cut": ("result.json", '{"metrics": {"te'),
    "result.json, empty": ("result.json", ""),
    "result.json, a list": ("result.json", "[]"),
    "result.json, of fewer replicas": ("result.json", '{"metrics": {"test": {"error": [0.5, 0.5]}}}'),
    "result.json, a folder": ("result.json", None),
    "metrics.jsonl, damaged": ("metrics.jsonl", "abc\n"),
    "failed.txt, of bytes": ("failed.txt", b"\xff\xfe"),
}


@pytest.mark.parametrize(("name", "content"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_in_a_sweep_is_named(config, tmp_path, name, content):
    grid = sweep.parse("seed=0,1,2")
    (group,) = sweep.groups(config, grid, 8)
    folder = tmp_path / sweep.folder_name(group, grid)
    folder.mkdir()
    if name != "failed.txt":
        (folder / "result.json").write_text('{"metrics": {"test": {"error": [0.5, 0.5, 0.5]}}}')
        (folder / name).unlink(missing_ok=True)
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        results.rows(program._points(grid, group, tmp_path))
    assert str(folder) in str(error.value) and "\n" not in str(error.value)
    assert name == "failed.txt" or "replicas" in str(error.value) or str(folder / name) in str(error.value)


def test_the_table_is_json_and_markdown_whatever_was_measured(config, tmp_path):
    finished = results.Point({"model.hidden": (8,)}, (0, 1), tmp_path, 0, "finished")
    failed = finished._replace(seeds=(2,), status="failed", message="it | was\n<b>")
    (tmp_path / "result.json").write_text('{"metrics": {"test": {"error": [NaN, Infinity]}}}')
    results.write(tmp_path, results.rows([finished, failed]), {"model.hidden": "hidden"})

    def never(constant):
        raise AssertionError(constant)

    (table,) = json.loads((tmp_path / "table.json").read_text(), parse_constant=never)
    assert table["metrics"]["test"]["error"] == {"mean": None, "std": None, "values": [None, None]}
    assert (tmp_path / "table.md").read_text().splitlines()[2].endswith("| failed: it \\| was &lt;b> |")


def test_a_setting_that_does_not_exist_fails_alone(config, tmp_path):
    """And at once: what did not begin to train is not tried again seed by seed."""
    failed, table = start(config, "model.activation=relu,relo;seed=0,1", tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
    assert failed and [row["status"] for row in table] == ["finished", "failed"]
    assert "unknown activation 'relo'" in table[1]["message"]


def test_the_program_prints_a_command_for_each_job(tmp_path):
    flags = ["--config=configs/digits_mlp.py:smoke", f"--workdir={tmp_path}", "--grid=batch_size=16,32;seed=0,1"]
    command = [sys.executable, "-m", "experiments.sweep", *flags, "--print_commands"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["--job=0", "--job=1"]
    assert "'--grid=batch_size=16,32;seed=0,1'" in lines[0] and "print_commands" not in lines[0]
    wrong = subprocess.run([*command, "--job=2", "--grid=sed=1"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith(
        'error: --grid: the configuration has no such key: sed. Did you mean "seed"?'
    )
