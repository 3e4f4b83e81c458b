"""Alternating flips: each image is mirrored every other epoch, a function of seed, epoch and index alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data import augmentation
from dl.data.batches.alternating import alternating, mirrored
from dl.data.batches.examples import examples
from dl.data.order import example_indices
from dl.dataset import Arrays
from dl.errors import UserError

SIZE = 300


def test_every_example_is_mirrored_every_other_epoch():
    positions = np.arange(4 * SIZE)
    turned, indices = mirrored(7, positions, SIZE), example_indices(7, positions, SIZE)
    by_example = np.stack([turned[epoch * SIZE :][:SIZE][np.argsort(indices[epoch * SIZE :][:SIZE])] for epoch in range(4)])
    np.testing.assert_array_equal(by_example[1], ~by_example[0])
    np.testing.assert_array_equal(by_example[2:], by_example[:2])
    assert 120 < by_example[0].sum() < 180  # a fair coin: 150 and a deviation of 8.7
    assert (mirrored(8, positions, SIZE)[:SIZE] != turned[:SIZE]).any()


@pytest.mark.parametrize("on_device", [False, True])
def test_batches_are_those_of_examples_with_what_to_mirror(on_device):
    source = Arrays(
        {"image": np.arange(SIZE * 12, dtype=np.uint8).reshape(SIZE, 2, 2, 3), "label": np.arange(SIZE, dtype=np.int32)}
    )
    read, plain = alternating(source, 3, 64, {}, on_device), examples(source, 3, 64, {}, on_device)
    whole = read(0, 12, np.arange(64))
    mirror = whole.pop("mirror")
    for name, values in plain(0, 12, np.arange(64)).items():
        np.testing.assert_array_equal(whole[name], values)
    np.testing.assert_array_equal(read(5, 2, np.arange(32, 64))["mirror"], mirror[5:7, 32:])  # any part of it, on its own
    np.testing.assert_array_equal(mirror.ravel(), mirrored(3, np.arange(12 * 64), SIZE))


def test_the_augmentation_mirrors_what_it_is_told_to():
    image = jnp.asarray(np.random.default_rng(0).random((4, 5, 6, 3), np.float32))
    mirror = jnp.array([True, False, False, True])
    augment = jax.jit(augmentation.build({"alternating_flip": {}}))
    got = augment(jax.random.key(0), {"image": image, "mirror": mirror})["image"]
    for flipped, before, after in zip(mirror, image, got, strict=True):
        np.testing.assert_array_equal(after, before[:, ::-1] if flipped else before)
    with pytest.raises(UserError, match="needs dataset.batches='alternating'"):
        augment(jax.random.key(0), {"image": image})
