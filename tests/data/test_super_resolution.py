"""Bicubic interpolation against Pillow's and the published numbers, windows that fit each other, one's own images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dl.data.batches.patches import SYMMETRIES, patches, seen
from dl.data.load import load
from dl.dataset import Arrays
from dl.errors import UserError
from dl.evaluation.image_quality import OFFSET, WEIGHTS
from dl.layers import bicubic


def settings(name: str, **more) -> ConfigDict:
    return ConfigDict({"name": name, "splits": {"train": "train", "test": "test"}, "mean": (0.0,), "std": (1.0,), **more})


@pytest.mark.parametrize("size", [(6, 9), (24, 36), (48, 36)])
def test_bicubic_is_pillows_away_from_the_rim(size):
    """Pillow's bicubic filter is Keys' too, and is widened where it shrinks; it leaves out what lies beyond the rim."""
    image = np.random.default_rng(0).random((24, 36, 1)).astype(np.float32)
    pillow = np.asarray(Image.fromarray(image[..., 0]).resize(size[::-1], Image.Resampling.BICUBIC))
    ours = bicubic.resized(image.astype(np.float64), size)[..., 0]
    rim = [max(2, 2 * a // b) for a, b in zip(size, image.shape, strict=False)]
    inner = (slice(rim[0], -rim[0]), slice(rim[1], -rim[1]))
    np.testing.assert_allclose(ours[inner], pillow[inner], atol=1e-5)


def test_beyond_the_rim_the_image_goes_on_as_in_a_mirror():
    """A quarter, by the definition: four taps on each side at distances of (k + 1/2) / 4, the mirror by NumPy's padding."""
    line = np.random.default_rng(1).random(12)
    padded = np.pad(line, 8, "symmetric")
    t = (np.arange(16) - 7.5) / 4
    weights = np.where(abs(t) <= 1, 1.5 * abs(t) ** 3 - 2.5 * t**2 + 1, -0.5 * abs(t) ** 3 + 2.5 * t**2 - 4 * abs(t) + 2)
    expected = [padded[8 + 4 * i - 6 : 8 + 4 * i + 10] @ weights / weights.sum() for i in range(3)]
    np.testing.assert_allclose(bicubic.matrix(12, 3) @ line, expected, rtol=1e-12)


def test_enlarging_in_an_array_of_several_sizes_is_enlarging_each_alone():
    random = np.random.default_rng(2)
    whole = random.random((2, 9, 8, 3)).astype(np.float32)
    sizes = [(9, 5), (4, 8)]
    made = jax.jit(lambda x, size: bicubic.enlarged(x, 4, size))(jnp.asarray(whole), jnp.array(sizes, jnp.int32))
    for row, (height, width) in enumerate(sizes):
        alone = bicubic.resized(whole[row, :height, :width].astype(np.float64), (4 * height, 4 * width))
        np.testing.assert_allclose(made[row, : 4 * height, : 4 * width], alone, atol=1e-5)


