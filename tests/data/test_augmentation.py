"""Each transform against a formula, NumPy, SciPy or colorsys; and what holds for all of them."""

import colorsys
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from dl.data import augmentation
from dl.data.augmentation import build, crop, warp
from dl.data.augmentation.mixing import neighbours
from dl.errors import UserError

KEY = jax.random.key(0)
# Of images: alternating_flip draws nothing (test_alternating.py), and the others change sequences of vectors (test_frames.py).
DRAWN = [name for name in augmentation.ORDER if name not in ("alternating_flip", *augmentation.OF_FRAMES)]
EVERY = {name: {} for name in DRAWN} | {"cutout": {"size": 4}, "random_resized_crop": {"size": 12}}
NOTHING = {
    "random_resized_crop": {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)},
    "pad_and_crop": {"pad": 0},
    "affine": {"degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "shear": 0.0},
    "elastic": {"alpha": 0.0},
    "flip": {"horizontal": False},
    "brightness": {"delta": 0.0},
    "contrast": {"factor": (1.0, 1.0)},
    "saturation": {"factor": (1.0, 1.0)},
    "hue": {"delta": 0.0},
    "gaussian_noise": {"std": 0.0},
}
EXACT = ("pad_and_crop", "affine", "elastic", "flip", "brightness", "gaussian_noise")


def images(count=8, height=12, width=12, channels=3):
    return np.random.default_rng(0).random((count, height, width, channels), np.float32)


def batch_of(pixels):
    return {"image": jnp.asarray(pixels), "label": jnp.arange(len(pixels), dtype=jnp.int32) % 10}


def augmented(settings, pixels, key=KEY):
    return np.asarray(jax.jit(build(settings))(key, batch_of(pixels))["image"])


def mapped(image, degrees=0.0, scale=1.0, squeeze=1.0, shear=0.0, shift=(0.0, 0.0), fill=0.0):
    """`image` under one given affine map."""
    points = jnp.stack(jnp.meshgrid(*(jnp.arange(n, dtype=jnp.float32) for n in image.shape[:2]), indexing="ij"))
    inverse = warp.inverse_matrix(*(jnp.float32(v) for v in (degrees, scale, squeeze, shear)))
    places = warp.move(points, inverse, jnp.asarray(shift, jnp.float32), image.shape[:2])
    return np.asarray(warp.resample(jnp.asarray(image), places, fill))


@pytest.mark.parametrize("names", [EXACT, tuple(name for name in NOTHING if name not in EXACT)])
def test_zero_strength_is_the_identity(names):
    pixels = images()
    out = augmented({name: NOTHING[name] for name in names}, pixels)
    np.testing.assert_allclose(out, pixels, rtol=0, atol=0 if names is EXACT else 4e-6)


def test_no_augmentation_is_the_identity():
    batch = batch_of(images())
    assert all(build({})(KEY, batch)[name] is batch[name] for name in batch)


@pytest.mark.parametrize("name", EVERY)
def test_every_example_has_draws_of_its_own_however_the_batch_is_sharded(name):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    everywhere, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
    pixels = images(16) if name == "mixup" else np.repeat(images(1), 16, axis=0)
    batch = batch_of(pixels)
    one = jax.jit(build({name: EVERY[name]}))
    key, sharded = jax.device_put(KEY, everywhere), jax.device_put(batch, split)
    eight = one.lower(key, sharded).compile()

    expected, out = one(KEY, batch), eight(key, sharded)
    assert out.keys() == expected.keys() and len(out["image"].sharding.device_set) == 8
    for feature in out:
        np.testing.assert_allclose(out[feature], expected[feature], rtol=0, atol=2e-6, err_msg=feature)
    assert len({image.tobytes() for image in np.asarray(expected["image"])}) > (1 if name == "flip" else 6)
    np.testing.assert_array_equal(one(KEY, batch)["image"], expected["image"])
    assert not np.array_equal(one(jax.random.key(1), batch)["image"], expected["image"])
    # Each device works on its own examples alone.
    exchanges = ("all-gather", "all-to-all", "all-reduce", "collective-permute")
    assert not any(f" {exchange}" in eight.as_text() for exchange in exchanges)


