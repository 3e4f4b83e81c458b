"""One page for a run, or for several side by side.

    python -m experiments.report --workdir=runs/lenet5                        writes runs/lenet5/report/index.html
    python -m experiments.report runs/lenet5 runs/mnist --out=both.html       writes one page that compares the runs

Reads only what the runs left in their workdirs: neither JAX nor the dataset is needed, and a run may still be going on.
"""

from pathlib import Path

from absl import flags

from dl import report
from dl.errors import UserError
from experiments.program import run

FLAGS = flags.FLAGS
COMPARISON = Path("runs", "comparison", "index.html")  # where git does not look


def main(argv: list[str]) -> None:
    """Writes the page and prints where it is."""
    print(write([*FLAGS.workdir, *argv[1:]], FLAGS.out))


def write(workdirs: list[str], out: str = "") -> Path:
    """The page of one run, or of several side by side; `out` is the file, by default in the run or `COMPARISON`.

    Raises:
        UserError: no workdir given, or one that holds no run.
    """
    if not workdirs:
        raise UserError("no run given: python -m experiments.report --workdir=DIR, several of them for a comparison.")
    if len(workdirs) == 1:
        return report.write(workdirs[0], out or None)
    return report.comparison.write(workdirs, out or COMPARISON)


if __name__ == "__main__":
    flags.DEFINE_multi_string("workdir", [], "Folder of a run; several for a comparison. May also be given without the flag.")
    flags.DEFINE_string(
        "out", "", f"The HTML file to write; by default DIR/report/index.html, or {COMPARISON} for several runs."
    )
    run(main)
