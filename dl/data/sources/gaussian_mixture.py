"""Points of a mixture of Gaussians: the toy on which one sees whether a generative model finds all modes."""

import math

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError, unknown

SIZES = {"train": 20_000, "test": 2_000}


def centres(layout: str, components: int, radius: float) -> np.ndarray:
    """The centres [components, d], float64.

    ring: on a circle of that radius (Metz et al. 2017, appendix A). grid: a square lattice of that half-width. line: equally
    spaced from -radius to radius, in one dimension.

    Raises:
        UserError: an unknown layout, or a grid of a number that is no square.
    """
    if layout == "ring":
        angle = 2 * np.pi * np.arange(components) / components
        return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if layout == "line":
        return np.linspace(-radius, radius, components)[:, None]
    if layout == "grid":
        side = round(components**0.5)
        if side * side != components:
            raise UserError(f"dataset.components={components}: a grid has a square number of components, such as 25.")
        ticks = np.linspace(-radius, radius, side)
        return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    raise unknown("layout of the mixture", layout, ("ring", "line", "grid"))


def load_gaussian_mixture(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`point` float32 [2] (or [1]) and `label`, the component, all equally likely: splits `train` (20,000) and `test` (2,000).

    Args:
        settings: `layout` ("ring", "grid" or "line"), `components` (default 8), `radius` (2.0), `deviation` (0.1) of each.
        data_dir: not used.
        manual_dir: not used.

    Raises:
        UserError: see `centres`; fewer than two components, or a deviation or radius out of range.
    """
    components, deviation, radius = (settings.get(*key) for key in (("components", 8), ("deviation", 0.1), ("radius", 2.0)))
    if components < 2 or not 0 < deviation < math.inf or not 0 <= radius < math.inf:
        raise UserError(
            f"dataset.components={components} must be at least 2, dataset.deviation={deviation} above 0 and "
            f"dataset.radius={radius} at least 0: change them."
        )
    where = centres(settings.get("layout", "ring"), components, radius)

    def split(seed: int, size: int) -> Arrays:
        random = np.random.default_rng(seed)
        label = random.integers(components, size=size)
        points = where[label] + deviation * random.standard_normal((size, where.shape[1]))
        return Arrays({"point": points.astype(np.float32), "label": label.astype(np.int32)})

    label = Feature(Kind.CLASS, num_classes=components)
    info = Info("gaussian_mixture", {"point": Feature(Kind.NUMBER, where.shape[1:]), "label": label})
    return Dataset(info, {name: split(seed, size) for seed, (name, size) in enumerate(SIZES.items())})


PUBLIC = {"gaussian_mixture": load_gaussian_mixture}
SETTINGS = {"gaussian_mixture": {"layout": "ring", "components": 8, "radius": 2.0, "deviation": 0.1}}