def test_draws_do_not_depend_on_the_batch_size_nor_on_the_other_transforms():
    settings = {"pad_and_crop": {}, "affine": {}, "hue": {}, "cutout": {"size": 4}}
    np.testing.assert_allclose(augmented(settings, images()[:3]), augmented(settings, images())[:3], atol=2e-6)
    noise = {"gaussian_noise": {}}
    alone = augmented(noise, images()) - images()
    after_flip = augmented({"flip": {}} | noise, images()) - augmented({"flip": {}}, images())
    np.testing.assert_allclose(after_flip, alone, atol=1e-6)


def test_order_of_the_keys_does_not_matter():
    settings = {"flip": {}, "brightness": {"delta": 0.9}, "gaussian_noise": {}, "cutout": {"size": 4}}
    np.testing.assert_array_equal(augmented(settings, images()), augmented(dict(reversed(settings.items())), images()))


def test_replicas_under_vmap_get_what_each_gets_alone():
    # Colours are what fails where a compiler computes a pixel twice and rounds it differently (see `colour.hue`).
    augment = build({"affine": {}, "flip": {}, "contrast": {}, "saturation": {}, "hue": {}})
    keys, batch = jax.random.split(KEY, 2), batch_of(images(32))
    together = jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, batch)["image"]
    for replica, key in enumerate(keys):
        np.testing.assert_allclose(together[replica], jax.jit(augment)(key, batch)["image"], atol=1e-5)


# Affine and elastic


@pytest.mark.parametrize("shift", [(0, 3), (-2, 1), (20, 0)])
@pytest.mark.parametrize("fill", [0.0, 0.25, (0.1, 0.2, 0.3)])
def test_whole_pixel_shift_moves_the_image_and_fills(shift, fill):
    image = images(1)[0]
    expected = np.broadcast_to(np.float32(fill), image.shape).copy()
    for y, x in np.ndindex(12, 12):
        if 0 <= y - shift[0] < 12 and 0 <= x - shift[1] < 12:
            expected[y, x] = image[y - shift[0], x - shift[1]]
    np.testing.assert_array_equal(mapped(image, shift=shift, fill=fill), expected)


@pytest.mark.parametrize(("fill", "mode"), [("edge", "edge"), ("reflect", "reflect")])
def test_shift_that_repeats_or_reflects_the_border(fill, mode):
    image = images(1)[0]
    padded = np.pad(image, ((5, 5), (5, 5), (0, 0)), mode=mode)
    np.testing.assert_allclose(mapped(image, shift=(3, -4), fill=fill), padded[2:14, 9:21], atol=1e-6)


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_rotation_by_quarter_turns_is_rot90(turns):
    image = images(1)[0]
    np.testing.assert_allclose(mapped(image, degrees=90.0 * turns), np.rot90(image, turns), atol=1e-5)


def test_doubling_enlarges_about_the_centre():
    out = mapped(np.pad(np.ones((3, 3, 1), np.float32), ((5, 5), (5, 5), (0, 0))), scale=2.0)
    assert out[6, 6] == 1.0 and out.sum() == pytest.approx(4 * 9, rel=1e-6)
    np.testing.assert_allclose(scipy.ndimage.center_of_mass(out), (6, 6, 0), atol=1e-5)


def test_affine_map_equals_scipy():
    image = images(1, 14, 11)[0]
    degrees, scale, squeeze, shear, shift = 25.0, 1.2, 1.15, 12.0, np.array([1.3, -0.7])
    turn, slant = np.deg2rad(degrees), np.tan(np.deg2rad(shear))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inverse = np.linalg.inv(rotation @ np.diag([scale * squeeze, scale / squeeze]) @ np.array([[1, 0], [slant, 1]]))
    centre = (np.array(image.shape[:2]) - 1) / 2
    transform = functools.partial(scipy.ndimage.affine_transform, matrix=inverse, order=1, mode="grid-constant", cval=0.5)
    expected = np.stack([transform(c, offset=centre - inverse @ (centre + shift)) for c in image.transpose(2, 0, 1)], axis=2)
    np.testing.assert_allclose(mapped(image, degrees, scale, squeeze, shear, shift, 0.5), expected, atol=1e-5)


