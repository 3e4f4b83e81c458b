"""Augmentation: random, label-preserving changes of the training examples, computed in jit on whole batches.

`build` turns the section `config.augmentation` (name -> settings) into one pure function of a key and a batch. What a name does
to a feature follows from the feature's kind (`dl.dataset.Kind`). Geometry (the first five names and `alternating_flip`) is
drawn once for an example and moves an image together with the label maps, boxes and points that lie on it (see
`dl.data.augmentation.geometry`); what comes after it in the table changes images alone, and the last two names sequences of
vectors alone. Every image that moves by itself, such as each side of a pair, has draws of its own.

A name that is listed is applied to every example, and settings that are not given take the defaults below:
`{"affine": {"shift": 2.0}}` rotates as well, unless degrees is 0. `U(a, b)` is a uniform draw for each image; lengths are in
pixels, angles in degrees, pixel values in 0..1. `fill` is what lies outside of the image: a value, one a channel, "edge" or
"reflect".

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
    mixup                alpha=1.0, per_example=False   adds neighbours in the batch, weighted by Beta(alpha, alpha); see below
    spec_augment         frequency_masks=2              so many bands of U{0..frequency_width} neighbouring components and
                         frequency_width=27             so many runs of U{0..time_width} frames, at most the part `time_part`
                         time_masks=2, time_width=100   of all, become `fill`; runs lie within the sequence's length
                         time_part=1.0, fill=0.0
    frame_noise          std=0.05                       adds N(0, std^2) to each component of each frame

Sources: random_resized_crop: Szegedy et al. 2015 (Going Deeper with Convolutions), section 6. pad_and_crop, flip: He et al.
2016 (Deep Residual Learning), section 4.2. affine: LeCun et al. 1998, section III.B. elastic: Simard, Steinkraus & Platt 2003,
section 2. Colours: the definitions of tf.image, by dm-pix, clipped to 0..1 after each. cutout: DeVries & Taylor 2017,
section 3. mixup: Zhang et al. 2018, equation 1. spec_augment: Park et al. 2019, section 2, without the time warping.

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

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dl.data.augmentation import colour, crop, frames, mixing, warp
from dl.data.augmentation.geometry import Geometry, moved
from dl.dataset import ONE_IMAGE, Features, Kind, together
from dl.errors import UserError, unknown
from dl.registry import call

Batch = Mapping[str, jax.Array]
Augmentation = Callable[[jax.Array, Batch], dict[str, jax.Array]]
Step = Callable[[jax.Array, dict[str, jax.Array]], dict[str, jax.Array]]  # (key of an example, its features) -> the features

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
    "spec_augment": (13, frames.spec_augment),
    "frame_noise": (14, frames.frame_noise),
}
OF_FRAMES = ("spec_augment", "frame_noise")


def build(settings: Mapping[str, Any], features: Features = ONE_IMAGE) -> Augmentation:
    """The function `(key, batch) -> batch` that applies what `settings` names; none named: the identity.

    It takes and gives images float32 [B, H, W, C] in 0..1, before standardisation; mixup needs `"label"` and adds two keys (see
    the package). The draws of example b depend on the key and b alone, neither on the batch's size nor on how it is sharded;
    mixup's depend on the size too. So the batch must be the global one: call this under `jit`, and not in a `shard_map` over
    the batch's axis.

    Args:
        settings: name -> its settings.
        features: features of the batches; what is not named there is left alone.

    Raises:
        UserError: an unknown name or setting, or a value out of range; when called: images of a shape that a transform cannot
            take, mixup without labels or with what lies on images.
    """
    made = _made(settings)
    mix, mirror = made.pop("mixup", None), made.pop("alternating_flip", None)
    of_frames = [made.pop(name) for name in OF_FRAMES if name in made]
    maps = [made.pop(name) for name in ("elastic", "affine") if name in made]
    if maps:
        made["affine"] = warp.resampled(maps, warp.common_fill(settings))
    groups = together(features)
    steps = {leader: [_step(made[name], features, leader) for name in ORDER if name in made] for leader in groups}

    def augment(key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        batch = dict(batch)
        for number, leader in enumerate(leader for leader in groups if leader in batch):
            own = key if leader == "image" else jax.random.fold_in(key, number)
            values = {name: batch[name] for name in groups[leader] if name in batch}
            if mirror:
                values = _mirrored(mirror, features, values, batch)
            batch |= _applied(steps[leader], own, values)
        for number, name in enumerate(sorted(name for name in batch if _kind(features, name) is Kind.FRAMES)):
            example_key, _ = jax.random.split(jax.random.fold_in(key, number) if number else key)
            batch[name] = frames.applied(of_frames, example_key, batch[name], batch.get(f"{name}_length"))
        return mix(jax.random.split(key)[1], batch, features) if mix else batch

    return augment


def _made(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Each name that is listed -> what its maker makes, its draws with a key of their own."""
    for name, values in settings.items():
        if name not in ORDER:
            raise unknown("augmentation", name, ORDER)
        if not hasattr(values, "keys"):
            raise UserError(f"augmentation {name!r} must be a dictionary of its settings, such as {{}}, not {values!r}.")
    return {
        name: _keyed(number, call(maker, f"augmentation {name!r}", dict(settings[name])))
        for name, (number, maker) in ORDER.items()
        if name in settings
    }


