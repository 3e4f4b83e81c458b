"""The state of a training run: everything that a step changes, and all that a checkpoint holds."""

import hashlib
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dl.task import Tree

STATISTICS = "batch_stats"  # the collection in which Linen keeps what normalisation has seen


class TrainState(NamedTuple):
    """State of one replica. In a program each leaf has a leading axis over the replicas, also where there is one.

    step: int32 scalar, the number of steps taken.
    key: typed PRNG key; the key of a step is `fold_in(key, step)`.
    params: parameter groups by name; `variables`: what else the models keep (running statistics, recurrent carries).
    opt_state: one state for each objective, all of them from the first step, so that the tree never changes shape.
    ema: exponential moving averages of `params` and of the running statistics in `variables`, under these two names; or an
        empty dictionary.
    """

    step: jax.Array
    key: jax.Array
    params: Tree
    variables: Tree
    opt_state: dict[str, Any]
    ema: Tree

    def evaluated(self, ema: bool = True) -> tuple[Tree, Tree]:
        """The parameters and variables that are evaluated: the averages where the run keeps them and `ema`."""
        if not (ema and self.ema):
            return self.params, self.variables
        averages = flatten_dict(self.ema["variables"])
        return self.ema["params"], unflatten_dict({**flatten_dict(self.variables, keep_empty_nodes=True), **averages})


def averaged(params: Tree, variables: Tree) -> Tree:
    """The part of a state that a moving average is kept of: all parameters, and the statistics that belong to them."""
    statistics = {path: leaf for path, leaf in flatten_dict(variables).items() if STATISTICS in path}
    return {"params": params, "variables": unflatten_dict(statistics)}


def path_name(path: tuple[Any, ...]) -> str:
    """The name of a leaf: `model/conv1/kernel`."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def digests(params: Tree) -> list[str]:
    """SHA-256 of all parameters of each replica, in the order of their names, over name, dtype, shape and bytes.

    Args:
        params: host arrays [replicas, ...].
    """
    leaves = sorted((path_name(path), np.asarray(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(params))
    hashes = []
    for r in range(len(leaves[0][1]) if leaves else 0):
        digest = hashlib.sha256()
        for name, leaf in leaves:
            digest.update(f"{name} {leaf.dtype} {leaf.shape[1:]}".encode())
            digest.update(np.ascontiguousarray(leaf[r]).tobytes())
        hashes.append(digest.hexdigest())
    return hashes
