"""experiments.train as a user meets it: killed, stopped, started twice, on a full disk."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dl.errors import UserError
from dl.interop.classifier import load
from dl.training import trace
from dl.training.workdir import read_config
from experiments import train as program
from experiments.evaluate import evaluate
from tests.experiments.digits import get_config as digits
from tests.experiments.programs import (
    CONFIG,
    REPOSITORY,
    checkpoints,
    end,
    kill_after_first_checkpoint,
    lines,
    one_line,
    result,
    same_run,
    start,
    train,
    until,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The workdir of a run from start to end without a stop, and what it printed."""
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    return workdir, train(workdir).stdout


@pytest.fixture
def interruptible():
    """Programs that a test starts hear Ctrl-C, also where the tests themselves run in a shell's background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_what_a_run_leaves_in_its_workdir(undisturbed):
    workdir, printed = undisturbed
    reached = result(workdir)
    keys = {"config", "config_hash", "commit", "versions", "devices", "replicas", "parameters", "wall_seconds", "steps"}
    assert keys | {"params_sha256", "metrics", "reference"} <= set(reached)
    assert reached["steps"] == 60 and reached["replicas"] == 1 and len(reached["params_sha256"]) == 1
    assert reached["parameters"] == 64 * 64 + 64 + 64 * 10 + 10
    assert reached["metrics"]["test"]["error"]["values"] == [reached["metrics"]["test"]["error"]["mean"]]
    assert [(line["step"], line["split"]) for line in lines(workdir) if line["split"] == "test"] == [
        (s, "test") for s in (20, 40, 60)
    ]
    assert [line["step"] for line in lines(workdir) if line["split"] == "train"] == list(range(5, 61, 5))
    assert checkpoints(workdir) == [50, 60]
    assert (workdir / "report" / "index.html").stat().st_size > 10_000
    assert list((workdir / "tensorboard").iterdir())
    assert f"test error: {100 * reached['metrics']['test']['error']['mean']:.2f} %" in printed
    assert str(workdir / "report" / "index.html") in printed


def test_the_same_command_twice_reaches_the_same(undisturbed, workdir):
    train(workdir)
    same_run(workdir, undisturbed[0])
    train(workdir)  # once more, in the same place: nothing is left to do
    same_run(workdir, undisturbed[0])


def test_killed_at_random_moments(undisturbed, workdir):
    rng = random.Random(0)
    kill_after_first_checkpoint(workdir)
    for _ in range(2):
        before = checkpoints(workdir)
        process = start("train", f"--config={CONFIG}", f"--workdir={workdir}", stdout=subprocess.DEVNULL)
        until(lambda before=before: checkpoints(workdir) != before, process)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
    resumed = train(workdir)
    assert "resumed at step" in resumed.stdout
    same_run(workdir, undisturbed[0])


def test_killed_while_a_checkpoint_is_being_written(undisturbed, workdir):
    process = start("train", f"--config={CONFIG}", f"--workdir={workdir}", stdout=subprocess.DEVNULL)
    until(lambda: len(list(workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))) > 0, process)
    process.kill()
    process.communicate()
    train(workdir)
    same_run(workdir, undisturbed[0])


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 75), (signal.SIGINT, "Ctrl-C", 130)])
def test_a_signal_saves_and_the_same_command_goes_on(number, name, code, undisturbed, workdir, interruptible):
    process = start("train", f"--config={CONFIG}", f"--workdir={workdir}")
    until(lambda: (workdir / "metrics.jsonl").exists() and '"step": 10' in (workdir / "metrics.jsonl").read_text(), process)
    process.send_signal(number)
    stopped = end(process)
    assert stopped.returncode == code  # 75 is EX_TEMPFAIL: start the same command again
    assert stopped.stderr == ("stopping after this step; Ctrl-C again ends at once.\n" if name == "Ctrl-C" else "")
    step = checkpoints(workdir)[-1]
    assert f"stopped by {name}, saved at step {step}: start the same command again to go on." in stopped.stdout
    assert 10 <= step < 60 and not (workdir / "result.json").exists()
    train(workdir)
    same_run(workdir, undisturbed[0])


def test_a_second_ctrl_c_ends_a_step_that_takes_for_ever(interruptible):
    """The main thread is inside of JAX, where no handler of Python's runs."""
    script = """if True:
        import jax
        from dl.training.preemption import watch
        with watch():
            print("ready", flush=True)
            jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, lambda x: (x + 1) % 1000, x))(0).block_until_ready()
    """
    process = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "stopping after this step; Ctrl-C again ends at once.\n"
    process.send_signal(signal.SIGINT)
    ended = end(process, timeout=20)
    assert (ended.returncode, ended.stderr) == (130, "stopped by Ctrl-C: the same command goes on from the last checkpoint.\n")