def test_affine_draws_stay_within_their_settings():
    image = np.zeros((33, 33, 1), np.float32)
    image[16, 16] = 1.0  # a point at the centre shows the shift alone, whatever the map
    out = augmented({"affine": {"shift": 6.0, "scale": (1.0, 1.0), "shear": 0.0}}, np.repeat(image[None], 500, axis=0))
    centres = np.array([scipy.ndimage.center_of_mass(o[..., 0]) for o in out]) - 16
    assert abs(centres).max() < 6.5 and abs(centres.mean(axis=0)).max() < 0.5
    np.testing.assert_allclose(centres.std(axis=0), 6 / np.sqrt(3), rtol=0.08)


@pytest.mark.parametrize("sigma", [0.7, 4.0])
def test_smoothing_equals_scipy(sigma):
    field = np.random.default_rng(1).uniform(-1, 1, (2, 29, 23)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(field, (0, sigma, sigma), mode="constant", truncate=4.0)
    np.testing.assert_allclose(warp.smooth(jnp.asarray(field), sigma), expected, atol=2e-6)


def test_elastic_displacement_has_the_stated_size_and_smoothness():
    sigma = 4.0
    draw = functools.partial(warp.elastic(34.0, sigma).draw, shape=(64, 64))
    fields = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(KEY, 100)))
    inner = fields[:, :, 16:-16, 16:-16]
    assert inner.std() == pytest.approx(34.0 / (np.sqrt(12 * np.pi) * sigma), rel=0.03)
    # White noise smoothed by a Gaussian of sigma has the autocorrelation exp(-d^2 / (4 sigma^2)).
    for distance in (2, 4, 8):
        measured = (inner[..., distance:] * inner[..., :-distance]).mean() / inner.var()
        assert measured == pytest.approx(np.exp(-(distance**2) / (4 * sigma**2)), abs=0.04)


def test_affine_and_elastic_are_one_resampling():
    affine, elastic = {"degrees": 30.0}, {"alpha": 20.0, "sigma": 3.0}
    image, key = images(1)[0], jax.random.fold_in(jax.random.split(KEY)[0], 0)
    points = jnp.stack(jnp.meshgrid(jnp.arange(12.0), jnp.arange(12.0), indexing="ij"))
    points = points + warp.elastic(**elastic).draw(jax.random.fold_in(key, 3), (12, 12))
    points = np.asarray(warp.move(points, *warp.affine(**affine).draw(jax.random.fold_in(key, 2), (12, 12)), (12, 12)))
    interpolate = functools.partial(scipy.ndimage.map_coordinates, coordinates=points, order=1, mode="grid-constant")
    expected = np.stack([interpolate(channel) for channel in image.transpose(2, 0, 1)], axis=2)
    np.testing.assert_allclose(augmented({"affine": affine, "elastic": elastic}, image[None])[0], expected, atol=1e-5)


# Flips and crops


def test_flips_are_those_of_numpy_each_half_of_the_time():
    pixels = np.repeat(images(1, 3, 4, 1), 400, axis=0)
    out = augmented({"flip": {"horizontal": True, "vertical": True}}, pixels)
    image = pixels[0]
    kinds = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    counts = [sum(np.array_equal(o, kind) for o in out) for kind in kinds]
    assert sum(counts) == 400 and min(counts) > 70  # 100 expected, standard deviation 8.7


