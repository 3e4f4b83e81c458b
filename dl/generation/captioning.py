"""Captions of the user's images by a trained run."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dl.artifacts import Artifact, Text
from dl.data import image_files
from dl.data.captioned import extractor
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.decoding import Beam
from dl.task import Tree
from dl.tasks.captioning import Captioning, learner_of
from dl.training.assembly import Experiment


def generate(
    experiment: Experiment,
    params: Tree,
    variables: Tree,
    key: jax.Array,
    images: str = "",
    samples: int = 1,
    beam: int = 5,
    attention: bool = False,
    manual_dir: str | None = None,
) -> dict[str, Artifact]:
    """Says what images show.

    Args:
        experiment: of the run.
        params: of one replica.
        variables: not used.
        key: not used: nothing is drawn.
        images: files of images, with commas between them; any size and shape.
        samples: so many captions of each image, the best first.
        beam: sequences that the search keeps; at least as many as `samples`.
        attention: whether to show where each word of the best caption comes from.
        manual_dir: the folder of archives, where the weights of the network are.

    Raises:
        UserError: no image, one that cannot be read, or a number out of range.
    """
    config = experiment.config
    learner = learner_of(config, Resources(experiment.dataset.info, manual_dir=manual_dir))
    names = [name.strip() for name in images.split(",") if name.strip()]
    if not names:
        raise UserError("which images? Give --images=photo.jpg,cat.png; `china` is a photograph that is always there.")
    search = Beam(max(beam, samples) if beam > 0 else beam, learner.settings.alpha, 0.0, samples)
    search.check()
    batch = batch_of(read(names, experiment.dataset.info.shapes["image"][:2], manual_dir), learner, config, manual_dir)
    features = learner.features(params, batch)
    symbols = np.asarray(jax.jit(lambda p, given: learner.caption(p, given, search).symbols)(params, features))
    said = [[" ".join(learner.words.until_stop(row)) for row in of_image] for of_image in symbols]
    lines = [f"{name}: {text}" for name, texts in zip(names, said, strict=True) for text in texts]
    made: dict[str, Artifact] = {"captions": Text("\n".join(lines))}
    if not attention:
        return made
    shown = learner.looks(params, {name: np.asarray(values) for name, values in batch.items()}, symbols[:, 0])
    if not shown:
        raise UserError("this run has no attention: leave --attention out.")
    return made | dict(zip(names, shown.values(), strict=True))


def read(names: Sequence[str], size: tuple[int, ...], manual_dir: str | None) -> Float[np.ndarray, "n h w 3"]:
    """Images in 0..1, squeezed to one size as those of Flickr8k were.

    Raises:
        UserError: one of them cannot be read.
    """
    found = [jnp.asarray(image_files.read(name, manual_dir=manual_dir)) for name in names]
    return np.stack([np.asarray(jax.image.resize(image, (*size, 3), "bilinear")) for image in found])


def batch_of(
    pixels: Float[np.ndarray, "n h w 3"], learner: Captioning, config: Any, manual_dir: str | None
) -> dict[str, jax.Array]:
    """What the learner is given: the images, and features of them where it was trained on features."""
    batch = {"image": jnp.asarray(pixels)}
    if learner.network is None:
        found = extractor(config.dataset, manual_dir)
        whole = np.round(255 * pixels).clip(0, 255).astype(np.uint8)  # as the images that it was trained on
        batch["image_features"] = jnp.asarray(found.of_images(whole))
    return batch


PUBLIC = {"captioning": generate}
