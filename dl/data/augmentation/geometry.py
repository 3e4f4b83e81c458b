"""Geometry drawn once for an example and done to everything that lies on its image, to each kind in its own way.

An image is changed as each transform defines it, interpolated bilinearly. A label map takes the nearest pixel, and `void` where
the place shown is outside of the image, also where the image is filled by its edge or its reflection. A box becomes the
rectangle around its moved outline, clipped to the image; one of which nothing is left becomes (0, 0, 0, 0), which is no box. A
point that leaves the image becomes (-1, -1), which is no point.

Places are (row, column) in pixels; pixel centres are whole numbers. Boxes and points are in fractions of the image, see `Kind`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from dl.dataset import Feature, Features, Kind

EDGE = 9  # places on each edge of a box that are moved; a straight map needs two

Shape = tuple[int, int]  # height and width
Parameters = Any  # what was drawn for one example, a pytree of arrays
Image = Float[Array, "h w c"]


class Geometry(NamedTuple):
    """A random change of places, of one example.

    draw: (key, shape of the image) -> parameters.
    image: (parameters, image [H, W, C]) -> the image as the output shows it.
    sources: (parameters, shape of the input) -> [2, h, w], the place in the input that each pixel of the output shows.
    targets: (parameters, places in the input [2, N], its shape) -> [2, N], where they lie in the output.
    size: shape of the input -> shape of the output.
    """

    draw: Callable[[jax.Array, Shape], Parameters]
    image: Callable[[Parameters, Image], Image]
    sources: Callable[[Parameters, Shape], Float[Array, "2 h w"]]
    targets: Callable[[Parameters, Float[Array, "2 n"], Shape], Float[Array, "2 n"]]
    size: Callable[[Shape], Shape] = lambda shape: shape


def grid(shape: Shape) -> Float[Array, "2 h w"]:
    """The places of the pixels themselves."""
    return jnp.stack(jnp.meshgrid(*(jnp.arange(size, dtype=jnp.float32) for size in shape), indexing="ij"))


def moved(geometry: Geometry, parameters: Parameters, feature: Feature, values: jax.Array, shape: Shape) -> jax.Array:
    """One feature of one example after the change; kinds that lie on no image stay as they are.

    Args:
        geometry: what is done.
        parameters: as `geometry.draw` gave them.
        feature: says the kind of `values`.
        values: without a batch axis.
        shape: shape of the image before the change.
    """
    match feature.kind:
        case Kind.IMAGE:
            return geometry.image(parameters, values)
        case Kind.LABEL_MAP:
            return nearest(values, geometry.sources(parameters, shape), feature.void)
        case Kind.BOXES:
            return _boxes(geometry, parameters, values, shape)
        case Kind.POINTS:
            return _points(geometry, parameters, values, shape)
        case _:
            return values


def nearest(label_map: Integer[Array, "h w"], sources: Float[Array, "2 y x"], void: int) -> Integer[Array, "y x"]:
    """The label of the pixel nearest to each of `sources`; `void` outside of the map."""
    height, width = label_map.shape
    row, column = jnp.floor(sources + 0.5).astype(jnp.int32)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    found = label_map[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside, found, jnp.asarray(void, label_map.dtype))


def valid(feature: Feature, values: Shaped[Array, "*b n d"]) -> Shaped[Array, "*b n"]:
    """Which rows are boxes or points at all: those with an area, those within the image."""
    if feature.kind is Kind.BOXES:
        return (values[..., 2] > values[..., 0]) & (values[..., 3] > values[..., 1])
    return jnp.all((values >= 0) & (values <= 1), axis=-1)


def _to(fractions: Float[Array, "n 2"], geometry: Geometry, parameters: Parameters, shape: Shape) -> Float[Array, "n 2"]:
    """Where places of the input, in its fractions, lie in the output, in its fractions."""
    before, after = jnp.asarray(shape, jnp.float32), jnp.asarray(geometry.size(shape), jnp.float32)
    places = (fractions * before - 0.5).T
    return (geometry.targets(parameters, places, shape).T + 0.5) / after


def _boxes(geometry: Geometry, parameters: Parameters, boxes: Float[Array, "n 4"], shape: Shape) -> Float[Array, "n 4"]:
    along = jnp.linspace(0.0, 1.0, EDGE)
    rim = jnp.concatenate([jnp.stack([side * jnp.ones(EDGE), along], 1) for side in (0.0, 1.0)])
    outline = jnp.concatenate([rim, rim[:, ::-1]])  # [4 EDGE, 2], fractions of the box
    corner, extent = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    places = _to((corner + outline * extent).reshape(-1, 2), geometry, parameters, shape).reshape(len(boxes), -1, 2)
    around = jnp.concatenate([places.min(axis=1), places.max(axis=1)], axis=1).clip(0.0, 1.0)
    kept = valid(Feature(Kind.BOXES), boxes) & valid(Feature(Kind.BOXES), around)
    return jnp.where(kept[:, None], around, 0.0)


def _points(geometry: Geometry, parameters: Parameters, points: Float[Array, "n 2"], shape: Shape) -> Float[Array, "n 2"]:
    places = _to(points, geometry, parameters, shape)
    kept = valid(Feature(Kind.POINTS), points) & valid(Feature(Kind.POINTS), places)
    return jnp.where(kept[:, None], places, -1.0)


def with_masks(batch: Mapping[str, jax.Array], features: Features) -> dict[str, jax.Array]:
    """The batch with `NAME_mask` bool [B, N] for boxes and points: the rows that count, being valid and below `NAME_length`."""
    masks: dict[str, jax.Array] = {}
    for name, feature in features.items():
        if feature.kind in (Kind.BOXES, Kind.POINTS) and name in batch:
            mask = valid(feature, batch[name])
            length = batch.get(f"{name}_length")
            masks[f"{name}_mask"] = mask if length is None else mask & (jnp.arange(mask.shape[1]) < length[:, None])
    return {**batch, **masks}
