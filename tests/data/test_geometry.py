"""Geometry is drawn once and done to each kind in its own way: worked examples, and what stays aligned with what."""

from functools import partial

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.augmentation import build, crop, warp
from dl.data.augmentation.geometry import Geometry, grid, moved, nearest, with_masks
from dl.dataset import Feature, Kind, together
from dl.errors import UserError

KEY = jax.random.key(0)
FEATURES = {
    "image": Feature(Kind.IMAGE, (8, 10, 1)),
    "classes": Feature(Kind.LABEL_MAP, (8, 10)),
    "boxes": Feature(Kind.BOXES, (2, 4)),
    "points": Feature(Kind.POINTS, (2, 2)),
}
GEOMETRIC = {
    "random_resized_crop": {"size": (48, 40), "scale": (0.5, 0.9)},
    "pad_and_crop": {"pad": 3},
    "affine": {"degrees": 20.0, "shift": 2.0},
    "elastic": {"alpha": 10.0, "sigma": 3.0},
    "flip": {"vertical": True},
}
TURNED, LEFT_RIGHT = jnp.bool_(True), (jnp.bool_(True), jnp.bool_(False))


def one(geometry, parameters, name, values, shape=(8, 10)):
    change = jax.jit(lambda parameters, values: moved(geometry, parameters, FEATURES[name], values, shape))
    return np.asarray(change(parameters, values))


