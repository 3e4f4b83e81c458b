"""Images with captions: one's own tables, Flickr8k, and the features of a network in place of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.config import base
from dl.data.captioned import encoded, normalised, read_back, vocabulary
from dl.data.load import load
from dl.errors import UserError
from dl.transfer.image_features import averaging, squeezenet

SPLITS = {"train": "train", "validation": "validation", "test": "test"}


def settings(root, splits=SPLITS, **changes):
    config = base()
    config.dataset.update(name="captions", path=str(root / "captions.tsv"), images=str(root), **changes)
    config.dataset.splits = ConfigDict(splits)
    return config.dataset


def table(root, rows, head=("image", "caption")):
    lines = ["\t".join(row) for row in (head, *rows)] if head else ["\t".join(row) for row in rows]
    (root / "captions.tsv").write_text("\n".join(lines) + "\n")


def images(root, count=20, shape=(6, 8)):
    for number in range(count):
        Image.fromarray(np.full((*shape, 3), 10 * number, np.uint8)).save(root / f"{number}.png")


def test_words_are_small_and_marks_are_left_out():
    assert normalised("A dog's ball, (red)!") == ["a", "dog's", "ball", "red"]


def test_each_caption_is_a_column():
    known = vocabulary([["A dog .", "a cat"], ["a dog"]], minimum=2)
    assert known.names == ("<pad>", "<s>", "</s>", "<unk>", "a", "dog")
    found = encoded([["A dog .", "a cat runs"], ["dog"]], known, most=2, longest=16)
    columns = found["captions"]
    np.testing.assert_array_equal(columns.one(0).T, [[1, 4, 5, 2, 0], [1, 4, 3, 3, 2]])
    np.testing.assert_array_equal(columns.one(1).T, [[1, 5, 2], [0, 0, 0]])
    assert [read_back(row) for row in found["references"]] == [["a dog", "a cat runs"], ["dog"]]


@pytest.mark.parametrize("head", [("image", "caption"), ()])
def test_a_table_of_ones_own(tmp_path, head):
    images(tmp_path)
    table(tmp_path, [(f"{n}.png", f"number {n}") for n in range(20) for _ in range(1 + n % 2)], head)
    dataset = load(settings(tmp_path, minimum_count=1, holdout=20.0))
    sizes = {split: len(source) for split, source in dataset.splits.items()}
    assert sum(sizes.values()) == 20 and all(sizes.values())
    for source in dataset.splits.values():
        batch = source.gather(np.arange(len(source)))
        for image, lines, captions in zip(batch["image"], batch["references"], batch["captions"], strict=True):
            number = int(image[0, 0, 0]) // 10
            assert read_back(lines) == [f"number {number}"] * (1 + number % 2)
            assert (captions.any(0) == [True, number % 2 == 1]).all()


def test_a_column_names_the_splits(tmp_path):
    images(tmp_path, 3)
    table(
        tmp_path,
        [("0.png", "one", "train"), ("1.png", "two", "dev"), ("2.png", "three", "test")],
        ("image", "caption", "split"),
    )
    dataset = load(settings(tmp_path, minimum_count=1))
    assert {split: source.features["image"][0, 0, 0, 0] for split, source in dataset.splits.items()} == {
        "train": 0,
        "validation": 10,
        "test": 20,
    }


HEAD = ("image", "caption", "split")
MISTAKES = {
    "missing": (
        [("0.png", "a"), ("9.png", "a"), ("7.png", "a")],
        "line 3: there is no image '9.png' in .*2 images are missing in all",
    ),
    "empty": ([("0.png", " . ")], "line 2: the caption of '0.png' has no word"),
    "two splits": ([HEAD, ("0.png", "a", "train"), ("0.png", "b", "test")], "line 3: the image '0.png' is in two splits"),
    "split": ([HEAD, ("0.png", "a", "trian")], "unknown split in line 2 .* 'trian'. Did you mean 'train'"),
    "columns": ([HEAD, ("0.png", "a")], "line 2: it has 2 columns, and the first has 3"),
    "no train": ([HEAD, ("0.png", "a", "test")], "leaves no image to train on"),
    "rare": ([HEAD, ("0.png", "a dog", "train")], "no word occurs 5 times .* set dataset.minimum_count=1"),
}


@pytest.mark.parametrize(("rows", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(tmp_path, rows, said):
    images(tmp_path, 3)
    table(tmp_path, rows, () if rows[0] == HEAD else ("image", "caption"))
    with pytest.raises(UserError, match=said) as error:
        load(settings(tmp_path, {"train": "all"}))
    assert "\n" not in str(error.value)


def test_images_of_several_sizes_need_one(tmp_path):
    images(tmp_path, 1)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "1.png")
    table(tmp_path, [("0.png", "a"), ("1.png", "a")])
    with pytest.raises(UserError, match=r"images differ in size: .*set dataset.size"):
        load(settings(tmp_path, {"train": "all"}, minimum_count=1))
    dataset = load(settings(tmp_path, {"train": "all"}, minimum_count=1, size=(8, 8), fit="resize"))
    assert dataset.info.shapes["image"] == (8, 8, 3)


def test_flickr8k_as_published(shared_data):
    config = base()
    config.dataset.update(name="flickr8k", minimum_count=5)
    config.dataset.splits = ConfigDict({"test": "test"})
    dataset = load(config.dataset, manual_dir=str(shared_data))
    assert {split: len(source) for split, source in dataset.splits.items()} == {"test": 1000}
    words = dataset.info.features["captions"].vocabulary
    assert len(words) == 2540 and words.names[4:8] == ("a", "in", "the", "on")
    first = dataset.splits["test"].gather(np.arange(1))
    assert first["captions"].shape[2] == 5 and first["image"].shape == (1, 128, 128, 3)
    assert read_back(first["references"][0])[0] == "the dogs are in the snow in front of a fence"
    assert len(load(config.dataset, known=True).info.features["captions"].vocabulary) == len(words)


def test_an_adaptive_average():
    np.testing.assert_allclose(averaging(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(averaging(3, 2), [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(averaging(2, 2), np.eye(2))


def test_the_features_of_images_are_those_of_the_network():
    """Of each image alone, whatever is beside it; a grey image is RGB with equal channels."""
    found = squeezenet("", "fire2", 32, 2, None)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3)).astype(np.uint8)
    maps = found.of_images(pixels)
    assert maps.shape == (3, 2, 2, 128) and maps.dtype == np.float16
    np.testing.assert_array_equal(found.of_images(pixels[::-1])[::-1], maps)
    rgb = jax.image.resize(jnp.asarray(pixels[0], jnp.float32) / 255, (32, 32, 3), "bilinear")
    whole = found.network.features(found.network.params, rgb)["fire2"]
    expected = np.asarray(whole).reshape(2, whole.shape[0] // 2, 2, -1, 128).mean((1, 3)) if whole.shape[0] % 2 == 0 else None
    if expected is not None:
        np.testing.assert_allclose(maps[0], expected, rtol=2e-3, atol=2e-4)
    grey = pixels[..., :1]
    np.testing.assert_array_equal(found.of_images(grey), found.of_images(np.repeat(grey, 3, axis=-1)))
    assert found.fingerprint() != squeezenet("", "fire2", 32, 1, None).fingerprint()
