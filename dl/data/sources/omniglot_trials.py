"""What Koch, Zemel & Salakhutdinov 2015 (section 4) make of Omniglot, and the 20 published one-shot runs of Lake et al. 2015.

    split                base        alphabets                  drawers   images
    koch_train           background  all 30                       1-12    11,568
    koch_validation      evaluation  the 10 of no run            13-16
    koch_test            evaluation  the 10 of the runs          17-20
    validation_trials    koch_validation's, as 20 runs of 20 trials          800
    test_trials          koch_test's, likewise: Koch's 400 trials            800
    validation_alphabets evaluation  the 10 of no run             1-20
    test_alphabets       evaluation  the 10 of the runs           1-20
    runs                 all_runs.zip: 20 published runs of 20 trials        800

A run is `support`, one drawing each of 20 characters of one alphabet by one person, and as many queries: the same characters by
another person. Its images have `run` (0..19), `role` (0 support, 1 query) and `alphabet`.

The paper says 30 alphabets and 12 drawers to train, 10 and 4 to validate, 10 and 4 to test, the last as in Lake et al.; it
lists neither. The ten alphabets here are those of the published runs, whose images are among the evaluation images: two
runs an alphabet, drawers 1 to 8. Which drawers were whose cannot be verified; since the alphabets are disjoint, and the number
of a drawer may mean another person in each alphabet, it should matter little.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dl.data.decoding import decoded
from dl.data.identities import identities, random_numbers, sample_classes
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.dataset import Arrays, Source
from dl.errors import UserError

IMAGE_LIMIT = 1 << 20  # bytes of a PNG
RUNS = Archive(
    "all_runs.zip",
    "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
    "https://github.com/brendenlake/omniglot/raw/master/python/one-shot-classification/all_runs.zip",
)
# The alphabets of runs 1 and 2, 3 and 4, ...
RUN_ALPHABETS = (
    "Atlantean",
    "Ge_ez",
    "Glagolitic",
    "Gurmukhi",
    "Kannada",
    "Malayalam",
    "Manipuri",
    "Old_Church_Slavonic_(Cyrillic)",
    "Tengwar",
    "Tibetan",
)
BASES = {
    "koch_train": "train",
    "koch_validation": "test",
    "koch_test": "test",
    "validation_trials": "test",
    "test_trials": "test",
    "validation_alphabets": "test",
    "test_alphabets": "test",
    "runs": "",
}
DRAWERS = {"koch_train": range(12), "koch_validation": range(12, 16), "koch_test": range(16, 20)}
WAY = 20
REPEATS = 2  # runs an alphabet
SEED = 2015  # of the trials: they are the same in every experiment


def derive(name: str, base: Source | None, drawers: np.ndarray, alphabets: tuple[str, ...], manual_dir: str | None) -> Source:
    """The split `name` of the module's table.

    Args:
        name: a key of `BASES`.
        base: the split that it is made of; None for the published runs.
        drawers: drawer of each of the base's images, 0..19 [N].
        alphabets: the names, in the order of the feature `alphabet`.
        manual_dir: where `all_runs.zip` lies.

    Raises:
        UserError: `all_runs.zip` is missing or corrupt.
    """
    if base is None:
        return read_runs(manual_dir, alphabets)
    features = base.gather(np.arange(len(base)))
    features["drawer"] = drawers.astype(np.int32)
    keep = np.ones(len(drawers), bool)
    if BASES[name] == "test":
        in_runs = np.isin(features["alphabet"], [alphabets.index(a) for a in RUN_ALPHABETS])
        keep = in_runs if name.startswith("test") or name == "koch_test" else ~in_runs
    part = {"validation_trials": "koch_validation", "test_trials": "koch_test"}.get(name, name)
    if part in DRAWERS:
        keep &= np.isin(drawers, DRAWERS[part])
    kept = {key: values[keep] for key, values in features.items()}
    return Arrays(trials(kept) if name.endswith("_trials") else kept)


def trials(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs as Koch et al. make them (section 4.3): for each alphabet, twice, 20 characters and two drawers at random."""
    chosen: list[np.ndarray] = []
    for alphabet in np.unique(features["alphabet"]):
        inside = np.flatnonzero(features["alphabet"] == alphabet)
        labels, drawers = features["label"][inside], features["drawer"][inside]
        for repeat in range(REPEATS):
            seed = int(alphabet) * REPEATS + repeat
            people = np.unique(drawers)
            people = people[np.argsort(random_numbers(SEED, 2 * seed, len(people)), kind="stable")[:2]]
            ids = identities(labels)
            raw = random_numbers(SEED, 2 * seed + 1, len(ids.size) + WAY)
            characters = labels[sample_classes(ids, WAY, 1, raw)[:, 0]]
            at = {(label, person): i for i, label, person in zip(inside, labels, drawers, strict=True)}
            chosen += [np.array([at[c, person] for c in characters]) for person in people]
    rows = np.concatenate(chosen)
    number = np.arange(len(rows), dtype=np.int32)
    return {**{k: v[rows] for k, v in features.items()}, "run": number // (2 * WAY), "role": number // WAY % 2}


def holds(name: str, alphabet: str) -> bool:
    """Whether the split `name` has characters of an alphabet of its base."""
    if BASES[name] != "test":
        return True
    return (alphabet in RUN_ALPHABETS) == (name.startswith("test") or name == "koch_test")


def numbered(alphabet: np.ndarray) -> dict[str, np.ndarray]:
    """The features of runs, in their order; each has 20 characters of one alphabet, the numbers of which are not known."""
    number = np.arange(len(alphabet), dtype=np.int32)
    run, role = number // (2 * WAY), number // WAY % 2
    return {"label": WAY * run + number % WAY, "alphabet": alphabet, "run": run, "role": role}


def read_runs(manual_dir: str | None, alphabets: tuple[str, ...]) -> Arrays:
    """The published runs. `label` is 20 * run + the class in the run, as the numbers of the characters are not given there.

    Raises:
        UserError: `all_runs.zip` is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the published one-shot runs are read from an archive. {how_to_get('omniglot', [RUNS])}")
    path = verified(folder_of("omniglot", manual_dir, [RUNS.name]), [RUNS], "omniglot")[RUNS.name]
    images, answers = opened(path, _read_runs)
    count = len(images)  # runs
    label = np.stack([np.tile(np.arange(WAY), (count, 1)), answers], axis=1) + WAY * np.arange(count)[:, None, None]
    run, role, _ = np.indices(label.shape, np.int32)
    alphabet = np.array([alphabets.index(RUN_ALPHABETS[r // 2]) for r in range(count)], np.int32)[run]
    small = {"label": label.astype(np.int32), "alphabet": alphabet, "run": run, "role": role}
    return Arrays({"image": images.reshape(-1, 105, 105, 1), **{name: values.reshape(-1) for name, values in small.items()}})


def _read_runs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [20, 2 (support, query), 20, 105, 105] and the class of each query [20, 20]."""
    images = np.empty((20, 2, WAY, 105, 105), np.uint8)
    answers = np.empty((20, WAY), np.int64)
    with zipfile.ZipFile(path) as file:
        for run in range(20):
            names = [
                [f"run{run + 1:02d}/{kind}{i + 1:02d}.png" for i in range(WAY)] for kind in ("training/class", "test/item")
            ]
            for role, row in enumerate(names):
                for i, name in enumerate(row):
                    data = zip_member(file, name, IMAGE_LIMIT)
                    images[run, role, i] = decoded(data, 1, f"{path}: {name}")[..., 0]
            lines = zip_member(file, f"run{run + 1:02d}/class_labels.txt", IMAGE_LIMIT).decode().split("\n")
            pairs = dict(line.split() for line in lines if line.strip())
            answers[run] = [names[0].index(pairs[item]) for item in names[1]]
    return images, answers


def drawers_of(labels: np.ndarray, order_keys: list[tuple[int, int]], order: np.ndarray) -> np.ndarray:
    """The drawer of each image, 0..19 [N], of a split in TFDS's order.

    Args:
        labels: label of each image, to check the order by.
        order_keys: (label, drawer) of each image in the archive's order.
        order: TFDS's order of them.

    Raises:
        UserError: the images are in another order, or not the published ones.
    """
    ordered = np.array(order_keys)[order]
    if len(ordered) != len(labels) or (ordered[:, 0] != labels).any():
        raise UserError("omniglot: these images are not in TFDS's order, so who drew them is not known: prepare it again.")
    return ordered[:, 1]
