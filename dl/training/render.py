"""What a task has to show of its evaluations, saved for the report."""

from pathlib import Path

import jax

from dl.report import artifacts
from dl.task import Evaluation, Tree
from dl.training.assembly import Experiment
from dl.training.evaluate import Evaluated


def render_splits(experiment: Experiment, workdir: Path, shown: tuple[Tree, Tree], evaluated: dict[str, Evaluated]) -> None:
    """Renders and saves the artifacts of each evaluated split, of the first replica.

    Args:
        experiment: whose task renders.
        workdir: folder of the run.
        shown: parameters and variables of that replica.
        evaluated: the splits.
    """
    params, variables = shown
    for split, result in evaluated.items():
        batches = experiment.evaluation(split)
        evaluation = Evaluation(result.outputs[0], batches.examples, result.sums[0] if result.sums else {})
        rendered = experiment.task.render(params, variables, evaluation, jax.random.key(experiment.config.seed))
        artifacts.save(workdir, split, rendered)
