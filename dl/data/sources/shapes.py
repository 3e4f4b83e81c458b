"""SHAPES: questions about scenes of small shapes, with the layout of the modules that answer them (Andreas et al. 2016).

The files are those of github.com/ronghanghu/n2nmn (BSD licence). `dl.data.shape_scenes` says what a scene and a question are.
"""

import io
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data import shape_scenes as shapes
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Source
from dl.errors import UserError

ZIP = Archive("shapes.zip", "25fff4df85a59b176bd44418eed3eb0026f2d4ffea1abc1eeb2b0250a016ec58")
MEMBERS = {"tiny": "train.tiny", "train": "train.small", "validation": "val", "test": "test"}
COUNTS = {"tiny": 64, "train": 640, "validation": 1024, "test": 1024}
GENERATED = 13_568  # as many as the published large training set, which is not had here
ANSWERS = ("false", "true")
LIMIT = 1 << 23  # bytes of a member
SCENES = {"train": 2048, "validation": 256, "test": 512}

FEATURES = {
    "image": Feature(Kind.IMAGE, (3 * shapes.SIDE, 3 * shapes.SIDE, 3)),
    "question": Feature(Kind.TOKENS, (shapes.LONGEST,), vocabulary=shapes.VOCABULARY),
    "layout": Feature(Kind.NUMBER, (shapes.STEPS, 2)),
    "form": Feature(Kind.CLASS, (), num_classes=3, class_names=("no relation", "one relation", "two relations")),
    "label": Feature(Kind.CLASS, (), num_classes=2, class_names=ANSWERS),
}


def load_shapes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`tiny` (64 examples), `train` (640, 10 questions), `validation` and `test` (1,024 each, 16 questions), from the archive
    in `manual_dir/shapes_vqa`, and `generated`: `dataset.generated` examples made from `dataset.seed`.

    What is generated asks any question but those of `validation` and `test`, so that these are new to who learns from it.
    Features: `image` uint8 [30, 30, 3], RGB (the files are BGR); `question` [11]; `layout` [6, 2], module and argument;
    `form`, how many relations the question has; `label`, the answer.

    Raises:
        UserError: no `manual_dir`, the file is missing or corrupt, or a number out of range.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'shapes' is read from its archive. {how_to_get('shapes_vqa', [ZIP])}")
    path = verified(folder_of("shapes_vqa", manual_dir, [ZIP.name]), [ZIP], "shapes_vqa")[ZIP.name]
    count, seed = numbers(settings, "generated", GENERATED)
    wanted = names_in(list(settings.splits.values()), [*MEMBERS, "generated"])
    found: dict[str, Source] = {s: opened(path, partial(read, member=MEMBERS[s])) for s in wanted if s in MEMBERS}
    if "generated" in wanted:
        asked = {one for split in ("validation", "test") for one in opened(path, partial(queries, member=MEMBERS[split]))}
        found["generated"] = generated(seed, count, [one for one in shapes.questions() if one not in asked])
    return Dataset(Info("shapes", FEATURES), {split: found[split] for split in wanted})


def numbers(settings: ConfigDict, key: str, default: int) -> tuple[int, int]:
    """`dataset.KEY`, a number of examples, and `dataset.seed`.

    Raises:
        UserError: one of them is out of range.
    """
    count, seed = settings.get(key, default), settings.get("seed", 0)
    if not isinstance(count, int) or not isinstance(seed, int) or count < 1 or seed < 0:
        raise UserError(f"dataset.{key}={count!r} must be at least 1, and dataset.seed={seed!r} not negative.")
    return count, seed


def queries(path: Path, member: str) -> list[str]:
    """The questions of a split, as they are written."""
    with zipfile.ZipFile(path) as archive:
        return zip_member(archive, f"shapes_dataset/{member}.query", LIMIT).decode().splitlines()


def read(path: Path, member: str) -> Arrays:
    """A split of the archive."""
    with zipfile.ZipFile(path) as archive:
        content = zip_member(archive, f"shapes_dataset/{member}.input.npy", LIMIT)
        answers = zip_member(archive, f"shapes_dataset/{member}.output", LIMIT).decode().splitlines()
    images = np.load(io.BytesIO(content), allow_pickle=False)
    label = np.array([ANSWERS.index(answer) for answer in answers], np.int32)
    return Arrays({"image": images[..., ::-1].copy(), **shapes.arrays(queries(path, member)), "label": label})


def generated(seed: int, count: int, questions: Sequence[str]) -> Arrays:
    """Scenes and questions: example i is a function of (seed, i) and of which questions there are.

    How many relations a question has is drawn first, as in the published splits: none 2, one 6, two 3 of 11.
    """
    found = shapes.scenes(seed, count)
    relations = {one: int(form) for one, form in zip(questions, shapes.arrays(questions)["form"], strict=True)}
    by_form = [[one for one in questions if relations[one] == form] for form in range(3)]
    u = shapes.draws(seed, count, 2, stream=2)
    forms = np.searchsorted((2 / 11, 8 / 11), u[:, 0], side="right")
    asked = [by_form[form][int(v * len(by_form[form]))] for form, v in zip(forms, u[:, 1], strict=True)]
    label, names = np.zeros(count, np.int32), np.array(asked)
    for one in dict.fromkeys(asked):
        rows = np.flatnonzero(names == one)
        label[rows] = shapes.answers(shapes.Scenes(*(part[rows] for part in found)), shapes.parse(one))
    return Arrays({"image": shapes.drawn(found), **shapes.arrays(asked), "label": label})


def load_shape_scenes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Generated scenes alone, without a file: `train` (`dataset.generated`, 2,048), `validation` (256) and `test` (512).

    The questions of `train` are others than those of `validation` and `test`, which have every eighth of them.

    Raises:
        UserError: a number out of range.
    """
    count, seed = numbers(settings, "generated", SCENES["train"])
    every = shapes.questions()
    held = every[::8]
    rest = [one for one in every if one not in set(held)]
    splits: dict[str, Source] = {}
    for split in names_in(list(settings.splits.values()), list(SCENES)):
        number = list(SCENES).index(split)
        splits[split] = generated(3 * seed + number, *((SCENES[split], held) if number else (count, rest)))
    return Dataset(Info("shape_scenes", FEATURES), splits)


def _known_shapes(settings: ConfigDict) -> Dataset:
    counts = {**COUNTS, "generated": numbers(settings, "generated", GENERATED)[0]}
    splits: dict[str, Source] = {}
    for split, count in counts.items():
        one = shapes.arrays(["(is red square)"])
        features = {"image": np.zeros((1, 30, 30, 3), np.uint8), **one, "label": np.zeros(1, np.int32)}
        splits[split] = Arrays({name: np.broadcast_to(v, (count, *v.shape[1:])) for name, v in features.items()})
    return Dataset(Info("shapes", FEATURES), splits)


PUBLIC = {"shapes": load_shapes, "shape_scenes": load_shape_scenes}
KNOWN = {"shapes": _known_shapes}
SETTINGS = {"shapes": {"generated": GENERATED, "seed": 0}, "shape_scenes": {"generated": SCENES["train"], "seed": 0}}
