"""Selective search: regions and how alike they are by hand, merging in the right order, and a function of the image."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.selective_search import Regions, Settings, grouped, neighbours, regions, selective_search, similarity
from dl.dataset import Kind
from dl.errors import UserError

LABELS = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])


def test_regions_by_hand():
    pixels = np.zeros((3, 4, 1))
    pixels[:2, 2:] = 0.5  # region 1 is of the bin 12 of 25
    slopes = np.zeros((3, 4, 1, 1))
    slopes[2, :2] = 1.0  # half of region 2
    found = regions(pixels, slopes, LABELS)
    assert found.sizes.tolist() == [4, 4, 4]
    assert found.boxes.tolist() == [[0, 0, 2, 2], [0, 2, 2, 4], [2, 0, 3, 4]]
    assert found.colours[0, 0] == found.colours[2, 0] == found.colours[1, 12] == 1
    assert found.textures[2, 0] == found.textures[2, -1] == 0.5 and found.textures.sum(1).tolist() == [1, 1, 1]
    assert neighbours(LABELS) == [(0, 1), (0, 2), (1, 2)]


def test_similarity_by_hand():
    """Colour 1 and 0, texture 1/2, size 1 - 8/12; around 0 and 2 is the whole left half and more: fill 1 - (12 - 8)/12."""
    colours, textures = np.array([[1.0, 0], [0, 1], [1, 0]]), np.array([[1.0, 0], [1, 0], [0.5, 0.5]])
    boxes = np.array([[0, 0, 2, 2], [0, 2, 2, 4], [2, 0, 3, 4]])
    found = Regions(colours, textures, np.array([4, 4, 4]), boxes)
    expected = [0 + 1 + (1 - 8 / 12) + (1 - 0 / 12), 1 + 0.5 + (1 - 8 / 12) + (1 - 4 / 12)]
    np.testing.assert_allclose(similarity(found, 0, np.array([1, 2]), 12), expected)
    # 0 and 2 are most alike, and become one first; the whole image is last.
    merged = grouped(found, neighbours(LABELS), 12)
    assert merged.tolist() == [*boxes.tolist(), [0, 0, 3, 4], [0, 0, 3, 4]]
    first = grouped(found._replace(colours=np.array([[1.0, 0], [1, 0], [0, 1]])), neighbours(LABELS), 12)
    assert first.tolist()[3] == [0, 0, 2, 4]


def two_squares():
    image = np.full((40, 60, 3), 30, np.uint8)
    image[5:20, 10:25] = (200, 40, 40)
    image[5:20, 25:30] = (40, 200, 40)  # half of the second object has another colour
    image[25:37, 35:55] = (40, 60, 220)
    return image


def overlap(boxes, box):
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    both = np.maximum(high - low, 0).prod(1)
    return both / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - both)


def test_objects_and_their_parts_are_proposed():
    found = selective_search(two_squares(), Settings(scales=(30.0,), smoothing=0.3, smallest=5, least=3))
    assert found.dtype == np.float32 and len(np.unique(found, axis=0)) == len(found)
    for box in ((5, 10, 20, 25), (5, 25, 20, 30), (5, 10, 20, 30), (25, 35, 37, 55)):
        assert overlap(found, np.array(box) / [40, 60, 40, 60]).max() > 0.85, box
    assert (found >= 0).all() and (found <= 1).all()
    sides = (found[:, 2:] - found[:, :2]) * [40, 60]
    assert sides.min() >= 3 - 1e-3


def test_it_is_a_function_of_the_image():
    settings = Settings(scales=(30.0,), smallest=5, least=3)
    first, again = selective_search(two_squares(), settings), selective_search(two_squares(), settings)
    np.testing.assert_array_equal(first, again)
    few = selective_search(two_squares(), settings._replace(most=2))
    np.testing.assert_array_equal(few, first[:2])
    grey = selective_search(two_squares()[..., :1], settings)
    assert grey.shape[1] == 4


def test_the_source_adds_proposals_to_a_dataset(tmp_path):
    search = {"scales": (100.0,), "spaces": ("rgb",), "most": 9}
    settings = ConfigDict({"name": "region_proposals", "splits": {"train": "train[:3]"}, "size": (40, 40), "proposals": search})
    settings.of = {"name": "random_shapes", "examples": 4}
    info, splits = load(settings, str(tmp_path))
    assert info.features["proposals"].kind is Kind.BOXES and info.name == "random_shapes"
    found = splits["train"].gather(np.arange(3))
    one = selective_search(found["image"][1], Settings(**search))
    assert found["proposals_length"][1] == len(one) <= 9 and {"boxes", "boxes_label", "boxes_ignored"} <= set(found)
    np.testing.assert_array_equal(found["proposals"][1, : len(one)], one)


WRONG = {
    "no dataset": ({"of": {}}, "needs dataset.of.name"),
    "space": ({"proposals": {"spaces": ("cmyk",)}}, "unknown colour space of dataset.proposals 'cmyk'"),
    "setting": ({"proposals": {"scale": 3.0}}, "unknown setting of dataset.proposals 'scale'"),
    "least": ({"proposals": {"least": 0}}, "smallest, least and most must be at least 1"),
    "floats": ({"of": {"name": "gaussian_mixture"}}, "which those of gaussian_mixture are not"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(changes, said):
    settings = {"name": "region_proposals", "splits": {"train": "train"}, "of": {"name": "random_shapes", "examples": 1}}
    with pytest.raises(UserError, match=said):
        load(ConfigDict({**settings, **changes}))
