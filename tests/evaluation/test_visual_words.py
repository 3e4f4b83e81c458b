"""Visual words: descriptors and histograms worked out by hand, and what they learn."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict
from threadpoolctl import threadpool_limits

from configs.usps_transfer import get_config
from dl.data.load import load
from dl.errors import UserError
from dl.evaluation import visual_words
from dl.evaluation.visual_words import Describer
from experiments import visual_words as program


def edge(angle: float) -> np.ndarray:
    """A plane that gets brighter in a direction: 0 degrees is to the right, 90 down."""
    down, right = np.mgrid[:16, :16] / 30
    return (0.5 + 0.5 * (right * np.cos(np.radians(angle)) + down * np.sin(np.radians(angle))))[None, ..., None]


@pytest.mark.parametrize("number", range(8))
def test_a_gradient_votes_for_its_own_direction(number):
    votes = visual_words.directions(edge(45 * number))
    np.testing.assert_allclose(votes[0, :, :, number], 0.5 / 30, rtol=1e-5)
    assert np.delete(votes, number, axis=-1).max() < 1e-6


def test_a_gradient_between_two_directions_is_shared_between_them():
    votes = visual_words.directions(edge(30.0))[0, 8, 8]
    np.testing.assert_allclose(votes, np.array([1, 2, 0, 0, 0, 0, 0, 0]) / 3 * 0.5 / 30, atol=1e-7)


def test_the_strongest_colour_counts():
    image = np.concatenate([edge(0) * 0.1, edge(90), edge(0) * 0.5], axis=-1)
    assert visual_words.directions(image)[0, 8, 8].argmax() == 2


def test_the_descriptor_of_a_vertical_edge():
    image = np.zeros((1, 16, 16, 1), np.uint8)
    image[:, :, 8:] = 255  # the gradient is 1/2 in the columns 7 and 8, to the right: direction 0
    found, centres = visual_words.descriptors(image, Describer((4,), 4))
    assert found.shape == (1, 1, 128) and centres.tolist() == [[0.5, 0.5]]
    cells = found.reshape(4, 4, 8)
    assert np.abs(cells[:, [0, 3]]).max() < 1e-6 and np.abs(cells[..., 1:]).max() < 1e-6
    # Eight equal entries, 1/sqrt(8) each, are clipped to 0.2 and stretched to length 1 again.
    np.testing.assert_allclose(cells[:, 1:3, 0], 8**-0.5, rtol=1e-5)


def test_places_of_two_sizes_and_an_image_without_gradients():
    found, centres = visual_words.descriptors(np.full((2, 16, 20, 3), 7, np.uint8), Describer((2, 4), 4))
    assert found.shape == (2, 3 * 4 + 1 * 2, 128) and len(centres) == 14  # offsets 0, 4, 8 (and 12); then 0 and 0, 4
    assert np.abs(found).max() == 0
    np.testing.assert_allclose(centres[[0, -1]], [[4 / 16, 4 / 20], [8 / 16, 12 / 20]])
    with pytest.raises(UserError, match="cells of 8 need images of 32x32, and these are 16x20"):
        visual_words.descriptors(np.zeros((1, 16, 20, 1), np.uint8), Describer((8,), 4))


def test_the_histogram_of_a_pyramid():
    words = np.array([[0, 1, 1, 2]])
    centres = np.array([[0.2, 0.2], [0.2, 0.8], [0.9, 0.1], [0.9, 0.9]], np.float32)
    found = visual_words.histograms(words, centres, 3, (1, 2))[0]
    whole, quarters = [1, 2, 1], [1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    np.testing.assert_allclose(found, np.sqrt(np.array(whole + quarters) / 4))
    np.testing.assert_allclose(np.square(found).sum(), 2.0)  # each level holds every descriptor once


@pytest.fixture(autouse=True)
def one_thread():
    """OpenMP's threads wait for each other by turning round and round, which is slow where tests run beside each other."""
    with threadpool_limits(limits=1):
        yield


def test_the_digits_are_learned_by_one_command(tmp_path):
    config = get_config("words_smoke")
    config.replicas = 2
    result = program.train(config, tmp_path / "run")
    assert max(result["metrics"]["test"]["error"]["values"]) < 0.10
    assert len(set(result["params_sha256"])) == 2
    assert json.loads((tmp_path / "run" / "result.json").read_text())["parameters"] == result["parameters"]
    page = (tmp_path / "run" / "report" / "index.html").read_text().lower()
    assert "visual_words on digits" in page and "confusion matrix" in page and "worst mistakes" in page


def test_two_classes_and_the_same_seed_twice():
    settings = ConfigDict({"name": "digits", "splits": {"train": "train", "test": "test"}, "size": (16, 16), "fit": "resize"})
    train, test = (load(settings).splits[name].features for name in ("train", "test"))
    some, rest = train["label"] % 5 == 3, test["label"] % 5 == 3  # 3 and 8
    made = [visual_words.learn(train["image"][some], train["label"][some], 0, words=20, cells=(2,), sample=2000) for _ in "ab"]
    assert all(np.array_equal(a, b) for a, b in zip(made[0][2:], made[1][2:], strict=True))
    prediction = visual_words.scores(made[0], test["image"][rest]).argmax(1)
    assert set(prediction) == {3, 8} and (prediction == test["label"][rest]).mean() > 0.9


WRONG = {
    "task": ({"task.name": "classification"}, "config.task.name is 'classification', not 'visual_words'"),
    "setting": ({"task.wrods": 3}, "unknown setting of visual words 'wrods'. Did you mean 'words'"),
    "words": ({"task.words": 100_000}, "too few for task.words=100000"),
    "size": ({"dataset.size": (7, 7)}, "cells of 2 need images of 8x8, and these are 7x7"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(changes, said, tmp_path):
    config = get_config("words_smoke")
    config.dataset.splits.train = "train[:100]"
    with config.unlocked():
        for key, value in changes.items():
            section, name = key.split(".")
            config[section][name] = value
    with pytest.raises(UserError, match=said):
        program.train(config, tmp_path / "run")
