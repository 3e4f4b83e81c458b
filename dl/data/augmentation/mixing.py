"""Cutout, which removes a part of an image, and mixup, which adds another image to it."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from dl.data.augmentation.checks import Fill, above_zero, filling
from dl.dataset import Features, Kind
from dl.errors import UserError

Image = Float[Array, "h w c"]
LOCAL = (Kind.LABEL_MAP, Kind.BOXES, Kind.POINTS)


def cutout(size: int = 16, fill: Fill = 0.0) -> Callable[[jax.Array, Image], Image]:
    """A square is overwritten with `fill`; its centre is any pixel, its part beyond the border is lost (DeVries & Taylor 2017).

    It covers rows y - size // 2 to y - size // 2 + size - 1, and columns likewise. The paper takes 16 pixels for CIFAR-10, 8
    for CIFAR-100, 20 for SVHN, filled with the data's mean (0 after standardisation): `dataset.mean` as `fill` is the same.
    """
    if not isinstance(size, int) or size < 1:
        raise UserError(f"augmentation setting cutout.size must be a whole number of pixels above 0, not {size!r}.")
    if isinstance(filling("cutout.fill", fill), str):
        raise UserError(f"augmentation setting cutout.fill must be a number, or one a channel, not {fill!r}.")

    def apply(key: jax.Array, image: Image) -> Image:
        shape = jnp.asarray(image.shape[:2])
        first = jax.random.randint(key, (2,), 0, shape) - size // 2
        rows, columns = (jnp.arange(length) - first[i] for i, length in enumerate(image.shape[:2]))
        covered = ((rows >= 0) & (rows < size))[:, None] & ((columns >= 0) & (columns < size))[None, :]
        return jnp.where(covered[..., None], jnp.asarray(fill, image.dtype), image)

    return apply


def mixup(
    alpha: float = 1.0, per_example: bool = False
) -> Callable[[jax.Array, Mapping[str, jax.Array], Features], dict[str, jax.Array]]:
    """`weight * image + (1 - weight) * image[partner]` (Zhang et al. 2018, equation 1); labels as in the package's docstring.

    The weight is Beta(alpha, alpha), one for the batch as in the paper's figure 1a, or one for each example. The paper takes
    alpha 1 for CIFAR-10, 0.2 for ImageNet. Its figure permutes the batch at random; here neighbours are exchanged
    (`neighbours`), which the order of the epoch has put together at random, so that no image goes to another device.
    """
    above_zero("mixup.alpha", alpha)

    def apply(key: jax.Array, batch: Mapping[str, jax.Array], features: Features) -> dict[str, jax.Array]:
        if "label" not in batch:
            raise UserError("augmentation 'mixup' needs labels, and these batches have none: leave it out.")
        on_image = [name for name, feature in features.items() if feature.kind in LOCAL and name in batch]
        if on_image:
            raise UserError(
                f"augmentation 'mixup' adds up images; what lies on them ({', '.join(on_image)}) cannot be added: leave it out."
            )
        image, label = batch["image"], batch["label"]
        drawn = jax.random.beta(key, alpha, alpha, (len(image),) if per_example else (1,), jnp.float32)
        weight = jnp.broadcast_to(drawn, (len(image),))
        own = weight[:, None, None, None]
        mixed = own * image + (1.0 - own) * neighbours(image)
        return {**batch, "image": mixed, "label_mix": neighbours(label), "mix": weight}

    return apply


def neighbours(values: Shaped[Array, "b *rest"]) -> Shaped[Array, "b *rest"]:
    """The next example of each in its group, of the last the first. Groups are as small as they can be: pairs in a batch of an
    even size. So whatever the mesh, the result is the same, and where a device's part of the batch is a whole number of groups,
    each group lies on one device.
    """
    size = next((n for n in range(2, len(values)) if len(values) % n == 0), len(values))
    groups = values.reshape(-1, size, *values.shape[1:])
    return jnp.roll(groups, -1, axis=1).reshape(values.shape)
