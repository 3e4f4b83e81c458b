"""What a detector finds on images of other sizes than it was trained with: where it lies on them."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.sources.boxes import features_of
from dl.dataset import Info
from dl.generation.detection import pictures, seen


def experiment(fit, boxes, channels=3):
    """A run whose detector finds `boxes`, in fractions of the 40 x 60 pixels that it sees, on all that is bright enough."""
    info = Info("cells", features_of(("cat", "dog"), channels)).changed("image", shape=(40, 60, channels))

    def step(params, variables, batch, key):
        bright = batch["image"].mean() + 0.5  # the mean was subtracted
        scores = jnp.array([[0.9, 0.6, 0.2, 0.9]]) * (bright > 0.2)
        found = {"boxes": jnp.array([boxes] * 4)[None], "labels": jnp.array([[1, 0, 0, 0]]), "scores": scores}
        return {}, {f"found_{k}": v for k, v in found.items()} | {"found_mask": jnp.array([[True, True, True, False]])}

    dataset = ConfigDict({"mean": (0.5,), "std": (1.0,), "fit": fit})
    task = SimpleNamespace(evaluators={"detect": SimpleNamespace(step=step)})
    return SimpleNamespace(config=SimpleNamespace(dataset=dataset), dataset=SimpleNamespace(info=info), task=task)


BRIGHT = np.ones((100, 100, 3), np.float32)


def test_boxes_are_told_in_pixels_of_the_image():
    shown = pictures(experiment("resize", [0.25, 0.5, 0.75, 1.0]), {}, {}, [BRIGHT, BRIGHT * 0])
    assert [line.split() for line in shown[0].lines] == [
        ["90.00%", "dog", "(50,", "25)", "to", "(100,", "75)"],
        ["60.00%", "cat", "(50,", "25)", "to", "(100,", "75)"],
    ]  # those that are sure, the surest first
    assert shown[0].picture.shape == (500, 500, 3) and shown[1].lines == []
    assert not shown[1].picture.any()  # nothing is found, so nothing drawn


def test_what_was_padded_is_taken_off_again():
    # A square becomes 40 x 40 in the middle of 60: columns 10 to 50, of which the box takes the left half.
    shown = pictures(experiment("pad", [0.0, 10 / 60, 1.0, 30 / 60]), {}, {}, [BRIGHT])
    assert shown[0].lines[0].endswith("dog  (0, 0) to (50, 100)")


@pytest.mark.parametrize(
    ("shape", "window"), [((80, 120), [0, 0, 1, 1]), ((80, 60), [0, 15 / 60, 1, 0.5]), ((10, 60), [15 / 40, 0, 0.25, 1])]
)
def test_an_image_is_scaled_in_proportion_where_images_are_padded(shape, window):
    image, found = seen(np.ones((*shape, 3), np.float32), (40, 60), "pad")
    np.testing.assert_allclose(found, window)
    assert image.shape == (40, 60, 3) and image.sum() == pytest.approx(3 * window[2] * 40 * window[3] * 60)
    image, found = seen(np.ones((*shape, 3), np.float32), (40, 60), "resize")
    np.testing.assert_allclose(found, [0, 0, 1, 1])
    np.testing.assert_allclose(image, 1, atol=1e-6)


def test_grey_networks_see_the_luminance():
    shown = pictures(experiment("resize", [0.0, 0.0, 1.0, 1.0], channels=1), {}, {}, [BRIGHT * np.float32([1, 0, 0])])
    assert len(shown[0].lines) == 2  # 0.299 is bright enough
    assert not pictures(experiment("resize", [0.0, 0.0, 1.0, 1.0], channels=1), {}, {}, [BRIGHT * np.float32([0, 0, 1])])[
        0
    ].lines
