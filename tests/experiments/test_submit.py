"""Jobs: what sbatch is told, and that a job that must go is started again."""

import os
import re
import sys

import pytest

from dl.errors import UserError
from experiments import submit
from experiments.job import Command

SWEEP = ["python", "-m", "experiments.sweep", "--config=configs/digits_mlp.py", "--workdir=sweeps/mlp"]
AGAIN = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0; "
AGAIN += "p.write_text('x' * (n + 1)); sys.exit(0 if n else 75)"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster that takes every job and runs none; gives what sbatch was told."""
    for name, script in (("srun", "exit 0"), ("sbatch", f'cp "$1" {tmp_path}/told; echo Submitted batch job 12')):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "told"


def told(path):
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", path.read_text(), re.MULTILINE))


def test_a_job_on_several_nodes_has_a_task_for_each_gpu(slurm, tmp_path):
    jobs = submit.submit(
        [["python", "x.py"]], tmp_path / "jobs", "slurm", nodes=2, gpus=8, hours=1.5, extra={"partition": "gpu", "qos": "high"}
    )
    flags = told(slurm)
    assert [job.job_id for job in jobs] == ["12"]
    assert (flags["nodes"], flags["ntasks-per-node"], flags["gpus-per-node"], flags["time"]) == ("2", "8", "8", "90")
    assert (flags["partition"], flags["qos"], flags["signal"]) == ("gpu", "high", "USR2@120")


def test_a_job_on_one_node_is_one_task_that_sees_all_its_gpus(slurm, tmp_path):
    submit.submit([["python", "x.py"]], tmp_path / "jobs", "slurm", gpus=4)
    assert told(slurm)["ntasks-per-node"] == "1" and told(slurm)["gpus-per-node"] == "4"
    with pytest.raises(UserError, match="SLURM cannot be asked so"):
        submit.submit([["python", "x.py"]], tmp_path / "jobs", "slurm", extra={"quality": 1})


def test_a_sweep_is_an_array(slurm, tmp_path):
    commands = submit.parts([*SWEEP, "--grid=batch_size=32,64,128"])
    assert [command[-1] for command in commands] == ["--job=0", "--job=1", "--job=2"]
    assert all(command[: len(SWEEP)] == SWEEP for command in commands)
    jobs = submit.submit(commands, tmp_path / "jobs", "slurm", at_once=2)
    assert told(slurm)["array"] == "0-2%2" and [job.job_id for job in jobs] == ["12_0", "12_1", "12_2"]
    with pytest.raises(UserError, match="--array is for a sweep"):
        submit.parts(["python", "-m", "experiments.train"])
    with pytest.raises(UserError, match="the part 'seed', which is not a key"):
        submit.parts([*SWEEP, "--grid=seed"])


def test_no_cluster_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="no SLURM here"):
        submit.submit([["python"]], tmp_path, "slurm")
    with pytest.raises(UserError, match="one node"):
        submit.submit([["python"]], tmp_path, "local", nodes=2)
    with pytest.raises(UserError, match="KEY=VALUE"):
        submit.setting("qos")
    assert submit.setting("mem=3") == ("mem", 3)


def test_exit_code_75_starts_a_job_again_and_another_one_fails_it(tmp_path):
    count = tmp_path / "count"
    jobs = submit.submit(
        [["python", "-c", AGAIN, str(count)], ["python", "-c", "import sys; print('out'); sys.exit(3)"]],
        tmp_path / "jobs",
        "local",
    )
    assert jobs[0].result() == 0 and count.read_text() == "xx"
    assert "out" in (jobs[1].wait() or jobs[1].stdout())
    with pytest.raises(UserError, match="1 of 2 jobs failed"):
        submit.wait(jobs)


def test_a_command_that_is_told_to_go_has_saved_when_its_successor_is_made(tmp_path):
    """submitit calls `checkpoint` in a handler, while the command runs."""
    import signal
    import threading

    saved = tmp_path / "saved"
    script = (
        "import signal, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), pathlib.Path(sys.argv[1]).write_text('x'), sys.exit(75)))\n"
        "pathlib.Path(sys.argv[1] + '.ready').write_text('')\n"
        "time.sleep(60)\n"
    )
    command, made = Command([sys.executable, "-c", script, str(saved)]), []

    def requeue(number, frame):
        made.append(command.checkpoint())
        assert saved.read_text() == "x"
        raise SystemExit

    def ask():
        while not saved.with_name("saved.ready").exists():
            threading.Event().wait(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        threading.Thread(target=ask).start()
        with pytest.raises(SystemExit):
            command()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert made[0].function.words == command.words
