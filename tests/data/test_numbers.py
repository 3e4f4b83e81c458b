"""Tables of numbers with a target: which columns are read, how they are standardised, and what is wrong with a file."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.dataset import Kind
from dl.errors import UserError

THREE = {"train": "train", "validation": "validation", "test": "test"}
HOUSES = """split,area,rooms,garden,price
train,50,2,1,100.5
train,70,3,1,200
train,90,4,1,300
dev,60,2,0,150
test,1e2,6,3,-5
"""


def settings(path="", name="numbers", **more):
    return ConfigDict({"name": name, "path": str(path), "splits": THREE, "target": "price", **more})


def write(path, text):
    path.write_text(text)
    return path


def features(dataset, split):
    source = dataset.splits[split]
    return source.gather(np.arange(len(source)))


def test_columns_are_standardised_by_the_training_rows_and_the_target_keeps_its_unit(tmp_path):
    dataset = load(settings(write(tmp_path / "a.csv", HOUSES)))
    assert {n: (f.kind, f.shape) for n, f in dataset.info.features.items()} == {
        "inputs": (Kind.NUMBER, (3,)),
        "target": (Kind.NUMBER, ()),
    }
    train, test = features(dataset, "train"), features(dataset, "test")
    third = np.sqrt(1.5)  # (50, 70, 90) and (2, 3, 4): one deviation is 20 sqrt(2/3), sqrt(2/3)
    np.testing.assert_allclose(train["inputs"], [[-third, -third, 0], [0, 0, 0], [third, third, 0]], rtol=1e-6)
    # 1.5 areas and 3 rooms above the middle; the garden did not change among the training rows.
    np.testing.assert_allclose(test["inputs"], [[1.5 * third, 3 * third, 0]], rtol=1e-6)
    assert train["target"].tolist() == [100.5, 200, 300] and test["target"].tolist() == [-5]
    assert train["target"].dtype == train["inputs"].dtype == np.float32


def test_columns_are_chosen_by_name_and_left_as_they_are_on_request(tmp_path):
    path = write(tmp_path / "a.csv", HOUSES.replace("rooms", "street").replace(",2,", ",High Street,"))
    dataset = load(settings(path, columns=("garden", "area"), standardise=False))
    assert features(dataset, "train")["inputs"].tolist() == [[1, 50], [1, 70], [1, 90]]
    assert load(settings(path, columns="area")).info.shapes["inputs"] == (1,)


def test_a_column_of_classes(tmp_path):
    text = HOUSES.replace("100.5", "sold").replace("200", "open").replace("300", "sold").replace("150", "open")
    dataset = load(settings(write(tmp_path / "a.csv", text.replace("-5", "sold")), target="", label="price"))
    assert dataset.info.class_names == ("open", "sold") and features(dataset, "train")["label"].tolist() == [1, 0, 1]


def test_a_row_stays_in_its_split(tmp_path):
    lines = [f"{i},{i * i}" for i in range(300)]
    whole = load(settings(write(tmp_path / "a.csv", "\n".join(["x,price", *lines])), holdout=20.0))
    fewer = load(settings(write(tmp_path / "b.csv", "\n".join(["x,price", *lines[100:]])), holdout=20.0))
    sizes = [len(whole.splits[split]) for split in THREE]
    assert sum(sizes) == 300 and all(35 < size < 85 for size in sizes[1:])
    assert set(features(fewer, "test")["target"]) <= set(features(whole, "test")["target"])


def test_arrays_in_splits_and_as_one_set(tmp_path):
    x, y = np.random.default_rng(0).normal(5, 3, (60, 4)), np.arange(60.0)
    np.savez(tmp_path / "a.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:, None])
    dataset = load(settings(tmp_path / "a.npz", splits={"train": "train", "test": "test"}))
    centre, deviation = x[:40].mean(0), x[:40].std(0)
    np.testing.assert_allclose(features(dataset, "test")["inputs"], (x[40:] - centre) / deviation, rtol=1e-5, atol=1e-6)
    assert features(dataset, "test")["target"].tolist() == y[40:].tolist()
    np.savez(tmp_path / "b.npz", x=x, y=y)
    parts = [features(load(settings(tmp_path / "b.npz", holdout=20.0)), split)["target"] for split in THREE]
    assert sorted(np.concatenate(parts)) == y.tolist() and all(len(part) for part in parts)


def test_images_with_a_number(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 5, 6, 3), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=np.arange(30))
    dataset = load(settings(tmp_path / "a.npz", splits={"train": "train"}))
    assert dataset.info.features["image"].kind is Kind.IMAGE
    np.testing.assert_array_equal(features(dataset, "train")["image"], pixels)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    rows = "".join(f"{i}.png,{i / 2},{('train', 'test')[i % 2]}\n" for i in range(30))
    table = write(tmp_path / "a.csv", "image,price,split\n" + rows)
    dataset = load(settings(table, images=str(tmp_path), splits={"train": "train", "test": "test"}))
    found = features(dataset, "test")
    np.testing.assert_array_equal(found["image"], pixels[1::2])
    assert found["target"].tolist() == (np.arange(1, 30, 2) / 2).tolist() and dataset.info.shapes["image"] == (5, 6, 3)
    with pytest.raises(UserError, match=r"a.csv, line 4: there is no image .*none.png"):
        load(settings(write(table, (tmp_path / "a.csv").read_text().replace("\n2.png", "\nnone.png")), images=str(tmp_path)))


BAD = {
    "no target": ("a,b\n1,2\n", {"target": ""}, "needs dataset.target, the column to be predicted"),
    "missing column": ("a,b\n1,2\n", {}, r"its first line must name the columns 'price' among others; it holds 'a', 'b'"),
    "missing input": ("a,price\n1,2\n", {"columns": ("area",)}, "must name the columns 'price', 'area'"),
    "text": (
        "a,price\n1,2\nbig,3\n",
        {},
        r"line 3: 'big' in the column 'a' is no finite number: correct it, or name the columns",
    ),
    "NaN": ("a,price\n1,2\n3,nan\n", {}, r"line 3: 'nan' in the column 'price' is no finite number"),
    "empty cell": ("a,price\n,2\n", {}, r"line 2: '' in the column 'a' is no finite number"),
    "huge": ("a,price\n1e300,2\n", {}, r"line 2: the column 'a' is beyond float32"),
    "nothing else": ("price\n2\n", {}, "has no column besides 'price'"),
}


@pytest.mark.parametrize(("text", "more", "said"), BAD.values(), ids=BAD)
def test_a_table_that_is_wrong_is_one_line(tmp_path, text, more, said):
    with pytest.raises(UserError, match=said) as raised:
        load(settings(write(tmp_path / "a.csv", text), **more))
    assert "\n" not in str(raised.value)


ARRAYS = {
    "without y": ({"x": np.ones((3, 2))}, r"has 'x' without 'y'"),
    "lengths": ({"x": np.ones((3, 2)), "y": np.ones(4)}, r"x has shape \(3, 2\) and y \(4,\)"),
    "NaN": ({"x": np.array([[1.0], [np.nan]]), "y": np.ones(2)}, "x has a value of example 1 that is no finite number"),
    "text": ({"x": np.array([["a"]]), "y": np.ones(1)}, "x has type <U1; it must hold numbers"),
    "others": ({"image": np.ones(1)}, "needs the arrays x and y"),
}


@pytest.mark.parametrize(("arrays", "said"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_are_wrong_are_one_line(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=said):
        load(settings(tmp_path / "a.npz"))


def test_a_file_that_is_no_archive(tmp_path):
    with pytest.raises(UserError, match=r"a.npz is not a readable .npz file"):
        load(settings(write(tmp_path / "a.npz", "PK")))
    with pytest.raises(UserError, match=r"there is no file .*b.csv"):
        load(settings(tmp_path / "b.csv"))


@pytest.mark.parametrize(("name", "sizes", "columns"), [("diabetes", (266, 88, 88), 10), ("breast_cancer", (365, 91, 113), 30)])
def test_embedded_tables_are_those_of_scikit_learn(name, sizes, columns):
    from sklearn import datasets

    original = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    dataset = load(ConfigDict({"name": name, "splits": THREE, "standardise": False}))
    assert tuple(len(dataset.splits[split]) for split in THREE) == sizes
    target = "target" if name == "diabetes" else "label"
    known = {tuple(np.float32(row)): y for row, y in zip(original.data, original.target, strict=True)}
    for split in THREE:
        found = features(dataset, split)
        assert found["inputs"].shape[1] == columns
        assert [known[tuple(row)] for row in found["inputs"]] == found[target].tolist()
