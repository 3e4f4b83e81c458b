"""What the directions of a generator's latent space mean, where nobody has labelled its images.

An attribute is measured on the images themselves: how light a part of an aligned face is. A linear probe, fitted from latent
points to what their images measure, has the attribute's direction as its weights. And groups for an arithmetic as in Radford et
al. 2016, section 6.3.2, choose themselves: with the attributes p and q,

    (p and q) - (q without p) + (neither) = (p without q)

Parts are fractions of height and width: top, bottom, left, right, of CelebA's aligned faces after their middle square was cut.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.errors import UserError, unknown

MEMBERS = 3  # of a group
DRAWN = 1000  # samples that the probe is fitted to, and that groups are chosen from
TESTED = 4  # every so many-th is left out of the fit, and tells how good it is
RIDGE = 1e-2  # of the squared weights, times the number of samples

Box = tuple[float, float, float, float]
HAIR: Box = (0.0, 0.14, 0.25, 0.75)
FACE: Box = (0.35, 0.65, 0.3, 0.7)
MOUTH: Box = (0.68, 0.82, 0.38, 0.62)
LEFT: Box = (0.3, 0.8, 0.15, 0.45)
RIGHT: Box = (0.3, 0.8, 0.55, 0.85)
BACKGROUND: Box = (0.0, 0.3, 0.0, 0.12)


def light(pixels: Float[np.ndarray, "n h w c"], box: Box) -> Float[np.ndarray, " n"]:
    """The mean of a part of images in 0..1."""
    height, width = pixels.shape[1:3]
    top, bottom, left, right = (round(part * side) for part, side in zip(box, (height, height, width, width), strict=True))
    return pixels[:, top : max(bottom, top + 1), left : max(right, left + 1)].mean((1, 2, 3))


ATTRIBUTES: Mapping[str, Callable[[Float[np.ndarray, "n h w c"]], Float[np.ndarray, " n"]]] = {
    "light": lambda x: x.mean((1, 2, 3)),
    "dark_hair": lambda x: -light(x, HAIR),
    "light_mouth": lambda x: light(x, MOUTH) - light(x, FACE),  # teeth
    "lit_from_left": lambda x: light(x, LEFT) - light(x, RIGHT),
    "light_background": lambda x: light(x, BACKGROUND),
    "warm": lambda x: (x[..., 0] - x[..., -1]).mean((1, 2)),
}


class Probe(NamedTuple):
    """`direction` [latent] of length 1, along which the attribute grows; `r2` on samples that it was not fitted to."""

    direction: Float[np.ndarray, " latent"]
    r2: float


def names(text: str) -> tuple[str, str]:
    """The two attributes that "dark_hair,light_mouth" names.

    Raises:
        UserError: it does not name two that there are.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in ATTRIBUTES:
            raise unknown("attribute", part, ATTRIBUTES)
    if len(parts) != 2 or parts[0] == parts[1]:
        raise UserError(f"--attributes={text}: name two different ones, such as dark_hair,light_mouth.")
    return parts[0], parts[1]


def standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """In standard deviations from the mean."""
    return (values - values.mean()) / max(float(values.std()), 1e-12)


def probe(z: Float[np.ndarray, "n latent"], values: Float[np.ndarray, " n"]) -> Probe:
    """Ridge regression of an attribute on latent points."""
    tested = np.arange(len(z)) % TESTED == 0
    x, y = z[~tested].astype(np.float64), values[~tested].astype(np.float64)
    centred, mean = x - x.mean(0), y.mean()
    gram = centred.T @ centred + RIDGE * len(x) * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y - mean))
    left = values[tested] - ((z[tested] - x.mean(0)) @ weights + mean)
    r2 = 1 - float(np.square(left).sum() / max(np.square(values[tested] - values[tested].mean()).sum(), 1e-12))
    return Probe((weights / max(np.linalg.norm(weights), 1e-12)).astype(np.float32), r2)


def groups(p: Float[np.ndarray, " n"], q: Float[np.ndarray, " n"]) -> Int[np.ndarray, "3 m"]:
    """The samples of an arithmetic: with p and q, with q alone, with neither; those whose weaker one of both is strongest.

    Args:
        p: how much of the one attribute each sample has, in standard deviations.
        q: how much of the other.
    """
    strength = [np.minimum(a * p, b * q) for a, b in ((1, 1), (-1, 1), (-1, -1))]
    return np.stack([np.argsort(-values, kind="stable")[:MEMBERS] for values in strength])
