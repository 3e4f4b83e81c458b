"""The commands that the documentation gives, and a folder to type them in."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image

from dl.evaluation import debiasing
from dl.evaluation.word_vectors import WordVectors
from dl.interop import word_vectors
from tests.conftest import REPOSITORY

_BEGINS = r"(?:python|pip|make|git|tensorboard|\./\w+|\.venv/\S+|--[a-z][\w.]*)\b"
SQUEEZENET = "squeezenet_v1.0_oihw_float32.npz"


class Command(NamedTuple):
    """A command as it is written. `where`: the file."""

    where: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def program(self) -> str:
        """`train` of `python -m experiments.train`; empty for what is none of ours."""
        match = re.match(r"python -m experiments\.(\w+)", self.text)
        return match[1] if match else ""

    @property
    def flags(self) -> list[str]:
        """What follows the program."""
        return self.words[3:]

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def documented() -> list[Command]:
    """Every command of README.md, docs/ (but for results.md, which shows commands of the past) and of the docstrings on top of
    configs and programs, each once."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    programs = [*sorted((REPOSITORY / "configs").glob("*.py")), *sorted((REPOSITORY / "experiments").glob("*.py"))]
    found: dict[str, Command] = {}
    for path in (*pages, *programs):
        text = path.read_text()
        if path.suffix == ".py":
            text = text.split('"""')[1]
        if path.name != "results.md":
            for command in commands(text):
                found.setdefault(command, Command(str(path.relative_to(REPOSITORY)), command))
    return list(found.values())


def commands(text: str) -> list[str]:
    """The commands in indented and fenced blocks and, those of python, in the prose; without remarks beside them."""
    joined = re.sub(r"\\\n\s*", "", text)
    blocks = re.findall(rf"^(?: {{4,}})({_BEGINS}.*)$", joined, re.MULTILINE)
    fences = re.findall(r"^```(\w*)\n(.*?)^```", joined, re.M | re.S)  # in pairs, so that the prose between two is none
    fenced = [
        line.strip() for kind, block in fences if kind in ("", "sh", "bash") for line in block.splitlines() if line.strip()
    ]
    inline = re.findall(r"`(python -m [^`]+)`", joined)
    return [re.split(r"\s{2,}|\s#", line)[0].strip() for line in (*blocks, *fenced, *inline)]


