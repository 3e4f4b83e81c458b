"""TFDS's features of every kind come through: as arrays, as ragged features, as tokens with a vocabulary of their own."""

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.data.ragged import RaggedArrays
from dl.data.sources.tfds_features import readable_audio
from dl.dataset import Feature, Kind
from dl.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")
BOXES = [[[0.0, 0.5, 0.5, 1.0]], [[0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.5, 0.75]], []]
TEXTS = [("a b a", "x y"), ("b a", "y"), ("c a b b", "z")]


def settings(name, **rest):
    return ConfigDict({"name": name, "splits": {"train": "train", "test": "test"}, "batches": "examples", **rest})


def prepared(folder, name, features, examples, supervised):
    """A dataset of that name, of the first two of three examples and of the last."""

    def info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=supervised, disable_shuffling=True
        )

    def generators(self, dl_manager):
        return {"train": iter(enumerate(examples[:2])), "test": iter(enumerate(examples[2:]))}

    with tfds.core.registered.skip_registration():
        members = {"VERSION": tfds.core.Version("1.0.0"), "_info": info, "_split_generators": generators}
        made = type(name, (tfds.core.GeneratorBasedBuilder,), {**members, "_generate_examples": None, "__module__": __name__})
        made(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return str(folder)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images with boxes and their classes, two label maps, a box, vectors and numbers in sequences."""
    f = tfds.features
    features = {
        "photo": f.Image(shape=(4, 6, 3)),
        "segmentation": f.LabeledImage(labels=["ground", "sky", "tree"], shape=(4, 6, 1)),
        "depth": f.Image(shape=(4, 6, 1)),
        "objects": f.Sequence(
            {"bbox": f.BBoxFeature(), "label": f.ClassLabel(names=["cat", "dog"]), "area": f.Scalar(np.int64)}
        ),
        "face": f.BBoxFeature(),
        "motion": f.Sequence(f.Tensor(shape=(3,), dtype=np.float32)),
        "scores": f.Sequence(np.float32, length=2),
        "file": f.Text(),
    }
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6, 1) % 3

    def example(i):
        boxes = [f.BBox(*box) for box in BOXES[i]]
        objects = [{"bbox": box, "label": (i + k) % 2, "area": 10 * i + k} for k, box in enumerate(boxes)]
        return {
            "photo": Image.new("RGB", (6, 4), (i, i, i)),
            "segmentation": Image.fromarray(labels[..., 0]),
            "depth": Image.fromarray(labels[..., 0] + 7),
            "objects": objects,
            "face": f.BBox(0.0, 0.0, 0.5, 1.0),
            "motion": np.full((i + 1, 3), i, np.float32),
            "scores": np.float32([i, i]),
            "file": f"{i}.jpg",
        }

    return prepared(tmp_path_factory.mktemp("scenes"), "Scenes", features, [example(i) for i in range(3)], None)


def test_every_kind_is_read_as_what_it_is(scenes):
    config = settings("scenes", image="photo", label_maps=("depth",))
    for _ in range(2):  # decoded, and from the arrays that were kept
        dataset = load(config, data_dir=scenes)
        kinds = {name: (feature.kind, feature.shape) for name, feature in dataset.info.features.items()}
        assert kinds == {
            "image": (Kind.IMAGE, (4, 6, 3)),
            "segmentation": (Kind.LABEL_MAP, (4, 6)),
            "depth": (Kind.LABEL_MAP, (4, 6)),
            "objects_bbox": (Kind.BOXES, (None, 4)),
            "objects_label": (Kind.CLASS, (None,)),
            "objects_area": (Kind.NUMBER, (None,)),
            "face": (Kind.BOXES, (1, 4)),
            "motion": (Kind.FRAMES, (None, 3)),
            "scores": (Kind.NUMBER, (2,)),
        }
        assert dataset.info.features["segmentation"].class_names == ("ground", "sky", "tree")
        assert dataset.info.features["objects_label"].num_classes == 2
        train, test = (dataset.splits[split].gather(np.arange(len(dataset.splits[split]))) for split in ("train", "test"))
        np.testing.assert_array_equal(train["segmentation"][0], np.arange(24).reshape(4, 6) % 3)
        np.testing.assert_allclose(train["objects_bbox"], [[*BOXES[0], [0, 0, 0, 0]], BOXES[1]])
        np.testing.assert_array_equal(train["objects_bbox_length"], [1, 2])
        np.testing.assert_array_equal(train["objects_label"], [[0, 0], [1, 0]])
        np.testing.assert_array_equal(train["motion_length"], [1, 2])
        assert test["objects_bbox"].shape == (1, 1, 4) and test["objects_bbox_length"].tolist() == [0]
        assert train["face"].shape == (2, 1, 4) and isinstance(dataset.splits["train"], RaggedArrays)


def test_what_lies_on_images_is_padded_with_them(scenes):
    config = settings("scenes", image="photo", size=(8, 6), fit="pad")
    dataset = load(config, data_dir=scenes)
    assert dataset.info.shapes["image"] == (8, 6, 3) and dataset.info.shapes["segmentation"] == (8, 6)
    train = dataset.splits["train"].gather(np.arange(2))
    assert (train["segmentation"][:, [0, 1, 6, 7]] == 255).all() and (train["segmentation"][:, 2:6] < 3).all()
    np.testing.assert_allclose(train["objects_bbox"][1], [[0.25, 0, 0.75, 1], [0.375, 0.25, 0.5, 0.75]])
    cropped = load(settings("scenes", image="photo", size=(4, 4), fit="crop"), data_dir=scenes)
    assert cropped.info.shapes["image"] == (4, 4, 3) and cropped.info.shapes["segmentation"] == (4, 4)
    train = cropped.splits["train"].gather(np.arange(2))  # the centre: rows 0.25 to 3.75, columns 1.25 to 4.75
    np.testing.assert_array_equal(train["segmentation"][0], np.arange(24).reshape(4, 6)[:, 1:5] % 3)
    np.testing.assert_allclose(train["objects_bbox"][1, 1], [0.75 / 3.5, 0.25 / 3.5, 1.75 / 3.5, 3.25 / 3.5], atol=1e-6)


RAGGED = ("motion", "objects_area", "objects_bbox", "objects_label")


@pytest.mark.parametrize("workers", [0, 1])
def test_ragged_features_beyond_memory_are_those_in_memory(scenes, workers):
    """Padded to the longest, or to the lengths that are given, cut where they are longer; read by threads or a process."""
    lengths = {"objects_bbox": (1, 2), "objects_label": (2,), "objects_area": (2,), "motion": (1,)}
    for given in ((), lengths, (2, 3)):
        config = settings("scenes", image="photo", lengths=given, workers=workers)
        resident = load(config, data_dir=scenes).splits["train"]
        config.memory_limit = 0
        streamed = load(config, data_dir=scenes).splits["train"]
        assert resident.resident and not streamed.resident and len(streamed) == 2
        rows = np.array([1, 0])
        for name, values in resident.gather(rows).items():
            np.testing.assert_array_equal(values, streamed.gather(rows)[name], err_msg=f"{name} {given}")
        for name in RAGGED:
            np.testing.assert_array_equal(streamed.ragged[name].sizes, resident.ragged[name].sizes)
            assert streamed.ragged[name].lengths == resident.ragged[name].lengths and streamed.column(name) is None
        shorter = {"objects_bbox": 1, "motion": 1}
        for name, values in resident.gather(rows, shorter).items():
            np.testing.assert_array_equal(values, streamed.gather(rows, shorter)[name], err_msg=f"{name} {given}")
    with pytest.raises(UserError, match=r"dataset.lengths names 'motions'; ragged are motion, objects_area"):
        load(settings("scenes", image="photo", lengths={"motions": (1,)}), data_dir=scenes)


def test_a_label_map_beyond_memory_is_checked_as_it_is_read(tmp_path):
    features = {"photo": tfds.features.Image(shape=(2, 2, 3)), "map": tfds.features.LabeledImage(labels=2, shape=(2, 2, 1))}
    maps = np.uint8([[[0, 1], [1, 255]], [[0, 1], [2, 0]], [[0, 0], [0, 0]]])
    examples = [{"photo": Image.new("RGB", (2, 2)), "map": Image.fromarray(labels)} for labels in maps]
    folder = prepared(tmp_path, "Maps", features, examples, None)
    with pytest.raises(
        UserError, match=r"map of example 1 has 2 at row 1, column 0; there are 2 classes, 0 to 1, and 255 is void"
    ):
        load(settings("maps", image="photo"), data_dir=folder)
    streamed = load(settings("maps", image="photo", memory_limit=0), data_dir=folder).splits["train"]
    np.testing.assert_array_equal(streamed.gather(np.array([0]))["map"], maps[:1])
    with pytest.raises(UserError, match=r"maps/1.0.0: map of example 1 has 2 at row 1, column 0; there are 2 classes"):
        streamed.gather(np.array([1]))


def test_texts_beyond_memory_have_the_tokens_of_those_in_memory(tmp_path):
    """The images are read as they are needed, the texts are not."""
    features = {"photo": tfds.features.Image(shape=(2, 2, 3)), "caption": tfds.features.Text()}
    examples = [{"photo": Image.new("RGB", (2, 2), (i, i, i)), "caption": en} for i, (en, _) in enumerate(TEXTS)]
    folder = prepared(tmp_path, "Captioned", features, examples, None)
    config = settings("captioned", image="photo", texts=("caption",))
    read = [load(ConfigDict({**config, "memory_limit": limit}), data_dir=folder) for limit in (0, 1 << 31)]
    assert [dataset.splits["test"].resident for dataset in read] == [False, True]
    assert {dataset.info.features["caption"].vocabulary.names for dataset in read} == {("<unk>", "a", "b")}
    for split in ("train", "test"):
        streamed, resident = (dataset.splits[split].gather(np.arange(len(dataset.splits[split]))) for dataset in read)
        assert set(streamed) == {"image", "caption", "caption_length"}
        for name, values in resident.items():
            np.testing.assert_array_equal(values, streamed[name])


@pytest.mark.parametrize(("lazy", "rate"), [(False, 8000), (True, 8000), (False, None)])
def test_audio_is_frames_with_its_rate(tmp_path, monkeypatch, lazy, rate):
    """Samples of 16 bits, as they are or in a file, become -1 to 1; nothing of this needs TensorFlow."""
    waves = [np.int16([0, 16384, -32768]), np.int16([1, 2, 3, 4, 32767]), np.int16([-1])]
    sounds = [wave.astype(np.int64) for wave in waves]
    if lazy:
        for i, wave in enumerate(waves):
            soundfile.write(tmp_path / f"{i}.wav", wave, 8000, subtype="PCM_16")
            sounds[i] = np.array((tmp_path / f"{i}.wav").read_bytes(), object)
    examples = [{"audio": sound, "label": i} for i, sound in enumerate(sounds)]
    with readable_audio(), monkeypatch.context() as patched:
        kind = tfds.features.Audio(file_format="wav", shape=(None,), dtype=np.int64, sample_rate=rate, lazy_decode=lazy)
        patched.setattr(type(kind), "dtype", np.dtype(np.int64))  # which TFDS asks TensorFlow for, when it prepares a set
        features = {"audio": kind, "label": tfds.features.ClassLabel(num_classes=3)}
        folder = prepared(tmp_path / "prepared", "Waves", features, examples, None)
    for limit in (0, 1 << 31):
        dataset = load(settings("waves", memory_limit=limit), data_dir=folder)
        assert dataset.info.features["audio"] == Feature(Kind.FRAMES, (None, 1), rate=float(rate or 0))
        train, test = (dataset.splits[split].gather(np.arange(len(dataset.splits[split]))) for split in ("train", "test"))
        np.testing.assert_array_equal(train["audio_length"], [3, 5])
        np.testing.assert_array_equal(train["audio"][0, :, 0], [0, 0.5, -1, 0, 0])
        np.testing.assert_allclose(train["audio"][1, :, 0], waves[1] / 32768, atol=1e-7)
        assert train["audio"].dtype == np.float32 and test["audio"][0, 0, 0] == -1 / 32768
        assert dataset.splits["train"].resident == (limit > 0)


def test_sentence_pairs_have_a_vocabulary_each(tmp_path):
    features = {"en": tfds.features.Text(), "de": tfds.features.Text(), "id": tfds.features.Text()}
    examples = [{"en": en, "de": de, "id": str(i)} for i, (en, de) in enumerate(TEXTS)]
    folder = prepared(tmp_path, "Pairs", features, examples, ("en", "de"))
    dataset = load(settings("pairs", lengths={"en": (2, 4)}), data_dir=folder)
    english, german = (dataset.info.features[name].vocabulary for name in ("en", "de"))
    assert set(dataset.info.features) == {"en", "de"}
    assert english.names == ("<unk>", "a", "b") and german.names == ("<unk>", "y", "x")  # "c" and "z" are in the test alone
    train, test = (dataset.splits[split].gather(np.arange(len(dataset.splits[split]))) for split in ("train", "test"))
    np.testing.assert_array_equal(train["en"], [[1, 2, 1, 0], [2, 1, 0, 0]])
    np.testing.assert_array_equal(train["en_length"], [3, 2])
    np.testing.assert_array_equal(test["en"], [[0, 1, 2, 2]])
    assert english.decode(train["en"][0, :3]) == "a b a" and test["de"].tolist() == [[0]]
    letters = load(settings("pairs", splits={"test": "test"}, level="character", texts=("id",)), data_dir=folder)
    assert letters.info.features["id"] == Feature(Kind.TOKENS, (None,), letters.info.features["id"].vocabulary)
    assert letters.info.features["en"].vocabulary.names == ("<unk>", " ", "a", "b")
    with pytest.raises(UserError, match=r"unknown dataset\.level 'letter'"):
        load(settings("pairs", level="letter"), data_dir=folder)


def test_a_set_without_images_needs_none(tmp_path):
    features = {"height": tfds.features.Scalar(np.float32), "label": tfds.features.ClassLabel(num_classes=2)}
    examples = [{"height": i / 2, "label": i % 2} for i in range(3)]
    folder = prepared(tmp_path, "Sizes", features, examples, ("height", "label"))
    dataset = load(settings("sizes"), data_dir=folder)
    assert dataset.info.num_classes == 2 and dataset.info.features["height"].kind is Kind.NUMBER
    assert dataset.splits["train"].gather(np.arange(2))["height"].tolist() == [0.0, 0.5]
    with pytest.raises(UserError, match="has no image feature 'height'"):
        load(settings("sizes", image="height"), data_dir=folder)
