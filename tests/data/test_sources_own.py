"""Data of one's own: folders of images, .npz files and builders that TFDS has prepared."""

import hashlib

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.data.sources.folder import decode
from dl.dataset import column_of
from dl.errors import UserError


def settings(name, path="", splits=None, **more):
    return ConfigDict({"name": name, "path": str(path), "splits": splits or {"train": "train", "test": "test"}, **more})


def features(dataset, split):
    source = dataset.splits[split]
    return source.gather(np.arange(len(source)))


def write(path, *, size=(6, 5), seed=0, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def animals(tmp_path):
    """Two classes of 30 lossless images, and what they hold."""
    root = tmp_path / "animals"
    return root, {f"{c}/{i:02d}.png": write(root / c / f"{i:02d}.png", seed=i) for c in ("cat", "ant") for i in range(30)}


def test_folder_is_split_by_the_hash_of_the_name(animals):
    root, pixels = animals
    names = {"train": [], "validation": [], "test": []}
    for name in sorted(pixels):
        fraction = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64
        names["test" if fraction < 0.2 else "validation" if fraction < 0.4 else "train"].append(name)
    dataset = load(settings("folder", root, {split: split for split in names}, holdout=20.0))
    assert dataset.info.class_names == ("ant", "cat") and dataset.info.shapes["image"] == (6, 5, 3)
    for split, expected in names.items():
        got = features(dataset, split)
        np.testing.assert_array_equal(got["image"], np.stack([pixels[name] for name in expected]))
        assert got["label"].tolist() == [int(name.startswith("cat")) for name in expected]


def test_folder_split_does_not_depend_on_other_images(animals):
    root, _ = animals
    before = features(load(settings("folder", root)), "test")["image"]
    write(root / "cat" / "new.png", seed=99)
    after = features(load(settings("folder", root)), "test")["image"]
    kept = {image.tobytes() for image in after}
    assert all(image.tobytes() in kept for image in before)


def test_folder_with_splits_of_its_own_in_four_formats(tmp_path):
    for split in ("train", "test"):
        for suffix in ("jpg", "png", "bmp", "pgm"):
            for name in ("a", "b"):
                write(tmp_path / split / name / f"1.{suffix}", mode="L")
    dataset = load(settings("folder", tmp_path, channels=1))
    train = features(dataset, "train")
    assert train["image"].shape == (8, 6, 5, 1) and train["label"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert sorted(dataset.splits) == ["test", "train"] and len(dataset.splits["test"]) == 8


def test_folder_streams_what_exceeds_the_memory_limit(animals):
    root, _ = animals
    resident, streamed = load(settings("folder", root)), load(settings("folder", root, memory_limit=1000))
    assert resident.splits["train"].resident and not streamed.splits["train"].resident
    np.testing.assert_array_equal(features(resident, "train")["image"], features(streamed, "train")["image"])


def test_folder_of_several_sizes(animals):
    root, _ = animals
    write(root / "ant" / "large.png", size=(9, 5))
    with pytest.raises(UserError, match=r"images differ in size: .*large.png is \(9, 5\).*set dataset.size"):
        load(settings("folder", root))
    dataset = load(settings("folder", root, size=(12, 8), fit="resize"))
    assert dataset.info.shapes["image"] == (12, 8, 3) and features(dataset, "train")["image"].shape[1:] == (12, 8, 3)


def test_jpeg_is_turned_as_its_orientation_says(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image = Image.new("RGB", (8, 4))
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / name / "1.jpg", exif=exif)
    dataset = load(settings("folder", tmp_path, {"all": "all"}))
    assert dataset.info.shapes["image"] == (8, 4, 3)


@pytest.mark.parametrize("limit", [10**9, 0])
def test_folder_with_an_undecodable_file(animals, limit):
    root, _ = animals
    (root / "ant" / "broken.jpg").write_bytes(b"not an image")
    with pytest.raises(
        UserError, match=r"ant/broken.jpg can't be decoded \(not an image in JPEG, PNG, PNM or BMP\); mend or replace it"
    ):
        load(settings("folder", root, memory_limit=limit))


def test_folder_with_a_truncated_file(animals):
    root, _ = animals
    path = root / "ant" / "03.png"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(UserError, match=r"ant/03.png can't be decoded"):
        load(settings("folder", root))


def test_folder_errors(tmp_path):
    with pytest.raises(UserError, match=r"needs dataset\.path"):
        load(settings("folder"))
    with pytest.raises(UserError, match="there is no folder"):
        load(settings("folder", tmp_path / "absent"))
    with pytest.raises(UserError, match="has no sub-folders; make one sub-folder"):
        load(settings("folder", tmp_path))
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"has one class \(a\); make one sub-folder"):
        load(settings("folder", tmp_path))
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="has no images"):
        load(settings("folder", tmp_path))
    write(tmp_path / "a" / "1.png")
    with pytest.raises(UserError, match="b has no images"):
        load(settings("folder", tmp_path))
    with pytest.raises(UserError, match=r"channels 4 must be 1 \(grey\) or 3"):
        load(settings("folder", tmp_path, channels=4))


