"""A classifier that was trained in this project, as a feature extractor: it measures generated images."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.dataset import Info
from dl.errors import UserError
from dl.evaluation.feature_extractor import FeatureExtractor
from dl.layers.features import scores_and_features
from dl.models.build import build


def feature_extractor(workdir: str, info: Info) -> FeatureExtractor:
    """The trained classifier in the workdir of a run, e.g. of configs/mnist_lenet5_modern.py: its first replica, last step.

    Images are brought to its size (padded, or resized where it says so) and standardised as it was trained.

    Args:
        workdir: folder of the run.
        info: description of the images that it will see.

    Raises:
        UserError: no such run or checkpoint, or it was not trained on images of these classes and channels.
    """
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
    model, size = build(config, num_classes=theirs.num_classes), theirs.shapes["image"][:2]
    mean, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)

    def extract(images: Float[Array, "b h w c"]) -> tuple[Float[Array, "b d"], Float[Array, "b k"] | None]:
        fitted = (fit(images, size, config.dataset.fit) - mean) / std
        scores, features = scores_and_features(model, {"params": params["model"], **variables}, fitted)
        return features, jax.nn.softmax(scores)

    return FeatureExtractor("frechet", extract)


def fit(images: Float[Array, "b h w c"], size: tuple[int, ...], how: str) -> Float[Array, "b y x c"]:
    """As `dl.data.resizing.fit_images`: zeros around the image, or bilinear resizing (the sides that are too large always)."""
    if images.shape[1:3] == tuple(size):
        return images
    if how == "pad" and all(n <= m for n, m in zip(images.shape[1:3], size, strict=True)):
        margins = [((m - n) // 2, m - n - (m - n) // 2) for n, m in zip(images.shape[1:3], size, strict=True)]
        return jnp.pad(images, ((0, 0), *margins, (0, 0)))
    return jax.image.resize(images, (len(images), *size, images.shape[3]), "bilinear")
