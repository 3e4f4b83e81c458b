"""Any task, started from weights that were learned before: a published file, or a run of one's own.

A task's `init` is a pure function, and so is what `started` makes of it: the weights are its constants, all replicas share
them, and what is reinitialised (the head) is drawn by each replica for itself. Nothing else in a task changes. A run that is
taken up again from its checkpoint takes nothing from the weights, though they must still be there.

Paths are those of the optimizer's rules: `model/conv1/kernel`. Variables have theirs: `batch_stats/bn1/mean`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from dl.artifacts import Artifact, Table
from dl.data import image_files
from dl.errors import UserError
from dl.interop.weights import FOLDER_FILE
from dl.task import Evaluation, Task, Tree

LISTED = 4  # differences that a message names


class Weights(NamedTuple):
    """Arrays by path, of parameters and of variables; `source` says where they are from."""

    params: Mapping[str, np.ndarray]
    variables: Mapping[str, np.ndarray]
    source: str


def started(task: Task, weights: Weights, reinitialise: str = "", head: Callable[[], Collection[str]] = lambda: ()) -> Task:
    """The task, its parameters and variables started from `weights`, but for those that are reinitialised.

    Args:
        task: whose `init` says which parameters there are, and draws those that are reinitialised.
        weights: may hold more than is asked for.
        reinitialise: regular expression that must match the whole path of a parameter, to reinitialise it.
        head: the paths of parameters that are reinitialised where their shape is not that of the weights; asked only then.

    Raises:
        UserError: weights that are missing or of another shape, each named; `reinitialise` matches nothing or is no pattern.
    """
    params, variables = (flatten_dict(tree, sep="/") for tree in jax.eval_shape(task.init, jax.random.key(0)))
    new = _matching(reinitialise, params)
    other = _differences(params, weights.params, new)
    if other:
        new |= set(head()) & set(other)
    loaded = _fitting(params, variables, weights, new)

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        made = []
        for tree, given in zip(task.init(key), loaded, strict=True):
            flat = flatten_dict(tree, sep="/")
            made.append(
                unflatten_dict({p: jnp.asarray(given[p], v.dtype) if p in given else v for p, v in flat.items()}, sep="/")
            )
        return made[0], made[1]

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        return {**task.render(params, variables, evaluation, key), "initial weights": origin}

    rows = [
        (path, "x".join(map(str, leaf.shape)), "reinitialised" if path in new else weights.source)
        for path, leaf in params.items()
    ]
    origin = Table(("parameter", "shape", "from"), rows)
    return task._replace(init=init, render=render)


def _fitting(
    params: Mapping[str, Any], variables: Mapping[str, Any], weights: Weights, new: Collection[str]
) -> list[dict[str, np.ndarray]]:
    """The weights of the parameters and of the variables, by path, but for the `new` parameters and what belongs to them."""
    modules = {path.rpartition("/")[0].partition("/")[2] for path in new}  # without the group: variables have none
    fresh = {path for path in variables if "/".join(path.split("/")[1:-1]) in modules}
    unfit = {**_differences(params, weights.params, new), **_differences(variables, weights.variables, fresh)}
    if unfit:
        more = f", and {len(unfit) - LISTED} more" if len(unfit) > LISTED else ""
        raise UserError(
            f"the weights {weights.source} do not fit the model: {', '.join(list(unfit.values())[:LISTED])}{more}. Give "
            "others, or have these reinitialised: config.task.reinitialise, a regular expression such as 'model/conv10/.*'."
        )
    return [
        {path: found[path] for path in wanted if path not in skipped}
        for wanted, found, skipped in ((params, weights.params, new), (variables, weights.variables, fresh))
    ]


def _matching(pattern: str, params: Mapping[str, Any]) -> set[str]:
    if not pattern:
        return set()
    try:
        found = {path for path in params if re.fullmatch(pattern, path)}
    except re.error as error:
        raise UserError(f"config.task.reinitialise: {pattern!r} is not a regular expression: {error}.") from None
    if not found:
        layers = dict.fromkeys(path.rpartition("/")[0] for path in params)
        raise UserError(
            f"config.task.reinitialise: {pattern!r} matches no parameter. Layers: {', '.join(layers)}; "
            f"write e.g. '{[*layers][-1]}/.*'."
        )
    return found


def _differences(wanted: Mapping[str, Any], found: Mapping[str, np.ndarray], new: Collection[str]) -> dict[str, str]:
    """Path -> what is wrong with it, of those that are not reinitialised."""
    out = {}
    for path, leaf in wanted.items():
        if path in new:
            continue
        if path not in found:
            out[path] = f"{path} is missing"
        elif found[path].shape != leaf.shape:
            sizes = ("x".join(map(str, shape)) for shape in (found[path].shape, leaf.shape))
            out[path] = "{} is {} and should be {}".format(path, *sizes)
    return out


def head(task: Task, of_more_classes: Callable[[], Task]) -> set[str]:
    """The paths of the parameters whose shapes depend on the number of classes: those that differ with more of them."""
    shapes = [
        {path: leaf.shape for path, leaf in flatten_dict(jax.eval_shape(t.init, jax.random.key(0))[0], sep="/").items()}
        for t in (task, of_more_classes())
    ]
    return {path for path, shape in shapes[0].items() if shapes[1].get(path) != shape}


# --- where weights are from ---


def read(config: ConfigDict, name: str, manual_dir: str | None, group: str = "model") -> Weights:
    """The weights `name`: the workdir of a run, or a file (or converted folder) of weights published for `config.model`.

    Args:
        config: configuration of the task that starts from them.
        name: a folder; or a file, from here or in the folder of archives.
        manual_dir: the folder of archives.
        group: the parameter group that a published model fills.

    Raises:
        UserError: no such run or file, one that can't be read, a model without published weights, or published weights that
            want their images standardised in another way.
    """
    folder = Path(name).expanduser().absolute()
    is_run = folder.is_dir() and not (folder / FOLDER_FILE).is_file()
    return _of_run(folder, name) if is_run else _of_file(config, name, manual_dir, group)


def _of_run(folder: Path, name: str) -> Weights:
    """Of the first replica, at the last step; the moving average, where the run kept one."""
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    try:
        config = read_config(folder)
        if "weights" in config.task:
            config.task.weights = ""  # what that run itself started from is in its checkpoint
        params, variables = jax.device_get(restore(config, folder).replica(0))
    except UserError as error:
        raise UserError(f"config.task.weights={name}: {error}") from error
    return Weights(flatten_dict(params, sep="/"), flatten_dict(variables, sep="/"), name)


def _of_file(config: ConfigDict, name: str, manual_dir: str | None, group: str) -> Weights:
    from dl.interop import classifier

    path = Path(name).expanduser()
    if not path.is_dir():
        path = image_files.find(name, manual_dir, "config.task.weights: the file, or the folder of a run,")
    settings = {key: value for key, value in config.model.to_dict().items() if key != "name"}
    found = classifier.load(path, config.model.name, settings)
    for key, wanted in (("mean", found.mean), ("std", found.std)):
        if not np.allclose(np.broadcast_to(config.dataset[key], wanted.shape), wanted, rtol=0.01, atol=0):
            numbers = ",".join(f"{x:.4g}" for x in wanted)
            raise UserError(f"the weights {name} take images with dataset.{key}=({numbers}), not {tuple(config.dataset[key])}.")
    leaves = {kind: flatten_dict(tree, sep="/") for kind, tree in found.variables.items()}
    params = {f"{group}/{path}": array for path, array in leaves.pop("params").items()}
    rest = {f"{kind}/{path}": array for kind, arrays in leaves.items() for path, array in arrays.items()}
    return Weights(params, rest, name)
