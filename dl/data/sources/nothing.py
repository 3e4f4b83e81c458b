"""No data at all, for a task whose parameters are the result, such as a painted image: every batch is empty."""

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Dataset, Info


class Nothing:
    """A source of one example that has no features."""

    resident = True

    def __len__(self) -> int:
        return 1

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {}


def load_nothing(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Splits `train` and `test`, of one empty example each; an epoch is a step of a batch of one.

    Args:
        settings: not used.
        data_dir: not used.
        manual_dir: not used here; a task may find files of its own there.
    """
    return Dataset(Info("nothing", {}), {"train": Nothing(), "test": Nothing()})


PUBLIC = {"nothing": load_nothing}
