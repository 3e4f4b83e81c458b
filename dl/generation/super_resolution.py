"""One's own images enlarged by a trained net, of whatever size: tile by tile, each with enough around it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.layers.bicubic import enlarged, mirrored
from dl.task import Tree
from dl.tasks import super_resolution
from dl.training.assembly import Experiment

TILE, AROUND = 96, 24  # pixels of the small image: of a tile, and of what is seen on every side of it
LEAST = 4  # pixels of a side
MOST = 1 << 26  # pixels of what is made


class Enlarger:
    """A net and its parameters; `ways` are "made", and "bicubic" interpolation beside it.

    An image goes on beyond its rim as in a mirror. Far from its rim a tile is what the whole image would give, as far as
    `AROUND` pixels decide.
    """

    def __init__(self, experiment: Experiment, params: Tree, variables: Tree):
        self.scale = scale_of(experiment.config)
        learner = super_resolution.enlarger(experiment.config)
        net = {"params": params["generator"], **variables["generator"]}
        self._made = jax.jit(lambda low: learner.enlarge(net, low))
        self._bicubic = jax.jit(lambda low: enlarged(low, learner.scale).clip(0, 1))

    def __call__(self, image: Float[np.ndarray, "h w 3"], way: str = "made") -> Float[np.ndarray, "y x 3"]:
        """An RGB image in 0..1, enlarged.

        Raises:
            UserError: it is too small or too large.
        """
        height, width = image.shape[:2]
        if min(height, width) < LEAST:
            raise UserError(f"it has {height}x{width} pixels; to be enlarged it needs {LEAST} on each side.")
        if height * width * self.scale**2 > MOST:
            raise UserError(f"it has {height}x{width} pixels; at most {MOST // self.scale**2:,} are enlarged: cut it.")
        apply = self._made if way == "made" else self._bicubic
        out, scale = np.empty((self.scale * height, self.scale * width, 3), np.float32), self.scale
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                made = np.asarray(apply(jnp.asarray(tile(image, top, left))[None])[0])
                rows, columns = min(TILE, height - top), min(TILE, width - left)
                inner = made[scale * AROUND :, scale * AROUND :][: scale * rows, : scale * columns]
                out[scale * top : scale * (top + rows), scale * left : scale * (left + columns)] = inner
        return out


def tile(image: Float[np.ndarray, "h w 3"], top: int, left: int) -> Float[np.ndarray, "y x 3"]:
    """A tile with what is around it, [TILE + 2 AROUND] squared; beyond the rim as in a mirror."""
    places = np.arange(-AROUND, TILE + AROUND)
    rows, columns = (mirrored(at + places, np.array(n)) for at, n in zip((top, left), image.shape[:2], strict=True))
    return np.ascontiguousarray(image[rows[:, None], columns])


def scale_of(config: ConfigDict | Mapping[str, Any]) -> int:
    """How many pixels one becomes.

    Raises:
        UserError: the configuration is of another task.
    """
    if config["task"]["name"] != "super_resolution":
        raise UserError(f"a run of the task {config['task']['name']} does not enlarge images: super_resolution does.")
    return int(config["dataset"].get("scale", 4))
