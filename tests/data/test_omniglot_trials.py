"""Koch's splits of Omniglot and the published one-shot runs, from the archives in `../shared/data`."""

import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.sources.omniglot import ALPHABETS
from dl.data.sources.omniglot_trials import RUN_ALPHABETS
from dl.errors import UserError
from dl.evaluation import one_shot

NAMES = ("koch_train", "validation_trials", "test_trials", "koch_validation", "koch_test", "test_alphabets", "test", "runs")


@pytest.fixture(scope="module")
def splits(shared_data):
    config = ConfigDict({"name": "omniglot", "splits": {name: name for name in NAMES}})
    return {name: source.features for name, source in load(config, None, str(shared_data)).splits.items()}


def test_sizes_and_disjoint_alphabets(splits):
    assert {name: len(s["label"]) for name, s in splits.items()} == {
        "koch_train": 964 * 12,
        "validation_trials": 800,
        "test_trials": 800,
        "koch_validation": 277 * 4,
        "koch_test": 382 * 4,
        "test_alphabets": 382 * 20,
        "test": 13_180,
        "runs": 800,
    }
    alphabets = {name: set(splits[name]["alphabet"]) for name in splits}
    assert [len(alphabets[n]) for n in ("koch_train", "koch_validation", "koch_test")] == [30, 10, 10]
    assert len(alphabets["koch_train"] | alphabets["koch_validation"] | alphabets["koch_test"]) == 50
    assert {ALPHABETS[a] for a in alphabets["koch_test"]} == set(RUN_ALPHABETS)
    drawers = [set(splits[n]["drawer"]) for n in ("koch_train", "koch_validation", "koch_test")]
    assert drawers == [set(range(12)), {12, 13, 14, 15}, {16, 17, 18, 19}]


def test_drawers_are_those_of_the_file_names(splits, shared_data):
    """The .npz holds [character, drawer]; the same images come back by label and drawer."""
    with np.load(shared_data / "omniglot" / "images_evaluation.npz") as file:
        images = file["images"]
    got = splits["koch_test"]
    expected = images[got["label"] - 964, got["drawer"]]
    np.testing.assert_array_equal(got["image"][..., 0] > 0, expected)


@pytest.mark.parametrize("name", ["validation_trials", "test_trials", "runs"])
def test_runs_are_twenty_characters_of_one_alphabet_twice(splits, name):
    split = splits[name]
    episodes = one_shot.run_episodes(split)
    assert len(episodes) == 20 and sum(len(e.query) for e in episodes) == 400
    for episode in episodes:
        support = episode.support[:, 0]
        assert len(set(split["label"][support])) == 20 and len(set(split["alphabet"][[*support, *episode.query]])) == 1
        np.testing.assert_array_equal(split["label"][support][episode.answer], split["label"][episode.query])
        if "drawer" in split:
            people = set(split["drawer"][support]), set(split["drawer"][episode.query])
            assert len(people[0]) == len(people[1]) == 1 and people[0] != people[1]
    _, twice = np.unique([split["alphabet"][e.query[0]] for e in episodes], return_counts=True)
    assert list(twice) == [2] * 10


def test_the_published_runs_are_drawings_of_the_evaluation_set(splits):
    known = {image.tobytes(): label for image, label in zip(splits["test"]["image"], splits["test"]["alphabet"], strict=True)}
    runs = splits["runs"]
    assert [known[image.tobytes()] for image in runs["image"]] == list(runs["alphabet"])


def test_nearest_neighbours_of_pixels_are_right_as_often_as_published(splits):
    """Koch et al. 2015, table 3: 21.7 %. By the angle between the 105x105 images of the ink it is 87 of the 400 trials."""
    episodes = one_shot.run_episodes(splits["runs"])
    ink = 1.0 - splits["runs"]["image"].reshape(800, -1).astype(np.float32) / 255
    angle = one_shot.recognise(episodes, ink / np.linalg.norm(ink, axis=1, keepdims=True), one_shot.euclidean)
    assert 1 - one_shot.error(episodes, angle) == pytest.approx(87 / 400)
    straight = one_shot.recognise(episodes, ink, one_shot.euclidean)
    assert 1 - one_shot.error(episodes, straight) == pytest.approx(76 / 400)


def test_without_the_archive_of_the_runs(shared_data, tmp_path):
    folder = tmp_path / "omniglot"
    folder.mkdir()
    config = ConfigDict({"name": "omniglot", "splits": {"test": "runs"}})
    with pytest.raises(UserError, match=r"lacks all_runs.zip. Put .*one-shot-classification"):
        load(config, None, str(tmp_path))
    with pytest.raises(UserError, match=r"read from an archive. Put DIR/omniglot/all_runs.zip and give --manual_dir=DIR"):
        load(config, None, None)
    shutil.copy(shared_data / "omniglot" / "all_runs.zip", folder)
    with (folder / "all_runs.zip").open("r+b") as file:
        file.write(b"no zip")
    with pytest.raises(UserError, match=r"all_runs.zip is corrupt or another version"):
        load(config, None, str(tmp_path))