def listens(process) -> bool:
    """Whether the program, which begins with that, has set its handlers: Python sets none for SIGTERM."""
    (caught,) = (line.split()[1] for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, to see when a process has a handler")
@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 75), (signal.SIGINT, "Ctrl-C", 130)])
def test_a_signal_before_the_first_step_is_one_line(number, name, code, workdir, interruptible):
    for seconds in (0, 0.5):
        process = start("train", f"--config={CONFIG}", f"--workdir={workdir}", "--config.steps=1000000", fresh=True)
        until(lambda process=process: listens(process), process)
        time.sleep(seconds)
        process.send_signal(number)
        ended = end(process, timeout=20)
        assert ended.returncode == code and ended.stdout == ""
        line = f"stopped by {name}: a training goes on from its last checkpoint when the same command is started again.\n"
        assert ended.stderr == line


@pytest.mark.slow
def test_no_ctrl_c_of_twenty_is_swallowed(undisturbed, tmp_path, interruptible):
    """At random moments, from the first import to the report."""
    rng = random.Random(1)
    begin = time.monotonic()
    train(tmp_path / "timed")
    whole, stopped, number = time.monotonic() - begin, 0, 0
    while stopped < 20:
        workdir, number = tmp_path / str(number), number + 1
        while not (workdir / "result.json").exists() and stopped < 20:
            process = start("train", f"--config={CONFIG}", f"--workdir={workdir}", fresh=True)
            until(lambda process=process: listens(process), process)
            time.sleep(rng.uniform(0, whole))
            process.send_signal(signal.SIGINT)
            ended = end(process, timeout=120)
            assert "Traceback" not in ended.stderr and "Fatal" not in ended.stderr
            assert ended.returncode == 130 or (ended.returncode == 0 and (workdir / "result.json").exists())
            stopped += ended.returncode == 130
        train(workdir)
        same_run(workdir, undisturbed[0])