@pytest.mark.parametrize(("split", "count", "psnr", "ssim"), [("test", 5, 28.42, 0.8104), ("set14", 14, 26.00, 0.7027)])
def test_bicubic_interpolation_reaches_the_published_numbers(shared_data, split, count, psnr, ssim):
    """Dong et al. 2014, table 1, and 2016, table 2: of Set5 and Set14, four times."""
    chosen = settings("super_resolution")
    chosen.splits = ConfigDict({split: split})
    features = load(chosen, manual_dir=str(shared_data)).splits[split].features
    assert len(features["size"]) == count
    found = []
    for row, (height, width) in enumerate((4 * features["size"]).tolist()):
        low = features["low"][row, : height // 4, : width // 4] / 255
        pair = features["image"][row, :height, :width] / 255, np.clip(bicubic.resized(low, (height, width)), 0, 1)
        y = [x[..., 0] if features["grey"][row] else OFFSET + x @ WEIGHTS.astype(np.float64) for x in pair]
        inner = [x[4:-4, 4:-4] for x in y]
        similar = structural_similarity(*inner, gaussian_weights=True, use_sample_covariance=False, data_range=1.0)
        found.append((peak_signal_noise_ratio(*inner, data_range=1.0), similar))
    assert np.mean(found, 0)[0] == pytest.approx(psnr, abs=0.02)
    assert np.mean(found, 0)[1] == pytest.approx(ssim, abs=0.003)


def test_t91_and_ones_own_images_are_trained_on(shared_data, tmp_path):
    Image.new("RGB", (21, 33), (10, 200, 30)).save(tmp_path / "own.png")
    chosen = settings("super_resolution", images=str(tmp_path))
    chosen.splits = ConfigDict({"train": "train"})
    train = load(chosen, manual_dir=str(shared_data)).splits["train"].features
    assert len(train["size"]) == 92
    np.testing.assert_array_equal(4 * train["size"][[0, -1]], [[176, 196], [32, 20]])
    assert (train["low"][-1, :8, :5] == (10, 200, 30)).all() and not train["low"][-1, 8:].any()
    with pytest.raises(UserError, match="give --manual_dir=DIR"):
        load(chosen)


@pytest.fixture(scope="module")
def source() -> Arrays:
    """Two images, 24x40 and 32x16, whose pixels say where they are: row, column, example; `low` says it in its own pixels."""
    sizes = np.array([[6, 10], [8, 4]], np.int32)
    low = np.stack([np.stack([*np.indices((8, 10)), np.full((8, 10), i)], -1) for i in range(2)]).astype(np.uint8)
    image = low.repeat(4, 1).repeat(4, 2)
    return Arrays({"image": image, "low": low, "size": sizes, "grey": np.zeros(2, bool)})


def test_windows_are_the_same_places_of_both_sizes_a_function_of_seed_and_step(source):
    read = patches(source, 3, 8, {"patch": 16, "symmetries": True}, False)
    batch = read(0, 6, np.arange(8))
    assert batch["image"].shape == (6, 8, 16, 16, 3) and batch["low"].shape == (6, 8, 4, 4, 3)
    np.testing.assert_array_equal(batch["low"].repeat(4, 2).repeat(4, 3), batch["image"])
    later = read(4, 2, np.array([5, 2]))
    np.testing.assert_array_equal(later["image"], batch["image"][4:, [5, 2]])
    examples = batch["low"][..., 2].reshape(-1, 2, 16)
    assert (np.sort(examples[:, :, 0], 1) == [0, 1]).all()  # each image once in two windows
    places = {tuple(low[..., :2].min((0, 1))) for low in batch["low"].reshape(-1, 4, 4, 3) if low[0, 0, 2] == 0}
    assert {r for r, _ in places} == {0, 1, 2} and {c for _, c in places} == set(range(7))
    other = patches(source, 4, 8, {"patch": 16}, False)(0, 6, np.arange(8))
    assert not np.array_equal(other["image"], batch["image"])


def test_a_window_is_seen_in_all_eight_ways_of_a_square():
    image = np.arange(9).reshape(3, 3, 1)
    assert len({seen(image, way).tobytes() for way in range(SYMMETRIES)}) == 8
    np.testing.assert_array_equal(seen(image, 0), image)


def test_an_image_smaller_than_the_window_goes_on_as_in_a_mirror(source):
    batch = patches(source, 0, 2, {"patch": 32, "symmetries": False}, False)(0, 1, np.arange(2))
    lower = next(low for low in batch["low"][0] if low[0, 0, 2] == 1)  # 8x4 pixels, of which 8x8 are wanted
    np.testing.assert_array_equal(lower[0, :, 1], [0, 1, 2, 3, 3, 2, 1, 0])


def test_windows_that_do_not_fit_and_other_data_are_refused(source):
    with pytest.raises(UserError, match="positive multiple of the scale 4"):
        patches(source, 0, 2, {"patch": 30}, False)
    with pytest.raises(UserError, match="beside smaller ones"):
        patches(Arrays({"image": np.zeros((2, 8, 8, 1), np.uint8)}), 0, 2, {}, False)


def test_a_folder_of_ones_own_images(tmp_path):
    random = np.random.default_rng(0)
    for split, shape in (("train", (33, 50)), ("train", (40, 21)), ("test", (24, 26))):
        (tmp_path / split).mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (*shape, 3), np.uint8)).save(tmp_path / split / f"{shape[0]}.png")
    Image.fromarray(random.integers(0, 256, (12, 13), np.uint8)).save(tmp_path / "test" / "grey.png")
    data = load(settings("folder_super_resolution", path=str(tmp_path), scale=4))
    train, test = data.splits["train"].features, data.splits["test"].features
    np.testing.assert_array_equal(train["size"], [[8, 12], [10, 5]])
    assert train["image"].shape == (2, 40, 48, 3) and train["low"].shape == (2, 10, 12, 3)
    assert not train["image"][0, 32:].any() and train["image"][0, :32, :48].any()
    np.testing.assert_array_equal(test["grey"], [False, True])
    Image.new("RGB", (3, 30)).save(tmp_path / "test" / "tiny.png")
    with pytest.raises(UserError, match=r"tiny\.png has 30x3 pixels, fewer than the scale 4") as error:
        load(settings("folder_super_resolution", path=str(tmp_path), scale=4))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"dataset\.scale must be one of 2, 3, 4"):
        load(settings("folder_super_resolution", path=str(tmp_path), scale=5))
