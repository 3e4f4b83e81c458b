"""A run as a program finds it in its workdir: the experiment, and the state of a checkpoint."""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from dl.errors import UserError
from dl.state import TrainState
from dl.task import Tree
from dl.training import vocabularies
from dl.training.assembly import Experiment, assemble
from dl.training.workdir import read_data


class Restored(NamedTuple):
    """`state` is that after `step` steps, every array with a leading axis over the replicas."""

    experiment: Experiment
    step: int
    state: TrainState

    def replica(self, number: int, ema: bool = True) -> tuple[Tree, Tree]:
        """Parameters (their moving average, where the run kept one and `ema`) and variables of one replica.

        Raises:
            UserError: no such replica.
        """
        import jax

        replicas = self.experiment.config.replicas
        if not 0 <= number < replicas:
            raise UserError(f"there is no replica {number}: the run has {replicas}, counted from 0.")
        return jax.tree.map(lambda x: x[number], self.state.evaluated(ema))


def restore(
    config: ConfigDict, workdir: Path, which: str = "latest", data_dir: str | None = None, manual_dir: str | None = None
) -> Restored:
    """The run in a workdir, at one of its checkpoints.

    Args:
        config: configuration of the run (`dl.training.workdir.read_config`), perhaps with changes.
        workdir: folder of the run.
        which: "latest" or "best".
        data_dir: where prepared datasets are; by default where the training found them.
        manual_dir: where archives are; likewise.

    Raises:
        UserError: no such checkpoint, or one that does not fit; no data.
    """
    from dl.training import checkpoint

    experiment = assemble(config, *folders(workdir, data_dir, manual_dir))
    vocabularies.check(workdir, experiment.dataset.info.features)
    if which == "best":
        step = checkpoint.best_step(workdir, metric.better) if (metric := experiment.best()) else None
        if step is None:
            raise UserError(f"{workdir} holds no best checkpoint: train with config.best.metric, e.g. 'validation/error'.")
        return Restored(experiment, step, checkpoint.restore_step(workdir, step, experiment.target()))
    latest = checkpoint.restore_latest(workdir, experiment.target(), set_aside=False)
    if latest is None:
        raise UserError(f"{workdir} holds no checkpoint yet.")
    return Restored(experiment, *latest)


def folders(workdir: Path, data_dir: str | None = None, manual_dir: str | None = None) -> tuple[str | None, str | None]:
    """The folders of prepared datasets and of archives: those given, or else where the training found them.

    Raises:
        UserError: the file that says where is damaged.
    """
    found = read_data(workdir)
    return data_dir or found.get("data_dir"), manual_dir or found.get("manual_dir")