@pytest.mark.parametrize(("fill", "pad"), [(0.0, {}), (0.5, {"constant_values": 0.5}), ("reflect", {"mode": "reflect"})])
def test_pad_and_crop_takes_every_window_of_the_padded_image(fill, pad):
    image = images(1, 5, 6)[0]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), **pad)
    windows = [padded[y : y + 5, x : x + 6].tobytes() for y, x in np.ndindex(3, 3)]
    out = augmented({"pad_and_crop": {"pad": 1, "fill": fill}}, np.repeat(image[None], 300, axis=0))
    counts = [sum(o.tobytes() == window for o in out) for window in windows]
    assert sum(counts) == 300 and min(counts) > 10  # 33 expected, standard deviation 5.4


def test_random_windows_have_the_area_ratio_and_place_asked_for():
    draw = functools.partial(crop.random_window, shape=(40, 60), scale=(0.2, 0.6), ratio=(0.5, 2.0))
    start, extent = (np.asarray(v) for v in jax.jit(jax.vmap(draw))(jax.random.split(KEY, 2000)))
    assert (start >= 0).all() and (start + extent <= (40, 60)).all() and (start == np.round(start)).all()
    area, aspect = extent.prod(axis=1) / 2400, extent[:, 1] / extent[:, 0]
    assert area.min() > 0.18 and area.max() < 0.63 and aspect.min() > 0.47 and aspect.max() < 2.1
    assert abs(np.quantile(area, [0.05, 0.95]) - [0.22, 0.58]).max() < 0.03
    room = np.array([40, 60]) - extent
    assert np.mean(start[room > 0] / room[room > 0]) == pytest.approx(0.5, abs=0.03)


def test_a_window_that_never_fits_falls_back_to_the_central_one():
    start, extent = crop.random_window(
        KEY, (10, 40), (1.0, 1.0), (0.75, 4 / 3)
    )  # as torchvision: height 10, width round(10 * 4/3)
    np.testing.assert_array_equal(extent, (10, 13))
    np.testing.assert_array_equal(start, (0, 13))


def test_random_resized_crop_of_the_windows_own_size_is_the_window():
    pixels = np.repeat(images(1, 12, 12), 50, axis=0)
    out = augmented({"random_resized_crop": {"size": 6, "scale": (0.25, 0.25), "ratio": (1.0, 1.0)}}, pixels)
    windows = np.stack([pixels[0, y : y + 6, x : x + 6] for y, x in np.ndindex(7, 7)])
    distance = abs(out[:, None] - windows[None]).max(axis=(2, 3, 4))
    assert distance.min(axis=1).max() < 1e-5 and len(set(distance.argmin(axis=1))) > 20


def test_random_resized_crop_enlarges_a_window_as_the_whole_image():
    """Windows of 6x6 at twice their size are parts, at even places, of the whole image at twice its size."""
    pixels = np.repeat(images(1, 12, 12), 50, axis=0)
    out = augmented({"random_resized_crop": {"size": 12, "scale": (0.25, 0.25), "ratio": (1.0, 1.0)}}, pixels)
    whole = np.asarray(jax.image.resize(pixels[0], (24, 24, pixels.shape[-1]), "linear"))
    windows = np.stack([whole[2 * y : 2 * y + 12, 2 * x : 2 * x + 12] for y, x in np.ndindex(7, 7)])
    distance = abs(out[:, None] - windows[None]).max(axis=(2, 3, 4))
    assert distance.min(axis=1).max() < 1e-5 and len(set(distance.argmin(axis=1))) > 20


def test_random_resized_crop_resizes_as_pillow():
    image_module = pytest.importorskip("PIL.Image")
    image = images(1, 24, 24, 1)[0]
    settings = {"random_resized_crop": {"size": (8, 10), "scale": (1.0, 1.0), "ratio": (1.0, 1.0)}}
    expected = image_module.fromarray(image[..., 0]).resize((10, 8), image_module.Resampling.BILINEAR)
    np.testing.assert_allclose(augmented(settings, image[None])[0, ..., 0], np.asarray(expected), atol=1e-5)


# Colour and noise