def make_desk(folder: Path, archives: Path | None) -> None:
    """Puts into a folder what the documentation names: the configs, images, a text, a folder of people, sound, archives."""
    folder.mkdir(exist_ok=True)
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    rng = np.random.default_rng(0)

    def image(name: str, channels: int = 3, side: int = 32) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (side, side, channels), np.uint8)
        Image.fromarray(pixels.squeeze()).save(folder / name)

    cut_out = ("word1.png", "word2.jpg")
    for name in ("photo.jpg", "scan.png", "cat.png", "painting.jpg", "a.jpg", "b.jpg", "portrait.jpg", *cut_out):
        image(name)
    for number in range(12):  # by their names, number 8 is validation and number 9 test
        image(f"photographs/{number}.png")
    image("street.jpg", side=64)
    image("digit.png", channels=1, side=8)
    for number in range(30):  # an image and its label map
        image(f"my_masks/images/{number}.png")
        (folder / "my_masks" / "labels").mkdir(exist_ok=True)
        Image.fromarray(np.eye(32, dtype=np.uint8) * (number % 3)).save(folder / "my_masks" / "labels" / f"{number}.png")
    (folder / "my_masks" / "classes.txt").write_text("sky\nroad\ncar\n")
    for name in ("portrait_map.png", "doodle.png"):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:16] = 255
        Image.fromarray(pixels).save(folder / name)
    for person in range(30):
        for number in range(3):
            image(f"FOLDER/p{person:02d}/{number}.png", channels=1, side=16)
    (folder / "my.txt").write_text("the cat sat on the mat and the dog on the log. " * 400)
    (folder / "FILE.txt").write_text("the cat sat on the mat\nand the dog on the log\n" * 40)
    words = sorted({word for pair in debiasing.DEFINING for word in pair} | {"king", "queen", "nurse", "boss"})
    vectors = WordVectors(tuple(words), rng.normal(size=(len(words), 5)).astype(np.float32))
    for name in ("vectors.txt", "vectors.bin"):
        word_vectors.write(folder / name, vectors)
    (folder / "captions.en").write_text("A man sleeps in the park.\nTwo boys run on the beach.\n")
    for name in ("train", "val", "test"):
        for language, line in (("en", "A man sleeps.\nA dog runs.\n"), ("fr", "Un homme dort.\nUn chien court.\n")):
            (folder / "pairs").mkdir(exist_ok=True)
            (folder / "pairs" / f"{name}.{language}").write_text(line * 40)
    opinions = (f"{('bad', 'good')[i % 2]}\t{('Dull', 'Great')[i % 2]} film, number {i}.\n" for i in range(60))
    rows = "".join(f"is it {n}?\t{n % 2}\n" for n in range(40))
    (folder / "questions.tsv").write_text("question\tanswer\n" + rows)
    (folder / "articles.tsv").write_text("article\ttitle\n" + "".join(f"of {n} things\tabout {n}\n" for n in range(80)))
    (folder / "my.tsv").write_text("".join(opinions))
    houses = (f"{i},{i % 7},{3 * i + i % 5},{i % 2}\n" for i in range(60))
    (folder / "my.csv").write_text("area,rooms,price,sold\n" + "".join(houses))
    (folder / "drive.csv").write_text("image,steering\n" + "".join(f"{i}.png,{i - 12}\n" for i in range(24)))
    for number in range(24):
        image(f"FRAMES/{number}.png", side=66)
    (folder / "synset_words.txt").write_text("".join(f"n{i:08d} class {i}\n" for i in range(1000)))
    for number in range(40):
        image(f"photos/{number}.jpg")
    lines = (f"{n // 2}.jpg\ta {('dog', 'cat')[n % 2]} in the {('park', 'snow')[n // 2 % 2]}\n" for n in range(80))
    (folder / "captions.tsv").write_text("image\tcaption\n" + "".join(lines))
    (folder / "my_speech").mkdir()
    for number, name in enumerate(["a.wav", "b.flac", *(f"my_speech/{n}.wav" for n in range(20))]):
        soundfile.write(folder / name, 0.1 * np.random.default_rng(number).standard_normal(8000), 8000)
    (folder / "my_speech" / "transcripts.tsv").write_text("".join(f"{n}.wav\tabc {n % 2}\n" for n in range(20)))
    for name in ("cells.jpg", "more_cells.png", *(f"cells/{n}.jpg" for n in range(40))):
        image(name)
    write_boxes(folder)
    if archives:
        (folder / "archives").symlink_to(archives)
        (folder / SQUEEZENET).symlink_to(archives / "squeezenet_imagenet" / SQUEEZENET)


def write_boxes(folder: Path) -> None:
    """What is on the cells' images, in COCO's JSON, and the same as VOC's XML beside copies of them in `my_voc`."""
    files = sorted((folder / "cells").iterdir())
    images = [{"id": i, "file_name": file.name, "width": 32, "height": 32} for i, file in enumerate(files)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [4, 4, 10 + i % 10, 10], "iscrowd": 0} for i in range(len(files))
    ]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "boxes.json").write_text(json.dumps(content))
    for name in ("JPEGImages", "Annotations"):
        (folder / "my_voc" / name).mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder / "my_voc" / "JPEGImages")
        box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>14</xmax><ymax>14</ymax></bndbox>"
        xml = f"<annotation><object><name>cell</name>{box}</object></annotation>"
        (folder / "my_voc" / "Annotations" / f"{file.stem}.xml").write_text(xml)
