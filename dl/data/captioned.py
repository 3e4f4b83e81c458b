"""Images with captions: the words of the captions, and, where a network is named, its features in place of every image.

The features of a frozen network are a pure function of the images and its weights. They are computed once for all images of a
split and kept in the folder of prepared datasets for the next run.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.ragged import Ragged, RaggedArrays, ragged
from dl.data.sentences import RESERVED, Sentences
from dl.data.sources.builders import folder
from dl.data.sources.records import decoded_once
from dl.data.tokenisation import vocabulary_of, words
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Source
from dl.errors import UserError, unknown

DEFAULTS: Mapping[str, Any] = {
    "minimum_count": 5,  # how often a word must occur in the training captions
    "network": "",  # whose features stand beside the images: a name of dl.transfer's IMAGE_FEATURES, or none
    "network_weights": "",  # a file, from here or in the folder of archives; untrained where there is none
    "network_layer": "fire9",
    "network_side": 240,  # to which an image is resized, in pixels
    "network_grid": 7,  # places to a side, to which the layer's are averaged; 0 leaves them
}


class Words(Sentences):
    """The vocabulary of captions: words in small letters, without punctuation, as captions are compared."""

    def __init__(self, names: Sequence[str]):
        super().__init__(names, True, True)

    def symbols(self, text: str) -> list[str]:
        return normalised(text)


def normalised(text: str) -> list[str]:
    """The words of a caption in small letters; marks are left out."""
    return [word for word in words(text) if any(c.isalnum() for c in word)]


def vocabulary(captions: Sequence[Sequence[str]], minimum: int) -> Words:
    """The words that occur so often in the captions of all images of the training split.

    Raises:
        UserError: there are none.
    """
    cut = (normalised(text) for texts in captions for text in texts)
    found = vocabulary_of(cut, minimum, 0, RESERVED)
    if len(found) == len(RESERVED):
        raise UserError(f"no word occurs {minimum} times in the captions: set dataset.minimum_count=1.")
    return Words(found.names)


def encoded(captions: Sequence[Sequence[str]], known: Words, most: int, longest: int) -> dict[str, np.ndarray | Ragged]:
    """`captions` ragged int32 [T, most], a column for each of an image's captions from <s> to </s>, padded with 0; and
    `references` uint8 [N, longest], the words of all of them in UTF-8, one caption a line.
    """
    columns, lines = [], np.zeros((len(captions), longest), np.uint8)
    for row, texts in zip(lines, captions, strict=True):
        numbers = [np.concatenate([[known.start], known.encode(text), [known.stop]]) for text in texts[:most]]
        column = np.zeros((max(map(len, numbers)), most), np.int32)
        for n, given in enumerate(numbers):
            column[: len(given), n] = given
        columns.append(column)
        content = written(texts)[:longest]
        row[: len(content)] = np.frombuffer(content, np.uint8)
    return {"captions": ragged(columns), "references": lines}


def written(texts: Sequence[str]) -> bytes:
    """Captions as they are compared, one a line."""
    return "\n".join(" ".join(normalised(text)) for text in texts).encode()


def read_back(row: np.ndarray) -> list[str]:
    """The captions of a row of `references`."""
    return bytes(row).rstrip(b"\0").decode(errors="ignore").split("\n")


def small_features(
    captions: Mapping[str, Sequence[Sequence[str]]], settings: Any
) -> tuple[dict[str, Feature], dict[str, dict[str, np.ndarray | Ragged]]]:
    """What the features of captions are, and those of each split; the vocabulary is that of `train`.

    Args:
        captions: split -> for each image its captions, at least one.
        settings: `minimum_count`.

    Raises:
        UserError: no training split, or no word that occurs often enough.
    """
    if "train" not in captions:
        raise UserError("captions have the vocabulary of the split 'train', and there is none.")
    known = vocabulary(captions["train"], settings.get("minimum_count", DEFAULTS["minimum_count"]))
    most = max(len(texts) for split in captions.values() for texts in split)
    longest = max(len(written(texts)) for split in captions.values() for texts in split)
    features = {
        "captions": Feature(Kind.TOKENS, (None, most), vocabulary=known),
        "references": Feature(Kind.NUMBER, (longest,)),
    }
    return features, {split: encoded(texts, known, most, longest) for split, texts in captions.items()}


def with_network(dataset: Dataset, settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The dataset with `image_features` float16 [y, x, C] of the network that `settings` name; as it is where they name none.

    Raises:
        UserError: no such network or file of weights, or images that are not in memory.
    """
    name = settings.get("network", "")
    if not name:
        return dataset
    if any(not isinstance(source, Arrays) for source in dataset.splits.values()):
        raise UserError("dataset.network needs its images in memory: make them smaller by dataset.size, or set network=''.")
    found = extractor(settings, manual_dir)
    fingerprint, maps = found.fingerprint(), dict[str, np.ndarray]()
    for split, source in dataset.splits.items():
        images = source.features["image"]  # type: ignore[attr-defined]  # all are Arrays
        held = hashlib.sha256(images.tobytes() + fingerprint.encode()).hexdigest()
        make = functools.partial(_maps, found, images)
        if found.trained:
            cache = folder(data_dir) / ".arrays" / "image_features" / f"{held[:32]}.npz"
            maps[split] = decoded_once(cache, held, make)["maps"]
        else:
            maps[split] = make()["maps"]
    shape = next(iter(maps.values())).shape[1:]
    info = Info(dataset.info.name, {**dataset.info.features, "image_features": Feature(Kind.NUMBER, shape)})
    splits: dict[str, Source] = {
        split: RaggedArrays({**source.features, "image_features": maps[split]})  # type: ignore[attr-defined]
        for split, source in dataset.splits.items()
    }
    return Dataset(info, splits)