def test_brightness_adds_one_number_to_an_image():
    pixels = 0.4 + 0.2 * images(200)
    added = augmented({"brightness": {"delta": 0.3}}, pixels) - pixels
    assert np.ptp(added.reshape(200, -1), axis=1).max() < 1e-6
    assert abs(added).max() < 0.3 and added.mean(axis=(1, 2, 3)).std() == pytest.approx(0.3 / np.sqrt(3), rel=0.1)
    assert augmented({"brightness": {"delta": 5.0}}, pixels).min() == 0.0  # clipped


def test_contrast_scales_the_distance_from_each_channels_mean():
    pixels = 0.4 + 0.2 * images()
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    out = augmented({"contrast": {"factor": (1.5, 1.5)}}, pixels)
    np.testing.assert_allclose(out, mean + 1.5 * (pixels - mean), atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.8])
def test_saturation_is_that_of_colorsys(factor):
    pixels = images(2, 4, 4)
    expected = np.empty_like(pixels)
    for where in np.ndindex(pixels.shape[:3]):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixels[where]))
        expected[where] = colorsys.hsv_to_rgb(hue, min(saturation * factor, 1.0), value)
    np.testing.assert_allclose(augmented({"saturation": {"factor": (factor, factor)}}, pixels), expected, atol=2e-6)


def test_hue_turns_within_its_range_and_nothing_else():
    pixels = images(100, 2, 2)
    out = augmented({"hue": {"delta": 0.1}}, pixels)
    before, after = (np.array([colorsys.rgb_to_hsv(*map(float, p)) for p in x.reshape(-1, 3)]) for x in (pixels, out))
    np.testing.assert_allclose(before[:, 1:], after[:, 1:], atol=1e-5)
    turned = ((after - before)[:, 0].reshape(100, 4) + 0.5) % 1 - 0.5
    assert np.ptp(turned, axis=1).max() < 1e-4  # one angle for an image
    assert abs(turned).max() < 0.1 and turned.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.15)


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_grey_images_have_no_hue_or_saturation(name):
    pixels = images(channels=1)
    np.testing.assert_array_equal(augmented({name: {}}, pixels), pixels)
    np.testing.assert_allclose(augmented({name: {}}, np.repeat(pixels, 3, axis=3)), np.repeat(pixels, 3, axis=3), atol=1e-6)
    with pytest.raises(UserError, match="1 or 3 channels; these have 2"):
        build({name: {}})(KEY, batch_of(images(channels=2)))


def test_noise_is_white_and_of_the_given_deviation():
    noise = augmented({"gaussian_noise": {"std": 0.1}}, np.zeros((20, 16, 16, 3), np.float32))
    assert noise.std() == pytest.approx(0.1, rel=0.03) and abs(noise.mean()) < 0.003
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 3e-4


# Cutout and mixup


@pytest.mark.parametrize("size", [3, 4])
def test_cutout_overwrites_a_square_clipped_at_the_border(size):
    squares = []
    for y, x in np.ndindex(7, 9):
        image = np.ones((7, 9, 2), np.float32)
        top, left = y - size // 2, x - size // 2
        image[max(top, 0) : top + size, max(left, 0) : left + size] = 0.0
        squares.append(image.tobytes())
    out = augmented({"cutout": {"size": size}}, np.ones((1000, 7, 9, 2), np.float32))
    counts = [sum(o.tobytes() == square for o in out) for square in squares]
    assert sum(counts) == 1000 and min(counts) > 0  # every centre happens (15.9 expected), and nothing else does


def test_cutout_fills_with_a_value_a_channel():
    out = augmented({"cutout": {"size": 40, "fill": (0.1, 0.2, 0.3)}}, images())
    np.testing.assert_array_equal(out, np.broadcast_to(np.float32([0.1, 0.2, 0.3]), out.shape))


