r"""Submits a command to a SLURM cluster, or runs it here as a job, through submitit.

    python -m experiments.submit --partition=gpu --gpus=1 --hours=24 \
        -- python -m experiments.train --config=configs/cifar10_resnet20.py --workdir=runs/cifar10_resnet20
    python -m experiments.submit --partition=gpu --nodes=2 --gpus=8 --hours=24 \
        -- python -m experiments.train --config=configs/imagenet_resnet50.py --workdir=runs/resnet50 --manual_dir=archives
    python -m experiments.submit --cluster=local --array \
        -- python -m experiments.sweep --config=configs/digits_mlp.py --workdir=sweeps/mlp --grid='batch_size=32,64'

The folder of the repository must be one that all nodes see; jobs run in it, with the interpreter of this program. `--array`
makes a job of an array of each program of a sweep; afterwards the sweep's own command makes the table. On several nodes there
is a task for each GPU, and the tasks find each other (jax.distributed). A job that is preempted, or whose time is up, saves, is
queued again and goes on; so does one that ends with exit code 75. What jobs print is in --folder. docs/clusters.md tells more,
also of Kubernetes and TPUs.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
PROGRAM = "experiments.sweep"
REQUEUES = 1000  # times that a job whose time is up is queued again


def main(argv: list[str]) -> None:
    """Submits what stands after `--`, and prints the numbers of the jobs."""
    if len(argv) < 2:
        raise UserError("no command given: python -m experiments.submit --hours=24 -- python -m experiments.train ...")
    commands = parts(argv[1:]) if FLAGS.array else [argv[1:]]
    extra = dict(setting(text) for text in FLAGS.slurm)
    jobs = submit(
        commands,
        Path(FLAGS.folder).absolute(),
        FLAGS.cluster,
        nodes=FLAGS.nodes,
        gpus=FLAGS.gpus,
        cpus=FLAGS.cpus,
        memory=FLAGS.memory,
        hours=FLAGS.hours,
        at_once=FLAGS.at_once,
        extra={**({"partition": FLAGS.partition} if FLAGS.partition else {}), **extra},
    )
    for job, command in zip(jobs, commands, strict=True):
        print(f"{job.job_id}  {shlex.join(command)}")
    print(f"logs: {jobs[0].paths.folder}")
    if FLAGS.cluster == "local":
        wait(jobs)


def setting(text: str) -> tuple[str, Any]:
    """`qos=high` as ("qos", "high"); whole numbers as such.

    Raises:
        UserError: another form.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UserError(f"--slurm={text}: give KEY=VALUE, such as qos=high or constraint=a100.")
    return key, int(value) if value.isdigit() else value


def parts(command: Sequence[str]) -> list[list[str]]:
    """The commands of a sweep's programs, as its --print_commands prints them.

    Raises:
        UserError: it is no sweep, or one whose grid is wrong.
    """
    words = list(command)
    if PROGRAM in words[:3]:
        own = words[words.index(PROGRAM) + 1 :]
    elif Path(words[0]).name == "dl-sweep":
        own = words[1:]
    else:
        raise UserError("--array is for a sweep: python -m experiments.submit --array -- python -m experiments.sweep ...")
    done = subprocess.run([sys.executable, "-m", PROGRAM, *own, "--print_commands"], capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().removeprefix("error: ") or "the sweep cannot say of which programs it is made.")
    return [shlex.split(line) for line in done.stdout.splitlines() if line.strip()]


def submit(
    commands: Sequence[Sequence[str]],
    folder: Path,
    cluster: str,
    nodes: int = 1,
    gpus: int = 0,
    cpus: int = 4,
    memory: int = 0,
    hours: float = 24.0,
    at_once: int = 64,
    extra: dict[str, Any] | None = None,
) -> list[Any]:
    """Submits commands, several as one array.

    Args:
        commands: each a program with its arguments; `python` is this interpreter.
        folder: for what the jobs print, and for submitit's files.
        cluster: "slurm" or "local".
        nodes: of a job.
        gpus: of a node; on several nodes there are as many tasks on each.
        cpus: of a task.
        memory: of a node, in GB; 0 is the cluster's default.
        hours: after which the job is queued again.
        at_once: jobs of an array that run at the same time, at most.
        extra: further parameters of submitit's SlurmExecutor, such as `qos`.

    Returns:
        Submitit's jobs.

    Raises:
        UserError: there is no such cluster here, or a parameter that SLURM does not have.
    """
    import submitit

    from dl.data.streaming import LOCAL_PROCESSES
    from experiments.job import Command

    if cluster == "slurm" and shutil.which("srun") is None:
        raise UserError("there is no SLURM here (no srun): log in to its cluster, or take --cluster=local.")
    if cluster == "local" and nodes > 1:
        raise UserError("this machine is one node: take --cluster=slurm, or experiments.launch.")
    tasks = max(gpus, 1) if nodes > 1 else 1  # JAX gives each task of SLURM one of the node's GPUs
    given_up: dict[str, Any] = {"slurm_max_num_timeout": REQUEUES} if cluster == "slurm" else {}
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **given_up)
    given: dict[str, Any] = {"timeout_min": round(60 * hours), "nodes": nodes, "tasks_per_node": tasks, "cpus_per_task": cpus}
    given |= {"gpus_per_node": gpus} if gpus else {}
    given |= {"mem_gb": memory} if memory else {}
    if cluster == "slurm":
        given |= {"slurm_array_parallelism": at_once, "slurm_signal_delay_s": 120, "name": "dl"}
        given |= {f"slurm_{key}": value for key, value in (extra or {}).items()}
    try:
        executor.update_parameters(**given)
    except (NameError, TypeError) as error:
        raise UserError(f"SLURM cannot be asked so: {' '.join(str(error).split())[:200]}") from error
    ready = [Command([sys.executable if w == "python" and not i else w for i, w in enumerate(words)]) for words in commands]
    for command in ready:
        command.environment[LOCAL_PROCESSES] = str(tasks)
    if len(ready) == 1:
        return [executor.submit(ready[0])]
    with executor.batch():
        jobs = [executor.submit(command) for command in ready]
    return jobs


def wait(jobs: Sequence[Any]) -> None:
    """Waits for jobs of this machine.

    Raises:
        UserError: one failed.
    """
    failed = [job for job in jobs if job.exception() is not None]
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} jobs failed; the first one's errors are in {failed[0].paths.stderr}.")


if __name__ == "__main__":
    flags.DEFINE_enum("cluster", "slurm", ["slurm", "local"], "Where; local is this machine.")
    flags.DEFINE_string("folder", "runs/jobs", "Of what jobs print.")
    flags.DEFINE_bool("array", False, "The command is a sweep: a job for each of its programs.")
    flags.DEFINE_integer("nodes", 1, "Of a job.", lower_bound=1)
    flags.DEFINE_integer("gpus", 0, "Of a node.", lower_bound=0)
    flags.DEFINE_integer("cpus", 4, "Of a task.", lower_bound=1)
    flags.DEFINE_integer("memory", 0, "Of a node, in GB; 0 is the cluster's default.", lower_bound=0)
    flags.DEFINE_float("hours", 24.0, "After which a job is queued again.", lower_bound=0.05)
    flags.DEFINE_integer("at_once", 64, "Jobs of an array at the same time, at most.", lower_bound=1)
    flags.DEFINE_string("partition", "", "Of the cluster.")
    flags.DEFINE_multi_string("slurm", [], "KEY=VALUE of sbatch: qos=high, account=..., constraint=a100.")
    program.run(main)