def blob(centre, shape=(64, 64), width=2.5):
    """A bright spot at a place, which shows where the image was moved to."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * width**2)).astype(np.float32)[..., None]


# Each kind, by hand


def test_a_flip_of_boxes_points_and_label_maps():
    boxes = np.float32([[0.25, 0.1, 0.5, 0.4], [0, 0, 0, 0]])
    np.testing.assert_allclose(one(crop.flip(), LEFT_RIGHT, "boxes", boxes), [[0.25, 0.6, 0.5, 0.9], [0, 0, 0, 0]], atol=1e-6)
    upside = (jnp.bool_(False), TURNED)
    turned = one(crop.flip(vertical=True), upside, "boxes", boxes)
    np.testing.assert_allclose(turned, [[0.5, 0.1, 0.75, 0.4], [0, 0, 0, 0]], atol=1e-6)
    points = np.float32([[0.25, 0.1], [-1, -1]])
    np.testing.assert_allclose(one(crop.flip(), LEFT_RIGHT, "points", points), [[0.25, 0.9], [-1, -1]], atol=1e-6)
    labels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    np.testing.assert_array_equal(one(crop.flip(), LEFT_RIGHT, "classes", labels), labels[:, ::-1])


def test_a_shift_leaves_void_at_the_rim_clips_boxes_and_drops_what_has_gone():
    """The image moves 2 pixels up and 3 to the left: of 8 rows a quarter is lost, of 10 columns three."""
    shift, start = crop.pad_and_crop(pad=4), (jnp.int32(4 + 2), jnp.int32(4 + 3))
    labels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    expected = np.full((8, 10), 255, np.uint8)
    expected[:6, :7] = labels[2:, 3:]
    np.testing.assert_array_equal(one(shift, start, "classes", labels), expected)
    boxes = np.float32([[0.125, 0.5, 0.75, 1.0], [0.0, 0.0, 0.25, 0.3]])  # the second lies in what is lost
    np.testing.assert_allclose(one(shift, start, "boxes", boxes), [[0, 0.2, 0.5, 0.7], [0, 0, 0, 0]], atol=1e-6)
    points = np.float32([[0.5, 0.5], [0.2, 0.5], [1.1, 0.5]])  # the last was outside, and is none inside either
    np.testing.assert_allclose(one(shift, start, "points", points), [[0.25, 0.2], [-1, -1], [-1, -1]], atol=1e-6)


def test_a_quarter_turn_of_a_box_is_the_turned_box():
    """Counter-clockwise on a square image: the column becomes the row from below, the row the column."""
    turn = warp.affine()
    drawn = (warp.inverse_matrix(*(jnp.float32(v) for v in (90.0, 1.0, 1.0, 0.0))), jnp.zeros(2))
    square = (10, 10)
    geometry = warp.resampled([turn], 0.0)
    boxes = np.float32([[0.1, 0.2, 0.4, 0.9], [0, 0, 0, 0]])
    got = one(geometry, [drawn], "boxes", boxes, square)
    np.testing.assert_allclose(got, [[0.1, 0.1, 0.8, 0.4], [0, 0, 0, 0]], atol=1e-5)
    labels = np.arange(100, dtype=np.int32).reshape(square)
    np.testing.assert_array_equal(one(geometry, [drawn], "classes", labels, square), np.rot90(labels))


def test_a_line_is_no_box_and_stays_none_when_it_is_turned():
    """Turned by 45 degrees the rectangle around a line has an area, and so has one whose corners are exchanged."""
    drawn = (warp.inverse_matrix(*(jnp.float32(v) for v in (45.0, 1.0, 1.0, 0.0))), jnp.zeros(2))
    lines = np.float32([[0.5, 0.3, 0.5, 0.7], [0.6, 0.6, 0.4, 0.4]])
    np.testing.assert_array_equal(
        one(warp.resampled([warp.affine()], 0.0), [drawn], "boxes", lines, (10, 10)), np.zeros((2, 4))
    )


def test_a_box_is_around_all_of_a_bent_outline():
    """Columns move by 2 of 10 pixels to the right in the middle of the height, and not at all at its ends."""

    def bent(drawn, places, shape):
        row, column = places
        return jnp.stack([row, column + 2 * (1 - (2 * (row + 0.5) / shape[0] - 1) ** 2)])

    def turned(drawn, places, shape):
        return bent(drawn, places[::-1], shape)[::-1]

    boxes = np.float32([[0.0, 0.2, 1.0, 0.4]])
    for targets, order in ((bent, [0, 1, 2, 3]), (turned, [1, 0, 3, 2])):
        geometry = Geometry(lambda key, shape: (), lambda drawn, image: image, lambda drawn, shape: grid(shape), targets)
        moved_ = one(geometry, (), "boxes", boxes[:, order], (10, 10))
        np.testing.assert_allclose(moved_, np.float32([[0.0, 0.2, 1.0, 0.6]])[:, order], atol=1e-6)


def test_a_crop_that_enlarges_moves_what_lies_in_its_window():
    """The window of rows 2 to 5 and columns 5 to 9, at twice its size."""
    window = (jnp.float32([2, 5]), jnp.float32([4, 5]))
    zoom = crop.random_resized_crop(size=(8, 10))
    labels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    np.testing.assert_array_equal(one(zoom, window, "classes", labels), labels[2:6, 5:].repeat(2, 0).repeat(2, 1))
    boxes = np.float32([[0.25, 0.5, 0.5, 0.75], [0, 0, 0.2, 0.4]])
    np.testing.assert_allclose(one(zoom, window, "boxes", boxes), [[0, 0, 0.5, 0.5], [0, 0, 0, 0]], atol=1e-6)


def test_the_void_is_the_features_own_and_labels_are_never_mixed():
    sources = jnp.float32([[[0.4, 0.6], [-0.6, 1.4]], [[0.0, 0.0], [0.0, 0.0]]])
    labels = jnp.int32([[10], [20]])
    np.testing.assert_array_equal(nearest(labels, sources, 7), [[10, 20], [7, 20]])


# What is moved together


@pytest.mark.parametrize("name", ["flip", "pad_and_crop"])
def test_an_image_that_is_its_label_map_stays_its_label_map(name):
    """Whole pixels are moved, so both are the same afterwards, where the rim is filled by the void's value."""
    labels = np.random.default_rng(0).integers(0, 5, (16, 8, 10), dtype=np.uint8)
    batch = {"image": jnp.asarray(labels[..., None], jnp.float32), "classes": jnp.asarray(labels)}
    settings = {name: {**GEOMETRIC[name], **({"fill": 255.0} if name == "pad_and_crop" else {})}}
    out = jax.jit(build(settings, FEATURES))(KEY, batch)
    np.testing.assert_array_equal(out["image"][..., 0], out["classes"])
    assert (np.asarray(out["classes"]) != labels).any()


