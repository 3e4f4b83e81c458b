"""Runs: training one, and reading what it left."""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.api.experiments import configuration
from dl.artifacts import Artifact
from dl.errors import UserError
from dl.files import read_json
from dl.state import TrainState
from dl.task import Task, Tree
from dl.training import run as running
from dl.training.evaluate import Evaluations
from dl.training.restored import Restored, restore
from dl.training.workdir import read_config, read_metrics


@dataclass(frozen=True, eq=False)
class Run:
    """A run in a folder, trained or still training. Everything is read when it is asked for; checkpoints are restored once.

    workdir: its folder.
    which: checkpoint, "latest" or "best".
    replica: which replica's parameters are used.
    data_dir, manual_dir: where its data are; None is where the training found them.
    """

    workdir: Path
    which: str = "latest"
    replica: int = 0
    data_dir: str | None = None
    manual_dir: str | None = None

    @cached_property
    def config(self) -> ConfigDict:
        """Its configuration."""
        return read_config(self.workdir)

    @property
    def result(self) -> dict[str, Any]:
        """`result.json`: what it reached, with commit, versions, devices and times; empty before it has finished."""
        path = self.workdir / "result.json"
        return read_json(path, dict) if path.exists() else {}

    @property
    def metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Split -> metric -> `{"mean", "std", "values"}` at the end, or at the last evaluation before it."""
        result = self.result
        if result:
            return dict(result["metrics"])
        last: dict[str, dict[str, dict[str, Any]]] = {}
        for line in self.history:
            if line["split"] != "train":
                last.setdefault(line["split"], {}).update({k: v for k, v in line.items() if isinstance(v, dict)})
        return last

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, in their order: `step`, `split`, and for each metric its mean, deviation and values."""
        return read_metrics(self.workdir)

    @cached_property
    def restored(self) -> Restored:
        """The experiment and its state at the checkpoint."""
        return restore(copy.deepcopy(self.config), self.workdir, self.which, self.data_dir, self.manual_dir)

    @property
    def task(self) -> Task:
        """Its task: pure functions."""
        return self.restored.experiment.task

    @property
    def step(self) -> int:
        """The step of the checkpoint."""
        return self.restored.step

    @property
    def state(self) -> TrainState:
        """The state there, every array with a leading axis over the replicas."""
        return self.restored.state

    @property
    def parameters(self) -> tuple[Tree, Tree]:
        """Parameters (their moving average, where the run kept one) and variables of the replica."""
        return self.restored.replica(self.replica)

    def evaluate(self, split: str = "test") -> dict[str, np.ndarray]:
        """The metrics of a split, name -> [replicas]; `split` is one of the run's.

        Raises:
            UserError: no such split.
        """
        found = self.restored.experiment
        if split not in found.dataset.splits:
            raise UserError(f"the run has no split {split!r}. Choices: {', '.join(found.dataset.splits)}.")
        return Evaluations(found)(self.state, split).metrics

    def predict(self, inputs: Any) -> Any:
        """What the run says of inputs of its kind, prepared as its own data were.

        Args:
            inputs: of a classifier, images: one or several, as names of files, `PIL.Image`s or arrays [H, W, C] or
                [N, H, W, C], uint8 or in 0..1. Of a classifier of texts, texts; of a recogniser of speech, sound files.

        Returns:
            `Predictions` with `labels`, `classes`, `probabilities` and `top(5)`; of speech, the texts.

        Raises:
            UserError: a task that predicts nothing so, or inputs that can't be read.
        """
        say = registry.public("dl.generation", "PREDICT").get(self.config.task.name)
        if say is None:
            tasks = ", ".join(sorted(registry.public("dl.generation", "PREDICT")))
            raise UserError(f"a run of the task {self.config.task.name} has no predict(); runs of these have one: {tasks}.")
        params, variables = self.parameters
        return say(self.restored.experiment, params, variables, inputs)

    def generate(self, seed: int = 0, **settings: Any) -> dict[str, Artifact]:
        """What the run makes: text, images, translations; `settings` are the flags of `experiments.generate`.

        Raises:
            UserError: a task that makes nothing, or an unknown setting.
        """
        generator = registry.find("dl.generation", "generator for the task", self.config.task.name)
        params, variables = self.parameters
        given = {"experiment": self.restored.experiment, "params": params, "variables": variables}
        return registry.call(generator, f"generation by {self.config.task.name}", settings, **given, key=jax.random.key(seed))


def load_run(
    workdir: str | Path,
    which: str = "latest",
    replica: int = 0,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Run:
    """The run in a folder.

    Args:
        workdir: folder of the run.
        which: checkpoint, "latest" or "best".
        replica: whose parameters are used.
        data_dir: folder of prepared datasets; by default where the training found them.
        manual_dir: folder of archives; likewise.

    Raises:
        UserError: there is no run in it.
    """
    run = Run(Path(workdir).expanduser().absolute(), which, replica, data_dir, manual_dir)
    _ = run.config  # says at once where there is none
    return run


def train(
    config: ConfigDict | str,
    workdir: str | Path,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    override: bool = False,
) -> Run:
    """Trains an experiment in a folder, or goes on where it stopped there, and writes result and report.

    Args:
        config: a configuration, or the name of one (see `load_config`).
        workdir: folder of the run.
        data_dir: folder of prepared datasets.
        manual_dir: folder of archives.
        override: whether to go on in a folder that holds another configuration.

    Raises:
        UserError: the configuration, the data or the disk do not allow it, or the training diverged.
    """
    folder = Path(workdir).expanduser().absolute()
    running.train(configuration(config), folder, data_dir, manual_dir, override)
    return load_run(folder, data_dir=data_dir, manual_dir=manual_dir)
