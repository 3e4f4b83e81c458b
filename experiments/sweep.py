r"""Runs a grid of settings, as few programs as possible, and puts what they reached into one table.

    python -m experiments.sweep --config=configs/digits_mlp.py --workdir=sweeps/mlp --grid='batch_size=32,64;seed=0,1,2'
    python -m experiments.sweep --config=configs/digits_mlp.py --workdir=sweeps/rate --grid='optimizer.learning_rate=0.01,0.1'

Seeds and learning rates run as replicas of one program, at most --max_replicas of them; what else the grid varies runs one
program after another. The same command again runs what is missing. In DIR: a workdir for each program, as of experiments.train;
table.json, table.md, and index.html, which compares the runs.

Searching, in place of a whole grid, with ranges among the values (optuna chooses; the same command goes on):

    python -m experiments.sweep --config=configs/digits_mlp.py --workdir=sweeps/search --search=tpe --trials=20 \
        --grid='optimizer.learning_rate=log(1e-4,1);batch_size=32,64;seed=0,1' --metric=test/error

Ranges are `log(LOW,HIGH)`, `uniform(...)`, `int(...)` and `logint(...)`. Trials that share all but their rates run in one
program, at most --rates of them; those whose evaluations are worse than the median end early, unless --noprune.

As a job array: `--print_commands` prints a command for each program, each of which can run on a machine of its own (`--job=i`
runs program i of them); afterwards the command without them only makes the table.
"""

import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from dl.errors import Busy, UserError
from dl.signals import EXIT_CODES
from experiments import program

if TYPE_CHECKING:
    from dl.report.sweep import Point
    from dl.training.sweep import Grid, Group

FLAGS = flags.FLAGS
FAILED = "failed.txt"  # in a workdir: why its last start failed
FINISHED, FAILURE = "finished", "failed"  # statuses of a run; the others are those of EXIT_CODES, which end the sweep


def main(argv: list[str]) -> None:
    """Runs the sweep; exit code 1 where a run failed, and that of experiments.train where one was stopped."""
    from dl.training import sweep

    if FLAGS.search:
        status = search(Path(FLAGS.workdir).absolute())
        if status != FINISHED:
            sys.exit(EXIT_CODES.get(status, 1))
        return
    grid = sweep.parse(FLAGS.grid)
    said = sweep.check(FLAGS.config, grid)
    plan = sweep.groups(FLAGS.config, grid, FLAGS.max_replicas)
    if FLAGS.print_commands:
        print("\n".join(commands(len(plan))))
        return
    program.tell(said)
    if FLAGS.job is not None and FLAGS.job >= len(plan):
        raise UserError(f"--job={FLAGS.job}: this grid has the jobs 0 to {len(plan) - 1}.")
    program.start_jax()
    status = run(FLAGS.config, grid, plan, Path(FLAGS.workdir).absolute(), FLAGS.data_dir, FLAGS.manual_dir, FLAGS.job)
    if status != FINISHED:
        sys.exit(EXIT_CODES.get(status, 1))


def search(workdir: Path) -> str:
    """Searches as the flags say; returns what `run` does.

    Raises:
        UserError: flags that do not go together.
    """
    if FLAGS.print_commands or FLAGS.job is not None:
        raise UserError("a search decides by what was reached: leave out --print_commands and --job.")
    if not FLAGS.trials:
        raise UserError("how many trials? Give --trials=N.")
    program.start_jax()
    from experiments import searching

    given = (FLAGS.search, FLAGS.trials, FLAGS.metric, FLAGS.rates, FLAGS.prune, FLAGS.data_dir, FLAGS.manual_dir)
    return searching.run(FLAGS.config, FLAGS.grid, workdir, *given)


def commands(count: int) -> list[str]:
    """One command line for each program of the sweep, made from this program's own."""
    own = [a for a in sys.argv[1:] if not a.lstrip("-").startswith("print_commands")]
    return [shlex.join(["python", "-m", "experiments.sweep", *own, f"--job={job}"]) for job in range(count)]


def run(
    config: Any, grid: "Grid", plan: "list[Group]", workdir: Path, data_dir: str | None, manual_dir: str | None, job: int | None
) -> str:
    """Runs what is not finished yet (of program `job` alone, if given), then writes and prints the table.

    Returns:
        "SIGTERM" or "Ctrl-C" where one of them stopped the sweep, else "failed" where a run failed, else "finished".

    Raises:
        Busy: another sweep, or a run of its own, is writing to a folder of this one.
        UserError: a folder holds a run of another configuration, a file in it is damaged, or it cannot be written.
    """
    from dl.training import sweep

    with sweep.alone(workdir, job):
        _check_folders(config, grid, plan, workdir)
        statuses: list[str] = []
        for number, group in enumerate(plan):
            if job in (None, number) and worst(statuses) not in EXIT_CODES:
                print(f"[{number + 1}/{len(plan)}]", end=" ")
                statuses.append(_run_group(config, grid, group, workdir, data_dir, manual_dir))
        _tabulate(grid, plan, workdir)
    return worst(statuses)


def worst(statuses: Sequence[str]) -> str:
    """What stopped a run, else "failed" where one failed, else "finished"."""
    return next((status for status in (*EXIT_CODES, FAILURE) if status in statuses), FINISHED)


def _tabulate(grid: "Grid", plan: "list[Group]", workdir: Path) -> None:
    """Writes and prints the table."""
    from dl.report import console
    from dl.report import sweep as results
    from dl.training import sweep

    table = results.rows([point for group in plan for point in _points(grid, group, workdir)])
    names = sweep.short_names(grid)
    page = results.write(workdir, table, names)
    header, lines = results.cells(table, names)
    console.show(console.Columns("Mean ± standard deviation over the seeds, at the last step", header, lines))
    print(f"table: {workdir / 'table.md'}" + (f"\nreport: {page}" if page else ""))


