"""Adversarial examples: images changed by at most epsilon at each pixel, so that the network errs.

All functions take the gradient of the loss by the pixels as a function, so that one compiled program serves every method.
Pixels stay in 0..1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Pixels = Float[Array, "b h w c"]
Labels = Int[Array, " b"]
Gradient = Callable[[Array, Array], Array]  # images, labels -> the derivative of the loss by the images, or a positive multiple


def fgsm(gradient: Gradient, images: Pixels, labels: Labels, epsilon: float) -> Pixels:
    """The fast gradient sign method: x + epsilon sign(dJ/dx) (Goodfellow, Shlens & Szegedy 2015, section 4)."""
    return jnp.clip(images + epsilon * jnp.sign(gradient(images, labels)), 0, 1)


def pgd(gradient: Gradient, images: Pixels, labels: Labels, epsilon: float, key: Array, steps: int = 10) -> Pixels:
    """Projected gradient descent on the negative loss, within epsilon of the images (Madry et al. 2018, section 2.1).

    It starts at random in the ball; a step is 2.5 epsilon / steps of each pixel, so that all of the ball can be reached.

    Args:
        gradient: function that gives the gradient of the loss.
        images: pixels.
        labels: correct classes.
        epsilon: largest change of a pixel.
        key: random key of the start.
        steps: number of steps.
    """
    low, high = jnp.maximum(images - epsilon, 0), jnp.minimum(images + epsilon, 1)
    changed = jnp.clip(images + jax.random.uniform(key, images.shape, minval=-epsilon, maxval=epsilon), low, high)
    for _ in range(steps):
        changed = jnp.clip(changed + 2.5 * epsilon / steps * jnp.sign(gradient(changed, labels)), low, high)
    return changed


class Attacked(NamedTuple):
    """What became of the images: of each method ("fgsm", "pgd") something for each of E epsilons.

    accuracy: share still classified correctly. probability: mean probability of the correct class. images: changed, as many.
    """

    epsilons: Float[np.ndarray, " e"]
    accuracy: dict[str, Float[np.ndarray, " e"]]
    probability: dict[str, Float[np.ndarray, " e"]]
    images: dict[str, tuple[np.ndarray, ...]]


def accuracy_curve(
    scores: Callable[[Array], Array],
    gradient: Gradient,
    images: Pixels,
    labels: Labels,
    epsilons: Sequence[float],
    key: Array,
    steps: int = 10,
    tell: Callable[[str], None] = lambda line: None,
) -> Attacked:
    """Accuracy against epsilon.

    Args:
        scores: the network.
        gradient: function that gives the gradient of the loss.
        images: pixels.
        labels: correct classes.
        epsilons: largest changes of a pixel.
        key: random key of PGD's starts, the same for each epsilon.
        steps: number of steps of PGD.
        tell: is told of each epsilon.
    """
    found: dict[str, list[tuple[float, float, np.ndarray]]] = {"fgsm": [], "pgd": []}
    for epsilon in epsilons:
        tell(f"adversarial examples, epsilon {255 * epsilon:.3g}/255")
        made = {"fgsm": images, "pgd": images}
        if epsilon:
            made["fgsm"] = fgsm(gradient, images, labels, epsilon)
            made["pgd"] = pgd(gradient, images, labels, epsilon, key, steps)
        for name, changed in made.items():
            values = scores(changed)
            own = jnp.take_along_axis(jax.nn.softmax(values), labels[:, None], axis=1)
            found[name].append((float((values.argmax(-1) == labels).mean()), float(own.mean()), np.asarray(changed)))
    return Attacked(
        np.array(epsilons, float),
        {name: np.array([accuracy for accuracy, _, _ in rows]) for name, rows in found.items()},
        {name: np.array([probability for _, probability, _ in rows]) for name, rows in found.items()},
        {name: tuple(changed for _, _, changed in rows) for name, rows in found.items()},
    )