def test_folder_with_a_class_in_test_alone(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/c/1.png"):
        write(tmp_path / name)
    with pytest.raises(UserError, match=r"test/c is a class that the training folder lacks. Classes: a, b"):
        load(settings("folder", tmp_path))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (40, 7, 6), np.uint8), np.arange(40) % 3


def test_npz_with_splits(tmp_path, arrays):
    images, labels = arrays
    np.savez(tmp_path / "a.npz", x_train=images[:30], y_train=labels[:30, None], x_test=images[30:], y_test=labels[30:])
    dataset = load(settings("npz", tmp_path / "a.npz", {"train": "train[:20]", "validation": "train[20:]", "test": "test"}))
    assert {name: len(source) for name, source in dataset.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    np.testing.assert_array_equal(features(dataset, "validation")["image"][..., 0], images[20:30])
    assert dataset.info.num_classes == 3 and dataset.info.shapes["image"] == (7, 6, 1)
    assert features(dataset, "train")["label"].dtype == np.int32


def test_npz_split_by_rule(tmp_path, arrays):
    images, labels = arrays
    np.savez(tmp_path / "a.npz", image=images[..., None] / 255.0, label=labels, class_names=["x", "y", "z"])
    dataset = load(settings("npz", tmp_path / "a.npz"))
    test = [i for c in range(3) for n, i in enumerate(range(c, 40, 3)) if n % 5 == 4]
    np.testing.assert_array_equal(features(dataset, "test")["label"], labels[sorted(test)])
    assert features(dataset, "train")["image"].dtype == np.float32
    np.testing.assert_allclose(features(dataset, "test")["image"][..., 0], images[sorted(test)] / 255, rtol=1e-6)
    assert dataset.info.class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "has 'y_train' without 'x_train'"),
        ({"y_test": None}, "has 'x_test' without 'y_test'"),
        ({"y_train": np.zeros(29, int)}, "'x_train' has 30 examples, 'y_train' has 29"),
        ({"y_train": np.zeros(30)}, "labels must be whole numbers"),
        ({"x_train": np.zeros((30, 42))}, r"images must be \[N, H, W\]"),
        ({"x_train": np.full((30, 7, 6), 300)}, "outside 0..255"),
        ({"x_test": np.zeros((10, 7, 7), np.uint8)}, "images of different shapes"),
    ],
)
def test_npz_errors(tmp_path, arrays, change, message):
    images, labels = arrays
    good = {"x_train": images[:30], "y_train": labels[:30], "x_test": images[30:], "y_test": labels[30:]}
    np.savez(tmp_path / "a.npz", **{name: value for name, value in (good | change).items() if value is not None})
    with pytest.raises(UserError, match=message):
        load(settings("npz", tmp_path / "a.npz"))