def _run_group(config: Any, grid: "Grid", group: "Group", workdir: Path, data_dir: str | None, manual_dir: str | None) -> str:
    """Trains a group, and where it fails each of its runs alone: one that diverges stops its whole program.

    Returns:
        "finished", "failed", or what stopped it.
    """
    from dl.training import sweep

    folder, parts = workdir / sweep.folder_name(group, grid), _started_parts(grid, group, workdir)
    print(f"{folder.name}: {len(group.rates) * len(group.seeds)} in one program", flush=True)
    if (folder / "result.json").exists():
        print("finished already")
        return FINISHED
    if not parts:
        status = train(sweep.configure(config, group), folder, data_dir, manual_dir)
        parts = sweep.split(group)
        if status != FAILURE or len(parts) == 1 or not (folder / "metrics.jsonl").exists():
            return status
        print("now its runs one by one", flush=True)
    statuses: list[str] = []
    for part in parts:
        if worst(statuses) not in EXIT_CODES:
            statuses.append(_run_group(config, grid, part, workdir, data_dir, manual_dir))
    return worst(statuses)


def train(config: Any, folder: Path, data_dir: str | None, manual_dir: str | None, prune: Any = None) -> str:
    """Trains one program. A failure of whatever kind is printed and kept in the folder, and the sweep goes on.

    `prune`: see `dl.training.run.begin`.

    Raises:
        Busy: somebody else is training it: that is no failure.
        UserError: the folder can't be written.
    """
    import jax

    from dl.training.run import begin

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILED).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Give another --workdir, or free some space.") from error
    try:
        return begin(config, folder, data_dir, manual_dir, prune=prune)[0] or FINISHED
    except Busy:
        raise
    except UserError as error:
        message = " ".join(str(error).split())
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    finally:
        jax.clear_caches()  # the programs of one group are of no use to the next
    print(f"failed: {message}", file=sys.stderr, flush=True)
    try:
        (folder / FAILED).write_text(message + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Give another --workdir, or free some space.") from error
    return FAILURE


def _started_parts(grid: "Grid", group: "Group", workdir: Path) -> "list[Group]":
    """The parts of a group if they were begun one by one, else none."""
    from dl.training import sweep

    parts = sweep.split(group)
    begun = len(parts) > 1 and any((workdir / sweep.folder_name(part, grid)).exists() for part in parts)
    return parts if begun else []


def _leaves(grid: "Grid", group: "Group", workdir: Path) -> "list[Group]":
    """The group, or the parts in which it was run."""
    from dl.training import sweep

    finished = (workdir / sweep.folder_name(group, grid) / "result.json").exists()
    parts = [] if finished else _started_parts(grid, group, workdir)
    return [leaf for part in parts for leaf in _leaves(grid, part, workdir)] or [group]


def _points(grid: "Grid", group: "Group", workdir: Path) -> "list[Point]":
    """What the table needs to know of each rate of a group."""
    from dl.files import read_text
    from dl.report.sweep import Point
    from dl.training import sweep

    points = []
    for leaf in _leaves(grid, group, workdir):
        folder = workdir / sweep.folder_name(leaf, grid)
        failed = folder / FAILED
        status = "finished" if (folder / "result.json").exists() else "failed" if failed.exists() else "not run"
        message = read_text(failed).strip() if status == "failed" else ""
        for i, rate in enumerate(leaf.rates):
            both = {**leaf.settings, **rate}
            settings = {key: both[key] for key in grid if key in both}
            points.append(Point(settings, leaf.seeds, folder, i * len(leaf.seeds), status, message))
    return points


def _check_folders(config: Any, grid: "Grid", plan: "list[Group]", workdir: Path) -> None:
    """Raises UserError where a folder holds a run of another configuration, finished or not."""
    from dl.config import differences, flatten
    from dl.training import sweep
    from dl.training.workdir import FREE, read_config

    leaves = [leaf for group in plan for leaf in _leaves(grid, group, workdir)]
    for group in (*plan, *leaves):
        folder = workdir / sweep.folder_name(group, grid)
        if (folder / "config.json").exists():
            changed = differences(flatten(read_config(folder)), flatten(sweep.configure(config, group)))
            changed = [line for line in changed if not line.startswith(FREE)]
            if changed:
                raise UserError(
                    f"{folder} holds a run of another configuration ({'; '.join(changed)}): give another --workdir."
                )


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the sweep.", required=True)
    flags.DEFINE_string("grid", None, "KEY=VALUE,VALUE,...;KEY=VALUE,... of the configuration's keys.", required=True)
    flags.DEFINE_integer("max_replicas", 8, "Replicas in one program at most.", lower_bound=1)
    flags.DEFINE_enum("search", None, ["random", "tpe"], "Search the grid in place of running all of it.")
    flags.DEFINE_integer("trials", 0, "Trials of a search, those of earlier starts among them.", lower_bound=0)
    flags.DEFINE_string("metric", "", "SPLIT/NAME that is searched by; by default config.best.metric or the reference's.")
    flags.DEFINE_integer("rates", 4, "Learning rates that a search tries in one program, at most.", lower_bound=1)
    flags.DEFINE_bool("prune", True, "End trials of a search early that are worse than the median at an evaluation.")
    flags.DEFINE_bool("print_commands", False, "Print a command for each program, and run none.")
    flags.DEFINE_integer("job", None, "Run this program alone, from 0.", lower_bound=0)
    program.run(main)