@pytest.mark.parametrize("name", GEOMETRIC)
def test_points_boxes_and_label_maps_follow_the_image(name):
    """A spot in the image, a point on it, a box around it and its label go to the same place."""
    centres = np.random.default_rng(1).uniform(24, 40, (24, 2))
    features = {**FEATURES, "points": Feature(Kind.POINTS, (1, 2)), "boxes": Feature(Kind.BOXES, (1, 4))}
    spots = np.stack([blob(centre) for centre in centres])
    places = ((centres + 0.5) / 64).astype(np.float32)[:, None]
    batch = {
        "image": jnp.asarray(spots),
        "classes": jnp.asarray((spots[..., 0] > 0.5).astype(np.uint8)),
        "points": jnp.asarray(places),
        "boxes": jnp.asarray(np.concatenate([places - 0.05, places + 0.05], axis=-1)),
    }
    out = {k: np.asarray(v) for k, v in jax.jit(build({name: GEOMETRIC[name]}, features))(KEY, batch).items()}
    seen = 0
    for image, labels, (point,), (box,) in zip(*(out[k] for k in ("image", "classes", "points", "boxes")), strict=True):
        size = np.array(image.shape[:2])
        if image.max() < 0.7 or (point < 0).any():
            continue
        weights = np.where(image[..., 0] > 0.5, image[..., 0], 0)
        middle = (np.argwhere(weights > 0).T * weights[weights > 0]).sum(1) / weights.sum()
        if (middle < 3).any() or (middle > size - 4).any():
            continue  # cut off by the rim, so its centre is elsewhere
        np.testing.assert_allclose(point * size - 0.5, middle, atol=0.75)
        assert (box[:2] < point).all() and (point < box[2:]).all()
        assert ((labels == 1) == (image[..., 0] > 0.5)).mean() > 0.97
        seen += 1
    assert seen > 6


def test_elastic_and_affine_maps_are_inverted():
    maps = [warp.elastic(10.0, 3.0), warp.affine(30.0, 3.0)]
    geometry = warp.resampled(maps, 0.0)

    def there_and_back(key):
        drawn = geometry.draw(key, (32, 32))
        sources = geometry.sources(drawn, (32, 32))
        return geometry.targets(drawn, sources[:, 8:24, 8:24].reshape(2, -1), (32, 32))

    there = jax.jit(there_and_back)(KEY)
    rows, columns = np.mgrid[8:24, 8:24]
    np.testing.assert_allclose(there, np.stack([rows.ravel(), columns.ravel()]), atol=0.02)


def test_two_images_move_apart_and_one_that_names_another_moves_with_it():
    image = Feature(Kind.IMAGE, (8, 8, 1))
    assert together({"right": image, "left": image}) == {"left": ["left"], "right": ["right"]}
    features = {"depth": image._replace(image="left"), "left": image, "right": image}
    assert together(features) == {"left": ["left", "depth"], "right": ["right"]}
    pixels = jnp.asarray(np.random.default_rng(0).random((32, 8, 8, 1), np.float32))
    out = jax.jit(build({"pad_and_crop": {}}, features))(KEY, dict.fromkeys(features, pixels))
    np.testing.assert_array_equal(out["depth"], out["left"])
    assert (np.asarray(out["right"]) != np.asarray(out["left"])).any()


def test_photometric_augmentations_and_cutout_touch_images_alone():
    names = ("brightness", "contrast", "saturation", "hue", "gaussian_noise", "cutout")
    batch = {
        "image": jnp.full((4, 8, 10, 3), 0.5),
        "classes": jnp.ones((4, 8, 10), jnp.uint8),
        "boxes": jnp.full((4, 2, 4), 0.5),
        "points": jnp.full((4, 2, 2), 0.5),
        "vectors": jnp.ones((4, 8, 10, 3)),  # as large as the images, and none
    }
    features = {**FEATURES, "vectors": Feature(Kind.NUMBER, (8, 10, 3))}
    out = jax.jit(build({name: {} for name in names}, features))(KEY, batch)
    assert (np.asarray(out["image"]) != 0.5).any()
    for name in ("classes", "boxes", "points", "vectors"):
        np.testing.assert_array_equal(out[name], batch[name])


def test_an_alternating_flip_moves_all_that_lies_on_the_image():
    boxes = jnp.tile(jnp.float32([[[0.25, 0.1, 0.5, 0.4]]]), (2, 1, 1))
    labels = jnp.arange(160, dtype=jnp.int32).reshape(2, 8, 10)
    batch = {"image": jnp.zeros((2, 8, 10, 1)), "classes": labels, "boxes": boxes, "mirror": jnp.array([True, False])}
    out = jax.jit(build({"alternating_flip": {}}, FEATURES))(KEY, batch)
    np.testing.assert_allclose(out["boxes"][:, 0], [[0.25, 0.6, 0.5, 0.9], [0.25, 0.1, 0.5, 0.4]], atol=1e-6)
    np.testing.assert_array_equal(out["classes"], [labels[0, :, ::-1], labels[1]])