def test_npz_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"needs dataset\.path"):
        load(settings("npz"))
    with pytest.raises(UserError, match="there is no file"):
        load(settings("npz", tmp_path / "absent.npz"))
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"not a readable \.npz"):
        load(settings("npz", tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", images=np.zeros(3))
    with pytest.raises(UserError, match=r"needs the arrays image and label, .* it holds images"):
        load(settings("npz", tmp_path / "b.npz"))


@pytest.mark.parametrize("wrong", [7, -1])
def test_labels_out_of_range(tmp_path, arrays, wrong):
    images, labels = arrays
    labels = labels.copy()
    labels[12] = wrong
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = rf"dataset 'npz', split 'train\[10:\]': label {wrong} of example 2 is out of range; there are 3 classes, 0 to 2"
    with pytest.raises(UserError, match=message):
        load(settings("npz", tmp_path / "a.npz", {"train": "train[10:]"}, num_classes=3))


@pytest.fixture
def make_builder(tmp_path):
    """Prepare a small dataset of one's own as ArrayRecord; the images of example i are filled with i."""
    import tensorflow_datasets as tfds

    def prepare(shape, sizes):
        with tfds.core.registered.skip_registration():

            class Shades(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.2.0")

                def _info(self):
                    kinds = {
                        "image": tfds.features.Image(shape=shape),
                        "label": tfds.features.ClassLabel(names=["dark", "light"]),
                    }
                    more = {"weight": tfds.features.Scalar(np.float32), "name": tfds.features.Text()}
                    return self.dataset_info_from_configs(
                        features=tfds.features.FeaturesDict(kinds | more),
                        supervised_keys=("image", "label"),
                        disable_shuffling=True,
                    )

                def _split_generators(self, dl_manager):
                    return {"train": self._generate_examples(30), "test": self._generate_examples(8)}

                def _generate_examples(self, count):
                    for i in range(count):
                        image = Image.new("RGB", sizes[i % len(sizes)][::-1], (i, i, i))
                        yield i, {"image": image, "label": int(i >= 15), "weight": i / 2, "name": f"n{i}"}

        builder = Shades(data_dir=str(tmp_path), file_format="array_record")
        builder.download_and_prepare()
        return str(tmp_path)

    return prepare


def test_prepared_builder_of_many_sizes_is_cropped(make_builder):
    """Fit "crop" reads each image at its own size; of one colour, it is that colour however it is cropped."""
    data_dir = make_builder((None, None, 3), [(20, 30), (41, 17), (16, 16)])
    crop = {"fit": "crop", "size": (8, 12), "random_crop": {"scale": (0.2, 0.5)}}
    dataset = load(settings("shades", **crop), data_dir=data_dir)
    source = dataset.splits["train"]
    assert dataset.info.shapes["image"] == (8, 12, 3) and not source.resident
    numbers = np.random.default_rng(0).integers(0, 2**63, (30, 22)).astype(np.uint64)
    for got in (source.gather(np.arange(30)), source.draw(np.arange(30), numbers)):
        assert got["image"].shape == (30, 8, 12, 3) and got["weight"].tolist() == [i / 2 for i in range(30)]
        assert (got["image"] == np.arange(30)[:, None, None, None]).all()


@pytest.mark.parametrize("name", ["shades", "shades:1.2.0"])
def test_prepared_builder(make_builder, name):
    data_dir = make_builder((4, 6, 3), [(4, 6)])
    splits = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    resident = load(settings(name, splits=splits), data_dir=data_dir)
    streamed = load(settings(name, splits=splits, memory_limit=0), data_dir=data_dir)
    assert resident.info.class_names == ("dark", "light") and resident.info.shapes["image"] == (4, 6, 3)
    assert resident.splits["train"].resident and not streamed.splits["train"].resident
    for dataset in (resident, streamed):
        validation = features(dataset, "validation")
        assert validation["image"][:, 0, 0, 0].tolist() == [27, 28, 29] and validation["image"].dtype == np.uint8
        assert validation["label"].tolist() == [1, 1, 1] and validation["label"].dtype == np.int32
        assert validation["weight"].tolist() == [13.5, 14.0, 14.5]
        assert sorted(validation) == ["image", "label", "weight"]
    chosen = streamed.splits["train"].gather(np.array([5, 2, 20]))
    assert chosen["image"][:, 0, 0, 0].tolist() == [5, 2, 20]


@pytest.mark.parametrize("memory_limit", [0, 2**31])
def test_a_prepared_builder_that_is_damaged_is_told_in_one_line(make_builder, tmp_path, memory_limit):
    data_dir = make_builder((4, 6, 3), [(4, 6)])
    home = tmp_path / "shades" / "1.2.0"
    for path in sorted(home.iterdir()):
        if path.name.endswith(".labels.txt"):
            continue
        whole = path.read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], whole[:100] + b"\xff" + whole[101:])[
            : 3 if path.suffix == ".json" else 2
        ]:
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=r"shades/1\.2\.0 is corrupt: |has no image feature|is stored as") as raised:
                features(load(settings("shades", memory_limit=memory_limit), data_dir=data_dir), "train")
                features(load(settings("shades", memory_limit=memory_limit), data_dir=data_dir), "test")
            assert "\n" not in str(raised.value)
        path.write_bytes(whole)


