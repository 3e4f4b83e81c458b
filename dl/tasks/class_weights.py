"""Weights of the classes in a loss, where some classes are rare. Metrics of evaluations count examples all the same."""

import numpy as np
from jaxtyping import Float, Int

from dl.dataset import Resources
from dl.errors import UserError, unknown


def balanced(labels: Int[np.ndarray, " n"], num_classes: int) -> Float[np.ndarray, " k"]:
    """N / (K N_c) for each class c, so that all classes weigh the same (King & Zeng 2001); 0 of a class without examples."""
    counts = np.bincount(labels, minlength=num_classes)
    return np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0).astype(np.float32)


def of(name: str, resources: Resources) -> tuple[float, ...]:
    """The weights that `task.class_weights` names, one a class: "balanced", or "" for none.

    Raises:
        UserError: an unknown name, or no training labels to count.
    """
    if not name:
        return ()
    if name != "balanced":
        raise unknown("task.class_weights", name, ("balanced",))
    labels = resources.column("label") if resources.column else None
    if labels is None:
        raise UserError("task.class_weights='balanced' counts the labels of the split 'train', and there are none.")
    return tuple(balanced(np.asarray(labels), resources.info.num_classes).tolist())