def test_masks_say_which_boxes_and_points_count():
    batch = {
        "boxes": jnp.float32([[[0, 0, 0.5, 0.5], [0, 0, 0, 0]], [[0, 0, 1, 1], [0, 0, 1, 1]]]),
        "boxes_length": jnp.int32([2, 1]),
        "points": jnp.float32([[[0.5, 1.0], [-1, -1]], [[0.5, 1.1], [0, 0]]]),
    }
    out = with_masks(batch, FEATURES)
    np.testing.assert_array_equal(out["boxes_mask"], [[True, False], [True, False]])
    np.testing.assert_array_equal(out["points_mask"], [[True, False], [False, True]])


def test_mixup_refuses_what_lies_on_images():
    batch = {"image": jnp.zeros((2, 8, 10, 1)), "label": jnp.zeros(2, jnp.int32), "classes": jnp.zeros((2, 8, 10), jnp.uint8)}
    with pytest.raises(UserError, match=r"what lies on them \(classes\) cannot be added"):
        build({"mixup": {}}, FEATURES)(KEY, batch)


# The same images as before features had a kind


@partial(jax.jit, static_argnums=(1, 2))
def example_keys(key, count, number):
    own = jax.vmap(lambda i: jax.random.fold_in(jax.random.split(key)[0], i))(jnp.arange(count))
    return jax.vmap(lambda k: jax.random.fold_in(k, number))(own)


def test_crops_and_flips_of_images_are_still_those_of_dm_pix():
    """The keys are derived as ever, and the draws are those of `dm_pix`: training goes on with the same images, bit by bit."""
    pixels = jnp.asarray(np.random.default_rng(0).random((32, 9, 7, 3), np.float32))

    def cropped(key, image):
        return dm_pix.random_crop(key, jnp.pad(image, ((2, 2), (2, 2), (0, 0))), image.shape)

    def flipped(key, image):
        left_right, up_down = jax.random.split(key)
        return dm_pix.random_flip_up_down(up_down, dm_pix.random_flip_left_right(left_right, image))

    expected = jax.jit(jax.vmap(cropped))(example_keys(KEY, 32, 1), pixels)
    expected = jax.jit(jax.vmap(flipped))(example_keys(KEY, 32, 4), expected)
    settings = {"pad_and_crop": {"pad": 2}, "flip": {"vertical": True}}
    np.testing.assert_array_equal(jax.jit(build(settings))(KEY, {"image": pixels})["image"], expected)
    second = jax.jit(jax.vmap(cropped))(example_keys(jax.random.fold_in(KEY, 1), 32, 1), pixels)
    sides = {"left": Feature(Kind.IMAGE), "right": Feature(Kind.IMAGE)}
    both = jax.jit(build({"pad_and_crop": {"pad": 2}}, sides))(KEY, {"left": pixels, "right": pixels})
    np.testing.assert_array_equal(both["right"], second)


def test_affine_maps_of_images_are_drawn_as_before():
    """Rotation, shifts, squeeze and shear are one draw of five, the scale a second, from the key with 2 folded in."""
    pixels = jnp.asarray(np.random.default_rng(0).random((8, 12, 12, 1), np.float32))

    def mapped(key, image):
        angle, down, right, stretch, slant = 2.0 * jax.random.uniform(jax.random.fold_in(key, 0), (5,)) - 1.0
        zoom = jax.random.uniform(jax.random.fold_in(key, 1), (), minval=0.9, maxval=1.1)
        inverse = warp.inverse_matrix(7.5 * angle, zoom, 1.1**stretch, 7.5 * slant)
        points = jnp.stack(jnp.meshgrid(*(jnp.arange(n, dtype=jnp.float32) for n in (12, 12)), indexing="ij"))
        return warp.resample(image, warp.move(points, inverse, 1.5 * jnp.stack([down, right]), (12, 12)))

    expected = jax.jit(jax.vmap(mapped))(example_keys(KEY, 8, 2), pixels)
    settings = {"affine": {"degrees": 7.5, "scale": (0.9, 1.1), "shear": 7.5, "shift": 1.5, "squeeze": 1.1}}  # mnist_lenet5
    np.testing.assert_allclose(jax.jit(build(settings))(KEY, {"image": pixels})["image"], expected, atol=1e-5)
