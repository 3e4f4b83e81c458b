"""Who judges generated images: a classifier that was trained in this project, or, without one, fixed random features."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.data.dataset import Info
from dl.errors import UserError
from dl.layers.features import random_features, scores_and_features


class Judge(NamedTuple):
    """`look`: images [B, H, W, C] in 0..1 -> features [B, D] and, from a classifier, probabilities [B, K] (else None).

    name: of the Frechet distance in these features.
    """

    name: str
    look: Callable[[Float[Array, "b h w c"]], tuple[Float[Array, "b d"], Float[Array, "b k"] | None]]


def by_chance() -> Judge:
    """Fixed random features (`dl.layers.features.random_features`)."""
    return Judge("frechet_random", lambda images: (random_features(images), None))


def classifier(workdir: str, info: Info) -> Judge:
    """The trained classifier in the workdir of a run, e.g. of configs/mnist_lenet5_modern.py: its first replica, last step.

    Images are brought to its size (padded, or resized where it says so) and standardised as it was trained.

    Args:
        workdir: of the run.
        info: of the images that it will judge.

    Raises:
        UserError: no such run or checkpoint, or it was not trained on images of these classes and channels.
    """
    from dl.tasks.classification import build_model
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    folder = Path(workdir).expanduser().absolute()
    try:
        config = read_config(folder)
        if config.task.name != "classification":
            raise UserError(f"the run is of the task {config.task.name!r}; give one of a classifier.")
        run = restore(config, folder)
    except UserError as error:
        raise UserError(f"config.task.classifier={workdir}: {error}") from error
    theirs = run.experiment.dataset.info
    if (theirs.num_classes, theirs.shapes["image"][2]) != (info.num_classes, info.shapes["image"][2]):
        raise UserError(
            f"config.task.classifier={workdir} knows {theirs.num_classes} classes of images with {theirs.shapes['image'][2]} "
            f"channels, but {info.name} has {info.num_classes} classes and {info.shapes['image'][2]} channels."
        )
    params, variables = jax.device_get(run.replica(0))
    model, size = build_model(config, theirs), theirs.shapes["image"][:2]
    mean, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)

    def look(images: Float[Array, "b h w c"]) -> tuple[Float[Array, "b d"], Float[Array, "b k"] | None]:
        fitted = (fit(images, size, config.dataset.fit) - mean) / std
        scores, features = scores_and_features(model, {"params": params["model"], **variables}, fitted)
        return features, jax.nn.softmax(scores)

    return Judge("frechet", look)


def fit(images: Float[Array, "b h w c"], size: tuple[int, ...], how: str) -> Float[Array, "b y x c"]:
    """As `dl.data.resizing.fit_images`: zeros around the image, or bilinear resizing (the sides that are too large always)."""
    if images.shape[1:3] == tuple(size):
        return images
    if how == "pad" and all(n <= m for n, m in zip(images.shape[1:3], size, strict=True)):
        margins = [((m - n) // 2, m - n - (m - n) // 2) for n, m in zip(images.shape[1:3], size, strict=True)]
        return jnp.pad(images, ((0, 0), *margins, (0, 0)))
    return jax.image.resize(images, (len(images), *size, images.shape[3]), "bilinear")