def test_columns_of_a_prepared_builder_without_its_images(make_builder, monkeypatch):
    data_dir = make_builder((4, 6, 3), [(4, 6)])
    data = load(settings("shades", splits={"train": "train[10:]"}, memory_limit=0), data_dir=data_dir).splits["train"]
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: pytest.fail("an image was decoded"))
    label, weight = column_of(data, "label"), column_of(data, "weight")
    assert (
        label.tolist() == [0] * 5 + [1] * 15 and label.dtype == np.int32 and weight.tolist() == [i / 2 for i in range(10, 30)]
    )
    assert column_of(data, "alphabet") is None
    assert len(set(data.stored(np.arange(20)))) == 20


def test_prepared_builder_of_several_sizes(make_builder):
    data_dir = make_builder((None, None, 3), [(4, 6), (8, 3)])
    with pytest.raises(UserError, match=r"'shades/1.2.0' has images of several sizes; set dataset.size"):
        load(settings("shades"), data_dir=data_dir)
    dataset = load(settings("shades", size=(8, 8), fit="pad", memory_limit=0), data_dir=data_dir)
    train = features(dataset, "train")
    assert train["image"].shape == (30, 8, 8, 3) and dataset.info.shapes["image"] == (8, 8, 3)
    assert (train["image"][20] == 20).sum() == 4 * 6 * 3


def test_changed_files_are_decoded_again(make_builder, tmp_path):
    data_dir = make_builder((4, 6, 3), [(4, 6)])
    before = load(settings("shades"), data_dir=data_dir)
    kept = tmp_path / ".arrays" / "shades" / "1.2.0" / "train.npz"
    kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(
        features(load(settings("shades"), data_dir=data_dir), "train")["image"], features(before, "train")["image"]
    )
    assert kept.stat().st_size > 1000


def test_builder_that_nobody_has_prepared(tmp_path):
    with pytest.raises(UserError, match=r"dataset 'imagenette' is not prepared in .*array_record.*--data_dir"):
        load(settings("imagenette"), data_dir=str(tmp_path))


def test_a_folder_split_by_class_keeps_every_person_in_one_split(tmp_path):
    """40 people of 3 images: the order of the hashes decides, so nobody of the test set was seen in training."""
    names = [f"person{i:02d}" for i in range(40)]
    for number, name in enumerate(names):
        for i in range(3):
            write(tmp_path / name / f"{i}.png", seed=3 * number + i)
    splits = {name: name for name in ("train", "validation", "test")}
    dataset = load(settings("folder", tmp_path, splits, split_by="class", holdout=15.0))
    ordered = sorted(range(40), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    expected = {"test": ordered[:6], "validation": ordered[6:12], "train": ordered[12:]}
    for split in splits:
        labels = features(dataset, split)["label"]
        assert np.unique(labels).tolist() == sorted(expected[split]) and len(labels) == 3 * len(expected[split])
    with pytest.raises(UserError, match="unknown dataset.split_by 'person'. Choices: class, image"):
        load(settings("folder", tmp_path, split_by="person"))


def test_a_folder_of_splits_with_other_people_in_each(tmp_path):
    for split, name in (("train", "ann"), ("train", "bob"), ("test", "cleo"), ("test", "dan")):
        write(tmp_path / split / name / "0.png")
    dataset = load(settings("folder", tmp_path, split_by="class"))
    assert dataset.info.class_names == ("ann", "bob", "cleo", "dan")
    assert [set(features(dataset, split)["label"]) for split in ("train", "test")] == [{0, 1}, {2, 3}]
    with pytest.raises(UserError, match="cleo is a class that the training folder lacks"):
        load(settings("folder", tmp_path))


def test_sixteen_bits_and_transparency_are_read_as_they_show(tmp_path):
    """Pillow itself cuts 16-bit greys off at 255, and shows what is hidden."""
    grey = np.arange(0, 65536, 4369, dtype=np.uint16).reshape(4, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for channels in (1, 3):
        np.testing.assert_array_equal(decode(tmp_path / "grey.png", channels)[..., 0], (grey // 257).astype(np.uint8))
    hidden = np.zeros((2, 2, 4), np.uint8)
    hidden[0] = 255, 0, 0, 255
    Image.fromarray(hidden).save(tmp_path / "alpha.png")
    found = decode(tmp_path / "alpha.png", 3)
    assert (found[0] == [255, 0, 0]).all() and (found[1] == 255).all()
