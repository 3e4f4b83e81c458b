"""What happens to a feature follows from its kind, and what a source says of its features is what it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl import mesh
from dl.config import base
from dl.data.load import load
from dl.data.pipeline import evaluation_batches, features_of_batches, standardise, train_stream
from dl.data.ragged import in_memory, ragged
from dl.dataset import Dataset, Feature, Info, Kind, labelled_images
from dl.vocabulary import Vocabulary

SETTINGS = {"mean": (0.5,), "std": (0.25,)}
TYPES = {
    Kind.IMAGE: (np.uint8, np.float32),
    Kind.CLASS: (np.int32,),
    Kind.NUMBER: (np.float32, np.int32),
    Kind.TOKENS: (np.uint8, np.uint16),
}


def test_images_alone_are_standardised_whatever_others_look_like():
    """A vector of the shape of an image, a label map of bytes and words of bytes are none; a float image is one."""
    features = {
        "photo": Feature(Kind.IMAGE, (2, 2, 1)),
        "scan": Feature(Kind.IMAGE, (2, 2, 1)),
        "vector": Feature(Kind.NUMBER, (2, 2, 1)),
        "classes": Feature(Kind.LABEL_MAP, (2, 2)),
        "words": Feature(Kind.TOKENS, (3, 1, 1), Vocabulary("ab")),
        "boxes": Feature(Kind.BOXES, (1, 4)),
    }
    batch = {
        "photo": jnp.full((2, 2, 2, 1), 255, jnp.uint8),
        "scan": jnp.full((2, 2, 2, 1), 0.75),
        "vector": jnp.full((2, 2, 2, 1), 3.0),
        "classes": jnp.full((2, 2, 2), 255, jnp.uint8),
        "words": jnp.ones((2, 3, 1, 1), jnp.uint8),
        "boxes": jnp.float32([[[0, 0, 1, 1]], [[0, 0, 0, 0]]]),
        "unknown": jnp.full((2, 2, 2, 1), 255, jnp.uint8),
    }
    out = standardise(batch, features, SETTINGS)
    assert (out["photo"] == 2.0).all() and (out["scan"] == 1.0).all()
    for name in ("vector", "classes", "words", "boxes", "unknown"):
        assert out[name] is batch[name]
    np.testing.assert_array_equal(out["boxes_mask"], [[True], [False]])


def test_all_kinds_go_through_the_pipeline_together():
    """Training and evaluation batches of a dataset with boxes of any number: moved with their image, padded, masked."""
    count = 6
    boxes = [np.tile(np.float32([0.0, 0.0, 0.5, 0.25]), (number % 3, 1)) for number in range(count)]
    image = np.zeros((count, 8, 8, 1), np.uint8)
    image[:, :4, :2] = 255  # what the boxes are around
    source = in_memory({"image": image, "boxes": ragged(boxes), "classes": image[..., 0] // 255})
    features = {
        "image": Feature(Kind.IMAGE, (8, 8, 1)),
        "boxes": Feature(Kind.BOXES, (None, 4)),
        "classes": Feature(Kind.LABEL_MAP, (8, 8)),
    }
    data = Dataset(Info("scenes", features), {"train": source})
    config = base()
    config.update(batch_size=count, eval_batch_size=4)
    config.augmentation = ConfigDict({"flip": {}})
    placed = mesh.build({"replica": 1, "data": 1, "fsdp": 1, "model": 1}, 1)
    stream = train_stream(config, data.info, source, placed)
    read = {name: jnp.asarray(values[0]) for name, values in stream.reads[0](0, 1, np.arange(count)).items()}
    batch = {k: np.asarray(v) for k, v in jax.jit(stream.prepare)(stream.constants, jax.random.key(0), read).items()}
    assert sorted(batch["boxes_length"]) == [0, 0, 1, 1, 2, 2] and batch["boxes"].shape == (count, 2, 4)
    np.testing.assert_array_equal(batch["boxes_mask"].sum(1), batch["boxes_length"])
    turned = 0
    for pixels, labels, rows, mask in zip(*(batch[k] for k in ("image", "classes", "boxes", "boxes_mask")), strict=True):
        np.testing.assert_array_equal(pixels[..., 0], labels)
        left = 0.0 if labels[0, 0] else 0.75
        np.testing.assert_allclose(rows[mask], np.tile(np.float32([0, left, 0.5, left + 0.25]), (mask.sum(), 1)), atol=1e-6)
        turned += bool(left)
    assert 0 < turned < count
    seen = evaluation_batches(config, data.info, source, placed).examples(np.array([2, 0]))
    np.testing.assert_array_equal(seen["boxes_mask"], [[True, True], [False, False]])


@pytest.mark.parametrize("name", ["digits", "random_images", "gaussian_mixture", "random_text", "sonnets", "nothing"])
def test_a_source_gives_what_it_says(name):
    dataset = load(ConfigDict({"name": name, "splits": {"train": "train"}}))
    batch = dataset.splits["train"].gather(np.arange(1))
    assert set(batch) == set(dataset.info.features)
    for key, feature in dataset.info.features.items():
        assert batch[key].shape[1:] == feature.shape and batch[key].dtype in TYPES[feature.kind], key
        assert feature.kind is not Kind.CLASS or feature.num_classes > 0
        assert feature.kind is not Kind.TOKENS or len(feature.vocabulary) > 0


def test_what_a_batch_has_follows_from_what_the_data_have():
    info = labelled_images("own", (4, 4, 1), 3)
    assert features_of_batches({"batches": "examples"}, info.features) == info.features
    pairs = features_of_batches({"batches": "pairs"}, info.features)
    assert pairs["left"] == pairs["right"] == info.features["image"] and "label" not in pairs
    text = {"token": Feature(Kind.TOKENS, vocabulary=Vocabulary("ab"))}
    windows = features_of_batches({"batches": "windows", "window": 5}, text)
    assert windows["tokens"] == text["token"]._replace(shape=(6,))


def test_a_description_holds_no_files():
    """It can be compared and printed; what reads files is in `Resources`."""
    first, second = (load(ConfigDict({"name": "digits", "splits": {"train": "train"}})).info for _ in range(2))
    assert first == second and first.num_classes == 10 and first.class_names == tuple("0123456789")
    assert first.changed("label", num_classes=11).num_classes == 11 and first.num_classes == 10