def test_a_damaged_checkpoint_is_named_and_the_end_is_the_same(undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    (workdir / "result.json").unlink()
    data = max((workdir / "checkpoints" / "60").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data.write_bytes(data.read_bytes()[:100])
    resumed = train(workdir)
    assert "resumed at step 50" in resumed.stdout
    assert resumed.stderr.startswith(f"warning: the checkpoint {workdir / 'checkpoints' / '60'} is damaged")
    same_run(workdir, undisturbed[0])


def test_another_configuration_is_refused_unless_told_otherwise(undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    flags = (f"--config={CONFIG}", f"--workdir={workdir}", "--config.log_every=10", "--config.ema=0.8")
    line = one_line(end(start("train", *flags)))
    assert "another configuration (ema: 0.9 -> 0.8; log_every: 5 -> 10)" in line and "--override_config" in line
    same_run(workdir, undisturbed[0])  # nothing was touched
    line = one_line(end(start("train", *flags, "--override_config")))  # the run is finished
    assert "no step is left to take" in line and "ema: 0.9 -> 0.8" in line
    same_run(workdir, undisturbed[0])
    ended = end(start("train", *flags, "--override_config", "--config.steps=70"))
    assert ended.returncode == 0, ended.stderr
    reached = result(workdir)
    assert reached["config"]["log_every"] == 10 and reached["steps"] == 70
    assert [part["step"] for part in reached["history"]] == [0, 60]
    assert reached["history"][1]["differences"] == ["ema: 0.9 -> 0.8", "log_every: 5 -> 10", "steps: 60 -> 70"]
    assert reached["history"][0]["config_hash"] == result(undisturbed[0])["config_hash"] != reached["config_hash"]


def test_relative_paths_as_a_user_types_them(undisturbed, tmp_path, monkeypatch):
    shutil.copytree(undisturbed[0], tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    found = load("run")
    assert found.name == "mlp" and found.num_classes == 10
    config = read_config(Path("run"))
    reached = result(undisturbed[0])["metrics"]["test"]["error"]["values"]
    assert evaluate(config, Path("run"), "test", "latest", True)[1]["error"] == reached
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    given = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True}
    ended = subprocess.run([sys.executable, "-m", "experiments.inspect", "--workdir=run", "--methods=gradients"], **given)
    assert ended.returncode == 0, ended.stderr


def test_a_trace_of_some_steps(workdir):
    config = digits()
    config.steps = 10
    config.mesh.update(replica=1, data=1)
    program.begin(config, workdir, None, None, profile=trace.parse("5:10"))
    assert list((workdir / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize(
    ("given", "said"),
    [("5", "write FROM:TO"), ("5:5", "write FROM:TO"), ("-1:5", "write"), ("²:5", "write"), ("60:70", "the run has 60 steps")],
)
def test_steps_to_trace_that_are_none(given, said, workdir):
    with pytest.raises(UserError, match=rf"^--profile={given}: .*{said}") as error:
        if (steps := trace.parse(given)) is not None:
            program.begin(digits(), workdir, None, None, profile=steps)
    assert "\n" not in str(error.value) and not (workdir / "checkpoints").exists()


def test_two_runs_cannot_write_to_one_workdir(workdir):
    first = start("train", f"--config={CONFIG}", f"--workdir={workdir}", "--config.steps=100000", stdout=subprocess.DEVNULL)
    until(lambda: (workdir / "metrics.jsonl").exists(), first)
    second = end(start("train", f"--config={CONFIG}", f"--workdir={workdir}", "--config.steps=100000"))
    first.kill()
    first.communicate()
    assert "another run is writing to --workdir" in one_line(second)


def disk_of(size: int, folder) -> None:
    """Mounts a small disk, or skips."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")


def size_of(folder) -> int:
    """Bytes on a disk whose blocks have 4096."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_is_one_line_and_what_was_saved_is_intact(undisturbed, tmp_path):
    saved = size_of(undisturbed[0] / "checkpoints" / "50")
    disk = tmp_path / "disk"
    disk_of(int(2.5 * saved) + 200_000, disk)  # two checkpoints, the half of a third, and the small files
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(130_000))
        line = one_line(end(start("train", f"--config={CONFIG}", f"--workdir={disk / 'run'}")))
        assert "No space left on device" in line and "intact" in line and "start the same command again" in line
        kept = checkpoints(disk / "run")
        assert kept
        workdir = tmp_path / "copy"
        shutil.copytree(disk / "run", workdir)
        resumed = train(workdir)
        assert f"resumed at step {kept[-1]}" in resumed.stdout
        same_run(workdir, undisturbed[0])
    finally:
        subprocess.run(["umount", disk], check=True)


def test_files_that_may_not_grow_are_one_line(workdir):
    """What a quota does, without the right to mount: no file may be larger than 30 kB, which a checkpoint's are."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    flags = (f"--config={CONFIG}", f"--workdir={workdir}", "--config.steps=10")
    line = one_line(end(start("train", *flags, env=environment, shell="ulimit -f 30")))  # blocks of 512 bytes, or of 1024
    assert line.startswith(f"could not write a checkpoint in {workdir}: File too large; no checkpoint was saved yet")


def test_a_workdir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    line = one_line(end(start("train", f"--config={CONFIG}", f"--workdir={tmp_path / 'file' / 'run'}")))
    assert line == f"cannot write to --workdir={tmp_path / 'file' / 'run'}: Not a directory. Give a folder that can be written."


def test_a_read_only_workdir(undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk_of(10_000_000, disk)
    try:
        shutil.copytree(undisturbed[0], disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        line = one_line(end(start("train", f"--config={CONFIG}", f"--workdir={disk / 'run'}")))
        assert "Read-only file system" in line
    finally:
        subprocess.run(["umount", disk], check=True)


def test_nan_in_the_data_stops_the_run(tmp_path, workdir):
    rng = np.random.default_rng(0)
    images = rng.random((320, 8, 8), np.float32)
    images[7, 2, 2] = np.nan
    np.savez(tmp_path / "data.npz", image=images, label=np.arange(320) % 10)
    flags = (
        "--config.dataset.name=npz",
        f"--config.dataset.path={tmp_path / 'data.npz'}",
        "--config.dataset.splits.test=train",
    )
    line = one_line(end(start("train", f"--config={CONFIG}", f"--workdir={workdir}", *flags)))
    assert line.startswith("stopped at step ") and "the metric 'loss' of replica 0 is nan" in line
    step = int(line.split()[3].rstrip(":"))
    assert 1 <= step <= 10  # an epoch has ten steps
    assert checkpoints(workdir) == []


def test_mixed_precision_and_replicas_by_flag(workdir):
    train(workdir, "--config.dtype=bfloat16", "--config.replicas=2", "--config.steps=20")
    reached = result(workdir)
    assert len(set(reached["params_sha256"])) == 2 and len(reached["metrics"]["test"]["error"]["values"]) == 2