@pytest.mark.parametrize(
    ("size", "partners"),
    [(1, [0]), (2, [1, 0]), (6, [1, 0, 3, 2, 5, 4]), (5, [1, 2, 3, 4, 0]), (9, [1, 2, 0, 4, 5, 3, 7, 8, 6])],
)
def test_partners_of_mixup_are_neighbours(size, partners):
    np.testing.assert_array_equal(neighbours(jnp.arange(size)), partners)


@pytest.mark.parametrize("per_example", [False, True])
def test_mixup_adds_a_partner_by_its_weight(per_example):
    count = 64
    pixels = np.zeros((count, 8, 8, 1), np.float32).reshape(count, -1)
    pixels[:, :] = np.eye(count, dtype=np.float32)  # image i is the i-th unit vector, so a mixture shows what went into it
    batch = {"image": jnp.asarray(pixels.reshape(count, 8, 8, 1)), "label": jnp.arange(count, dtype=jnp.int32)}
    out = jax.jit(build({"mixup": {"per_example": per_example}}))(KEY, batch | {"index": batch["label"]})
    weight, partner = np.asarray(out["mix"]), np.asarray(out["label_mix"])
    assert weight.shape == (count,) and weight.dtype == np.float32 and partner.dtype == np.int32
    assert (weight >= 0).all() and (weight <= 1).all() and (len(set(weight.tolist())) == 1) is not per_example
    assert sorted(partner) == list(range(count)) and (partner != np.arange(count)).sum() > count // 2
    expected = weight[:, None] * np.eye(count) + (1 - weight[:, None]) * np.eye(count)[partner]
    np.testing.assert_allclose(np.asarray(out["image"]).reshape(count, -1), expected, atol=1e-6)
    np.testing.assert_array_equal(out["label"], batch["label"])
    np.testing.assert_array_equal(out["index"], batch["label"])


def test_mixup_weights_are_beta_distributed():
    alpha = 0.2
    batch = {"image": jnp.zeros((4000, 1, 1, 1)), "label": jnp.zeros(4000, jnp.int32)}
    weight = np.asarray(jax.jit(build({"mixup": {"alpha": alpha, "per_example": True}}))(KEY, batch)["mix"])
    assert weight.mean() == pytest.approx(0.5, abs=0.03)
    assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_mixup_without_labels_says_so():
    with pytest.raises(UserError, match="needs labels"):
        build({"mixup": {}})(KEY, {"image": jnp.zeros((2, 4, 4, 1))})


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flop": {}}, "unknown augmentation 'flop'. Did you mean 'flip'.*Choices: affine, alternating_flip, brightness"),
        ({"affine": {"degree": 3.0}}, "unknown setting of augmentation 'affine' 'degree'. Did you mean 'degrees'"),
        ({"affine": 3.0}, "must be a dictionary of its settings"),
        ({"affine": {"degrees": -1.0}}, "affine.degrees must be a number of at least 0, not -1.0"),
        ({"affine": {"scale": (1.2, 0.8)}}, r"affine.scale must be \(low, high\)"),
        ({"affine": {"squeeze": 0.5}}, "affine.squeeze must be a number of at least 1"),
        ({"affine": {"fill": "edges"}}, "unknown augmentation setting affine.fill 'edges'. Did you mean 'edge'"),
        ({"affine": {"fill": 1.0}, "elastic": {"fill": 0.0}}, "affine.fill 1.0 and elastic.fill 0.0 differ"),
        ({"elastic": {"sigma": 0.0}}, "elastic.sigma must be a number above 0"),
        ({"pad_and_crop": {"pad": -1}}, "pad_and_crop.pad must be a whole number"),
        ({"random_resized_crop": {"ratio": (0.0, 1.0)}}, "random_resized_crop.ratio's low end"),
        ({"cutout": {"size": 0}}, "cutout.size must be a whole number"),
        ({"cutout": {"fill": "edge"}}, "cutout.fill must be a number"),
        ({"mixup": {"alpha": 0.0}}, "mixup.alpha must be a number above 0"),
    ],
)
def test_bad_settings_are_one_clear_line(settings, message):
    with pytest.raises(UserError, match=message):
        build(settings)
