"""Masks and noise of sequences of vectors: what is masked, how much at most, and that padding is never counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.augmentation import build
from dl.dataset import Feature, Kind
from dl.errors import UserError

KEY = jax.random.key(0)
FEATURES = {"sound": Feature(Kind.FRAMES, (None, 20))}


def augmented(settings, batch, key=KEY):
    return {name: np.asarray(v) for name, v in jax.jit(build(settings, FEATURES))(key, batch).items()}


def test_masks_are_whole_bands_and_runs_within_their_widths():
    settings = {"frequency_masks": 1, "frequency_width": 6, "time_masks": 1, "time_width": 9, "fill": -1.0}
    out = augmented({"spec_augment": settings}, {"sound": jnp.ones((600, 30, 20))})["sound"] < 0
    bands, runs = out.all(axis=1), out.all(axis=2)
    np.testing.assert_array_equal(out, bands[:, None, :] | runs[:, :, None])
    for masked, longest in ((bands, 6), (runs, 9)):
        widths = masked.sum(axis=1)
        assert set(widths) == set(range(longest + 1))  # uniform: each width in about 600 / 10 examples
        assert np.abs(np.diff(np.pad(masked, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1).max() == 2  # one run
        assert masked.any(axis=0).all()  # anywhere


def test_runs_lie_within_the_length_and_take_a_part_of_it_at_most():
    settings = {"frequency_masks": 0, "time_masks": 2, "time_width": 40, "time_part": 0.25, "fill": -1.0}
    lengths = np.repeat([4, 12, 30], 200).astype(np.int32)
    out = augmented({"spec_augment": settings}, {"sound": jnp.ones((600, 30, 20)), "sound_length": jnp.asarray(lengths)})
    masked = (out["sound"] < 0).all(axis=2)
    for length in (4, 12, 30):
        rows = masked[lengths == length]
        assert not rows[:, length:].any() and rows[:, :length].any(axis=0).all()
        assert rows.sum(axis=1).max() == 2 * (length // 4)
    np.testing.assert_array_equal(out["sound_length"], lengths)


def test_noise_has_its_deviation_and_leaves_padding():
    batch = {"sound": jnp.zeros((64, 30, 20)), "sound_length": jnp.full(64, 10, jnp.int32)}
    out = augmented({"frame_noise": {"std": 0.3}}, batch)["sound"]
    assert out[:, :10].std() == pytest.approx(0.3, rel=0.02) and not out[:, 10:].any()
    assert len({row.tobytes() for row in out}) == 64


def test_images_and_vectors_are_drawn_apart_and_do_not_change_each_other():
    features = {**FEATURES, "image": Feature(Kind.IMAGE, (8, 8, 1))}
    batch = {"sound": jnp.ones((4, 30, 20)), "image": jnp.ones((4, 8, 8, 1))}
    both = build({"frame_noise": {}, "gaussian_noise": {}}, features)(KEY, batch)
    alone = build({"frame_noise": {}}, features)(KEY, batch)
    np.testing.assert_array_equal(both["sound"], alone["sound"])
    np.testing.assert_array_equal(alone["image"], batch["image"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"spec_augment": {"time_masks": -1}}, "spec_augment.time_masks must be a whole number"),
        ({"spec_augment": {"frequency_width": -2}}, "spec_augment.frequency_width must be a whole number"),
        ({"spec_augment": {"time_part": -0.5}}, "spec_augment.time_part must be a number of at least 0"),
        ({"frame_noise": {"std": -1.0}}, "frame_noise.std must be a number of at least 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(UserError, match=message):
        build(settings, FEATURES)
