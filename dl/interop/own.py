"""Our own layout, for what nobody has published weights of: our names, PyTorch's words and axes. Any run goes out, and back.

    ours                                          in the file
    .../conv1/kernel          [h, w, i, o]        ....conv1.weight        [o, i, h, w]
    .../output/kernel         [i, o]              ....output.weight       [o, i]
    .../norm1/scale           [c]                 ....norm1.weight        [c]
    .../norm1/mean, var       [c]                 ....norm1.running_mean, ....norm1.running_var [c], and a counter
    what has another name     [...]               that name               [...]

The dots stand in place of our paths' slashes; where a run trained several nets, their names stand in front, as in
`generator.conv1.weight`. Two things are not as a PyTorch module has them. A dense layer that reads a flattened map reads it as
rows, columns, channels: `x.permute(0, 2, 3, 1).flatten(1)`. A transposed convolution's weight has the axes of the others;
`torch.nn.ConvTranspose2d` takes `weight.transpose(0, 1).flip(2, 3)`, for stride 2 with `padding=k // 2 - 1` of a k x k kernel,
and gives a row and a column more at the end where k is odd.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dl.errors import UserError
from dl.interop import torchvision, weights
from dl.interop.torchvision import Arrays, Layout

STATISTICS = "batch_stats"
LAYOUT = Layout(lambda path: path.replace("/", "."))


class Saved(NamedTuple):
    """A run in a file: the task, the model, how many parameters."""

    file: Path
    task: str
    model: str
    parameters: int


def layout(model: Any) -> Layout:
    """The same for every model."""
    return LAYOUT


def to_state(params: Any, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A run's parameters and running statistics by their names in a file; what else a task keeps, such as chains, stays."""
    return torchvision.to_state(LAYOUT, _joined(params, variables))


def from_state(params: Any, variables: Mapping[str, Any], state: Arrays, source: str) -> tuple[Any, Any]:
    """The inverse of `to_state`.

    Args:
        params: parameters of the run, arrays or their shapes.
        variables: likewise.
        state: arrays by their names in a file.
        source: where they are from, for messages.

    Raises:
        UserError: names are missing, unexpected or of a wrong shape.
    """
    found = torchvision.from_state(LAYOUT, _joined(params, variables), state, source, "the run")
    statistics = flatten_dict(found.get(STATISTICS, {}))
    leaves = {
        path: statistics.get(_without(path), leaf) for path, leaf in flatten_dict(variables, keep_empty_nodes=True).items()
    }
    return found["params"], unflatten_dict(leaves)


def save_run(workdir: Path, path: Path, which: str = "latest", replica: int = 0) -> Saved:
    """Writes a run of any task, and beside it its configuration as `.json`; into a folder, `weights.safetensors`.

    Args:
        workdir: folder of the run.
        path: path of the file or folder.
        which: checkpoint, "latest" or "best".
        replica: which.

    Raises:
        UserError: no run, no checkpoint, no data, or a file that can't be written.
    """
    import jax

    from dl.training.restored import restore
    from dl.training.workdir import read_config, write_json

    config = read_config(workdir)
    params, variables = jax.device_get(restore(config, workdir, which).replica(replica))
    file = path if path.suffix in weights.SUFFIXES else path / weights.FOLDER_FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {file.parent}: {error.strerror}.") from error
    weights.write(file, to_state(params, variables))
    write_json(file.with_suffix(".json"), {"task": config.task.name, "config": json.loads(config.to_json())})
    count = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    return Saved(file, config.task.name, config.model.name, count)


def _joined(params: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and statistics as one net's variables: a task may keep the statistics of each net by its name."""
    leaves = flatten_dict(variables)
    statistics = {_without(path): leaf for path, leaf in leaves.items() if STATISTICS in path}
    return {"params": params, STATISTICS: unflatten_dict(statistics)}


def _without(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in path if part != STATISTICS)
