"""Tables of one's own: a text and a label, a question and an answer, numbers and a target; and what is wrong with a file."""

import gzip
import lzma

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.dataset import Kind
from dl.errors import UserError

ROWS = [row for i in range(20) for row in (("pos", f"A fine film, {i}!"), ("neg", f'Dull, "dull" {i} dull.'))]


def settings(path, **more):
    return ConfigDict({"name": "table", "path": str(path), "splits": {"train": "train"}, **more})


def write(path, text):
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


TSV = "".join(f"{label}\t{text}\n" for label, text in ROWS)
NAMED = "".join(f"{label}\t{text}\t{i}\n" for i, (label, text) in enumerate([("label", "text"), *ROWS]))
QUOTED = "label,text\n" + "".join('{},"{}"\n'.format(label, text.replace('"', '""')) for label, text in ROWS)


@pytest.mark.parametrize(
    ("name", "text"), [("a.tsv", TSV), ("a.tsv.gz", TSV), ("a.tsv.xz", NAMED), ("a.csv", QUOTED), ("a.csv.gz", QUOTED)]
)
def test_a_text_and_its_label(tmp_path, name, text):
    info, splits = load(settings(write(tmp_path / name, text), holdout=10.0))
    assert info.class_names == ("neg", "pos")
    vocabulary = info.features["text"].vocabulary
    assert vocabulary.names[:2] == ("<pad>", "<unk>") and {"dull", "fine", '"', "!"} <= set(vocabulary.names)
    train = splits["train"].features
    words = [vocabulary.decode(train["text"].gather(np.array([i]))[0][0]) for i in range(3)]
    found = {(info.class_names[label], text.split()[0]) for label, text in zip(train["label"][:3], words, strict=True)}
    assert found == {("pos", "a"), ("neg", "dull")}


def test_a_row_stays_in_its_split(tmp_path):
    rows = [f"x\trow {i}\n" for i in range(200)]
    three = {"splits": {"train": "train", "validation": "validation", "test": "test"}}
    whole = load(settings(write(tmp_path / "a.tsv", "".join(rows)), level="character", **three))
    sizes = {split: len(source) for split, source in whole.splits.items()}
    assert sum(sizes.values()) == 200 and 8 <= sizes["test"] <= 34 and 8 <= sizes["validation"] <= 34
    fewer = load(settings(write(tmp_path / "b.tsv", "".join(rows[50:])), level="character", **three))

    def texts(dataset, split):
        vocabulary, ragged = dataset.info.features["text"].vocabulary, dataset.splits[split].features["text"]
        padded, length = ragged.gather(np.arange(len(ragged)))
        return {vocabulary.decode(row[:n]) for row, n in zip(padded, length, strict=True)}

    assert texts(fewer, "test") <= texts(whole, "test")


def test_named_columns_named_splits_and_numbers(tmp_path):
    text = "split,question,answer,hours\ntrain,Who wrote it?,Ann,1.5\ndev,Who?,Bob,2\ntest,Who acts?,Ann,-3e1\n"
    path = write(tmp_path / "quiz.csv", text)
    splits = {"train": "train", "validation": "validation", "test": "test"}
    info, found = load(settings(path, texts=("question",), label="answer", numbers=("hours",), splits=splits))
    assert {name: feature.kind for name, feature in info.features.items()} == {
        **{"question": Kind.TOKENS, "label": Kind.CLASS, "hours": Kind.NUMBER},
    }
    assert info.class_names == ("Ann", "Bob") and [len(found[split]) for split in splits] == [1, 1, 1]
    batch = found["test"].gather(np.array([0]))
    assert batch["hours"].dtype == np.float32 and batch["hours"].tolist() == [-30.0] and batch["label"].tolist() == [0]
    names = info.features["question"].vocabulary.names
    assert [names[i] for i in batch["question"][0]] == ["who", "<unk>", "?"]


def test_numbers_alone_and_classes_in_the_order_of_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "age,price\n" + "".join(f"{i},{2 * i}\n" for i in range(40)))
    info, found = load(settings(path, texts=(), label="", numbers=("age", "price")))
    batch = found["train"].gather(np.arange(5))
    np.testing.assert_array_equal(batch["price"], 2 * batch["age"])
    info, _ = load(settings(path, texts=(), label="age"))
    assert info.class_names[:3] == ("0", "1", "2") and info.class_names[-1] == "39"


@pytest.mark.parametrize(
    ("name", "text", "more", "message"),
    [
        ("a.txt", "x", {}, r"must end in .tsv or .csv"),
        ("a.tsv", "", {}, "is empty"),
        ("a.tsv", "label\ttext\n", {}, "names of its columns and no row"),
        ("a.tsv", "pos\tfine\nneg\n", {}, "line 2: it has 1 columns, and the first has 2"),
        ("a.tsv", "pos\tfine\n\nneg\t \n", {}, "line 3: there is no text in the column 'text'"),
        ("a.tsv", "pos\tfine\n\tdull\n", {}, "line 2: there is no label"),
        ("a.tsv", "a\tb\tc\n", {}, "first line must name the columns 'label', 'text'|'text', 'label'"),
        ("a.csv", 'label,text\npos,"a" b\n', {}, "line 2: .* a quotation mark in a cell is written twice"),
        ("a.csv", "x,y\n1,2\n3,oh\n", {"texts": (), "label": "", "numbers": ("y",)}, "line 3: 'oh' in the column 'y' is no"),
        ("a.csv", "x,y\n1,nan\n2,2\n3,3\n4,4\n5,5\n", {"texts": (), "label": "", "numbers": ("y",)}, "line 2: 'nan'"),
        ("a.csv", "split,label,text\nholdout,a,b\n", {}, "unknown split in line 2 of .* 'holdout'"),
        ("a.tsv", "pos\tfine\n", {"minimum": 9}, "minimum=9 leaves no word"),
        ("a.tsv", "pos\tfine\n", {"level": "syllable"}, "unknown dataset.level 'syllable'"),
        ("a.tsv", "pos\tfine\n", {"texts": (), "label": ""}, "reads no column"),
        ("a.tsv", "pos\tfine\n", {"encoding": "utf-9"}, "'utf-9' is not an encoding"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, name, text, more, message):
    with pytest.raises(UserError, match=message) as said:
        load(settings(write(tmp_path / name, text), **more))
    assert "\n" not in str(said.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        load(settings(tmp_path / "no.tsv"))
    (tmp_path / "a.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match="is corrupt"):
        load(settings(tmp_path / "a.tsv.gz"))
    (tmp_path / "b.tsv").write_bytes("neg\tfürchterlich\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not utf-8 text: byte 5 is 0xfc. Name its encoding by"):
        load(settings(tmp_path / "b.tsv"))
    assert len(load(settings(tmp_path / "b.tsv", encoding="latin-1")).splits["train"]) == 1
