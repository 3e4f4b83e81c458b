"""Augmentation: random, label-preserving changes of the training images, computed in jit on whole batches.

`build` turns the section `config.augmentation` (name -> settings) into one pure function of a key and a batch. A name that is
listed is applied to every image, and settings that are not given take the defaults below: `{"affine": {"shift": 2.0}}` rotates
as well, unless degrees is 0. `U(a, b)` is a uniform draw for each image; lengths are in pixels, angles in degrees, pixel values
in 0..1. `fill` is what lies outside of the image: a value, one a channel, "edge" or "reflect".

    name                 settings and defaults          what is done
    random_resized_crop  size=0, antialias=True         a window of U(scale) of the image's area, its width / height
                         scale=(0.08, 1.0)              log-uniform in `ratio`, is resized bilinearly to `size`:
                         ratio=(3/4, 4/3)               a side, (height, width), or 0 for the image's own
    pad_and_crop         pad=4, fill=0.0                a window of the image's size, after `pad` more on each side
    affine               degrees=10.0                   rotation about the centre by U(-degrees, degrees)
                         shift=2.0                      shift by U(-shift, shift) on each axis
                         scale=(0.9, 1.1)               zoom by U(scale); above 1 enlarges
                         squeeze=1.0                    height times s, width divided by s, s log-uniform in 1/squeeze..squeeze
                         shear=5.0, fill=0.0            horizontal shear (slant) by U(-shear, shear) degrees
    elastic              alpha=34.0, sigma=4.0          pixels are displaced by alpha times U(-1, 1) noise that is
                         fill=0.0                       smoothed by a Gaussian of standard deviation sigma
    alternating_flip                                    left and right are exchanged where the batch's `mirror` says so,
                                                        which dataset.batches="alternating" makes: every other epoch
    flip                 horizontal=True                left and right are exchanged with probability 1/2
                         vertical=False                 top and bottom are exchanged with probability 1/2
    brightness           delta=0.2                      adds U(-delta, delta)
    contrast             factor=(0.8, 1.2)              the distance from each channel's mean times U(factor)
    saturation           factor=(0.8, 1.2)              the saturation (HSV) times U(factor); grey images stay
    hue                  delta=0.05                     the hue (HSV) plus U(-delta, delta) turns; grey images stay
    gaussian_noise       std=0.05                       adds N(0, std^2) to each pixel and channel, not clipped
    cutout               size=16, fill=0.0              overwrites a square of side `size`, centred on any pixel
    mixup                alpha=1.0, per_example=False   adds images in pairs, weighted by Beta(alpha, alpha); see below

Sources: random_resized_crop: Szegedy et al. 2015 (Going Deeper with Convolutions), section 6. pad_and_crop, flip: He et al.
2016 (Deep Residual Learning), section 4.2. affine: LeCun et al. 1998, section III.B. elastic: Simard, Steinkraus & Platt 2003,
section 2. Colours: the definitions of tf.image, by dm-pix, clipped to 0..1 after each. cutout: DeVries & Taylor 2017,
section 3. mixup: Zhang et al. 2018, equation 1.

The order is that of the table, whatever the order in the configuration, which is saved with its keys sorted and must mean the
same afterwards. First comes what sets the size, so that all later lengths are pixels of the image that the network sees; then
the rest of the geometry, and then the colour, as light meets a lens before a sensor; noise after them, so that no resampling
smooths it; cutout on top; mixup last, of finished images. `affine` and `elastic` together are one resampling (first the affine
map, then the elastic one), so that the image is interpolated once; they share one `fill`.

What mixup adds to a batch, for the task to use:

    "mix"        float32 [B], the weight of the example's own label (all equal unless per_example)
    "label_mix"  int32 [B], the label of the example that was mixed in
    loss of an example = mix * loss(logits, label) + (1 - mix) * loss(logits, label_mix)
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from dl.data.augmentation import colour, crop, mixing, warp
from dl.errors import UserError, unknown
from dl.registry import call

Batch = Mapping[str, jax.Array]
Augmentation = Callable[[jax.Array, Batch], dict[str, jax.Array]]

# In the order of application, but for alternating_flip, which comes first. The number is folded into the transform's key, so
# that adding a transform to a configuration leaves the draws of the others; it stays with the name for good, also when another
# is put before it.
ORDER: dict[str, tuple[int, Callable[..., Any]]] = {
    "random_resized_crop": (0, crop.random_resized_crop),
    "pad_and_crop": (1, crop.pad_and_crop),
    "affine": (2, warp.affine),
    "elastic": (3, warp.elastic),
    "flip": (4, crop.flip),
    "brightness": (5, colour.brightness),
    "contrast": (6, colour.contrast),
    "saturation": (7, colour.saturation),
    "hue": (8, colour.hue),
    "gaussian_noise": (9, colour.gaussian_noise),
    "cutout": (10, mixing.cutout),
    "mixup": (11, mixing.mixup),
    "alternating_flip": (12, crop.alternating_flip),
}


def build(settings: Mapping[str, Any]) -> Augmentation:
    """The function `(key, batch) -> batch` that applies what `settings` names; none named: the identity.

    It takes and gives `"image"` float32 [B, H, W, C] in 0..1, before standardisation, and leaves the batch's other keys; mixup
    needs `"label"` and adds two keys (see the package). The draws of example b depend on the key and b alone, neither on the
    batch's size nor on how it is sharded; mixup's depend on the size too. So the batch must be the global one: call this under
    `jit`, and not in a `shard_map` over the batch's axis.

    Raises:
        UserError: an unknown name or setting, or a value out of range; when called: images of a shape that a transform cannot
            take, or mixup without labels.
    """
    for name, values in settings.items():
        if name not in ORDER:
            raise unknown("augmentation", name, ORDER)
        if not hasattr(values, "keys"):
            raise UserError(f"augmentation {name!r} must be a dictionary of its settings, such as {{}}, not {values!r}.")
    made = {
        name: _keyed(number, call(maker, f"augmentation {name!r}", dict(settings[name])))
        for name, (number, maker) in ORDER.items()
        if name in settings
    }
    mix, mirror = made.pop("mixup", None), made.pop("alternating_flip", None)
    maps = [made.pop(name) for name in ("elastic", "affine") if name in made]
    if maps:
        made["affine"] = functools.partial(warp.resampled, maps, warp.common_fill(settings))
    steps = [made[name] for name in ORDER if name in made]

    def augment(key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        example_key, batch_key = jax.random.split(key)
        batch = mirror(batch_key, dict(batch)) if mirror else dict(batch)
        if steps:
            image = batch["image"]
            keys = jax.vmap(functools.partial(jax.random.fold_in, example_key))(jnp.arange(len(image)))
            for step in steps:
                image = _materialised(key, jax.vmap(step)(keys, image))
            batch["image"] = image
        return mix(batch_key, batch) if mix else batch

    return augment


def _materialised(key: jax.Array, image: jax.Array) -> jax.Array:
    """`image`, which the compiler is kept from fusing into what uses it.

    Fused, a step is computed again for every use of its result, and the steps before it too: all transforms of 128 images of
    32 x 32 x 3 took 60 ms instead of 11 on two cores. XLA drops its own barrier before it fuses for the CPU, but does not fuse
    across a conditional. The condition always holds, which XLA does not see: uniform draws are below 1.
    """

    def either(image: jax.Array) -> jax.Array:
        return jax.lax.cond(jax.random.uniform(key) < 1.0, lambda x: x, jnp.zeros_like, image)

    return jax.lax.platform_dependent(image, cpu=either, default=jax.lax.optimization_barrier)


def _keyed(number: int, transform: Callable[..., Any]) -> Callable[..., Any]:
    """`transform` with a key of its own, folded from the one that all transforms of an example are given."""
    return lambda key, value: transform(jax.random.fold_in(key, number), value)