def _keyed(number: int, transform: Any) -> Any:
    """`transform`, or its draws, with a key of its own, folded from the one that all transforms of an example are given."""

    def keyed(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda key, *given: function(jax.random.fold_in(key, number), *given)

    if isinstance(transform, Geometry | warp.Map):
        return transform._replace(draw=keyed(transform.draw))
    return keyed(transform)


def _step(transform: Any, features: Features, leader: str) -> Step:
    """One transform of the image `leader` and of what moves with it."""

    def geometric(key: jax.Array, values: dict[str, jax.Array]) -> dict[str, jax.Array]:
        height, width, _ = values[leader].shape
        drawn = transform.draw(key, (height, width))
        return {name: moved(transform, drawn, features[name], v, (height, width)) for name, v in values.items()}

    def of_images(key: jax.Array, values: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return {name: transform(key, v) if features[name].kind is Kind.IMAGE else v for name, v in values.items()}

    return geometric if isinstance(transform, Geometry) else of_images


def _applied(steps: list[Step], key: jax.Array, values: dict[str, jax.Array]) -> dict[str, jax.Array]:
    if not steps:
        return values
    example_key, _ = jax.random.split(key)
    count = len(next(iter(values.values())))
    keys = jax.vmap(partial(jax.random.fold_in, example_key))(jnp.arange(count))
    for step in steps:
        values = _materialised(key, jax.vmap(step)(keys, values))
    return values


def _mirrored(mirror: Geometry, features: Features, values: dict[str, jax.Array], batch: Batch) -> dict[str, jax.Array]:
    if "mirror" not in batch:
        raise UserError("the augmentation alternating_flip needs dataset.batches='alternating', which says what to mirror.")
    height, width = next(iter(values.values())).shape[1:3]

    def one(turned: jax.Array, value: jax.Array, name: str) -> jax.Array:
        return moved(mirror, (turned, jnp.bool_(False)), features[name], value, (height, width))

    return {name: jax.vmap(partial(one, name=name))(batch["mirror"], value) for name, value in values.items()}


def _kind(features: Features, name: str) -> Kind | None:
    return features[name].kind if name in features else None


def _materialised(key: jax.Array, values: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """`values`, which the compiler is kept from fusing into what uses them.

    Fused, a step is computed again for every use of its result, and the steps before it too: all transforms of 128 images of
    32 x 32 x 3 took 60 ms instead of 11 on two cores. XLA drops its own barrier before it fuses for the CPU, but does not fuse
    across a conditional. The condition always holds, which XLA does not see: uniform draws are below 1.
    """

    def either(values: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return jax.lax.cond(jax.random.uniform(key) < 1.0, lambda x: x, partial(jax.tree.map, jnp.zeros_like), values)

    return jax.lax.platform_dependent(values, cpu=either, default=jax.lax.optimization_barrier)