def _maps(found: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    return {"maps": found.of_images(images)}


def _known(feature: Feature) -> tuple[int, ...]:
    """The shape of a feature that is not ragged."""
    return tuple(size for size in feature.shape if size is not None)


def without_network(dataset: Dataset, settings: Any) -> Dataset:
    """The same, with zeros in place of the features: for what explains and does not train."""
    if not settings.get("network", ""):
        return dataset
    feature = _features_of(settings)
    info = Info(dataset.info.name, {**dataset.info.features, "image_features": feature})
    splits: dict[str, Source] = {}
    for split, source in dataset.splits.items():
        zeros = np.broadcast_to(np.zeros((), np.float16), (len(source), *_known(feature)))
        splits[split] = RaggedArrays({**source.features, "image_features": zeros}) if isinstance(source, Arrays) else source
    return Dataset(info, splits)


def _features_of(settings: Any) -> Feature:
    """What is known of the features of a network that is not run."""
    grid = settings.get("network_grid", DEFAULTS["network_grid"]) or 14
    return Feature(Kind.NUMBER, (grid, grid, CHANNELS.get(settings.get("network", ""), 512)))


def extractor(settings: Any, manual_dir: str | None) -> Any:
    """The network that a section `dataset` names; see `dl.transfer.image_features`, which stands above this floor.

    Raises:
        UserError: no such network, or a file of weights that is missing or does not fit.
    """
    choices = registry.public("dl.transfer", "IMAGE_FEATURES")
    given = {key: settings.get(key, default) for key, default in DEFAULTS.items()}
    if given["network"] not in choices:
        raise unknown("dataset.network", given["network"], choices)
    keys = ("weights", "layer", "side", "grid")
    return choices[given["network"]](**{key: given[f"network_{key}"] for key in keys}, manual_dir=manual_dir)


def stand_in(name: str, shape: tuple[int, int, int], counts: Mapping[str, int], symbols: int, settings: Any) -> Dataset:
    """What is known without files: black images, five captions each of ten words that are not known."""
    known = Words((*RESERVED, *(f"word{n}" for n in range(symbols - len(RESERVED)))))
    features: dict[str, Feature] = {
        "image": Feature(Kind.IMAGE, shape),
        "captions": Feature(Kind.TOKENS, (None, 5), vocabulary=known),
        "references": Feature(Kind.NUMBER, (512,)),
    }
    splits: dict[str, Source] = {}
    for split, count in counts.items():
        values: dict[str, Any] = {
            n: np.broadcast_to(np.zeros((), np.uint8), (count, *_known(f))) for n, f in features.items() if n != "captions"
        }
        offsets = np.arange(count + 1, dtype=np.int64) * 12
        captions = Ragged(np.broadcast_to(np.ones((), np.int32), (12 * count, 5)), offsets)
        splits[split] = RaggedArrays({**values, "captions": captions})
    return without_network(Dataset(Info(name, features), splits), settings)


CHANNELS = {"squeezenet": 512}  # of the features of a network whose weights are not read


def path_of_images(settings: ConfigDict) -> Path:
    """`dataset.images`, the folder of one's own images.

    Raises:
        UserError: it is not set, or there is none.
    """
    from dl.data.sources.own_files import path_of

    return path_of(settings, "images", "the folder of the images that the table names")
