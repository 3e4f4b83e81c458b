"""TFDS's features as ours: of which kind each is, and how an example's value becomes an array of that kind.

    TFDS                                    kind
    Image                                   image; a label map where `dataset.label_maps` names it (one channel)
    LabeledImage                            label map
    BBoxFeature                             boxes, a single one as [1, 4]
    ClassLabel                              class
    Text                                    tokens, where `supervised_keys` or `dataset.texts` name it
    Audio, float vectors in a Sequence      frames [T, D]; whole numbers are 16-bit samples; `Feature.rate` of audio is known
    Tensor, Scalar of numbers               number
    Sequence of these                       the same, with one more axis, which may be ragged
    FeaturesDict, Translation               those in it, as OUTER_INNER; so are those of a Sequence of a dictionary

Left out: texts that are not named (as a rule they are names of files), images in sequences (videos), and what is ragged in more
than its first axis.
"""

import contextlib
import importlib.util
import io
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged, ragged
from dl.dataset import Feature, Info, Kind
from dl.errors import UserError, unknown
from dl.vocabulary import RARE, Vocabulary, split_words

LEVELS = ("word", "character")


class Field(NamedTuple):
    """A feature of a TFDS example: `path` of keys to it, what it is, and its value as an array of that kind."""

    path: tuple[str, ...]
    feature: Feature
    array: Callable[[Any], np.ndarray] = np.asarray

    @property
    def ragged(self) -> bool:
        """Whether its first axis differs between examples."""
        return self.feature.ragged

    def of(self, example: Mapping[str, Any]) -> np.ndarray:
        """Its value in an example."""
        value: Any = example
        for key in self.path:
            value = value[key]
        return self.array(value)


def fields(builder: Any, settings: ConfigDict, channels: int = 0) -> dict[str, Field]:
    """Our feature name -> what it is; the image and the label of `supervised_keys` are called `image` and `label`.

    Args:
        builder: prepared.
        settings: the section `dataset`: `image`, `label`, `texts`, `label_maps`.
        channels: number of an image's channels that are kept, the first ones; 0 keeps all.

    Raises:
        UserError: no such image, or nothing that could be read.
    """
    import tensorflow_datasets as tfds

    known = builder.info.features
    supervised = builder.info.supervised_keys or ("image", "label")
    image, label = settings.get("image", "") or supervised[0], settings.get("label", "") or supervised[1]
    images = [name for name, feature in known.items() if isinstance(feature, tfds.features.Image)]
    if image not in images and (images or settings.get("image", "")):
        raise UserError(
            f"dataset {builder.info.full_name!r} has no image feature {image!r}; name one by dataset.image. "
            f"Features: {', '.join(known)}."
        )
    texts = {*_flat(supervised), *settings.get("texts", ())}
    maps = set(settings.get("label_maps", ()))
    found = {}
    for path, feature, leading in _leaves(known):
        name = "_".join(path)
        made = _feature(feature, leading, name in texts or path[-1] in texts, name in maps)
        if made is not None:
            if name == image and made[0].kind is Kind.IMAGE:
                name = "image"
            elif name == label and made[0].kind in (Kind.CLASS, Kind.NUMBER):
                name = "label"
            found[name] = Field(path, *made)
    if not found:
        raise UserError(f"dataset {builder.info.full_name!r} has no image feature, nor any other that can be read.")
    if "image" in found and channels:
        field = found["image"]
        shape = (*field.feature.shape[:2], channels)
        found["image"] = Field(field.path, field.feature._replace(shape=shape), lambda value: value[..., :channels])
    return {name: found[name] for name in sorted(found)}  # TFDS does not keep the order within a Sequence


def _flat(keys: Any) -> list[str]:
    if isinstance(keys, str):
        return [keys]
    return [name for key in (keys.values() if isinstance(keys, Mapping) else keys) for name in _flat(key)]


def _leaves(
    features: Any, above: tuple[str, ...] = (), leading: tuple[int | None, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, tuple[int | None, ...]]]:
    """(path, feature, the axes that sequences put before its own)."""
    import tensorflow_datasets as tfds

    for name, feature in features.items():  # a FeaturesDict
        path, axes = (*above, name), leading
        while type(feature) is tfds.features.Sequence:
            feature, axes = feature.feature, (*axes, feature._length)
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _leaves(feature, path, axes)
        else:
            yield path, feature, axes


def _feature(
    feature: Any, leading: tuple[int | None, ...], text: bool, label_map: bool
) -> tuple[Feature, Callable[[Any], np.ndarray]] | None:
    """What a leaf is, and its values as arrays; None where it is left out."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Image):
        return None if leading else _image(feature, label_map)
    if isinstance(feature, tfds.features.Text):
        return (Feature(Kind.TOKENS, (None,)), _bytes) if text and not leading else None
    if not isinstance(feature, tfds.features.Tensor) or None in (*leading, *feature.shape)[1:]:
        return None
    shape = (*leading, *feature.shape)
    if isinstance(feature, tfds.features.Audio):
        rate = float(feature.sample_rate or 0)
        return Feature(Kind.FRAMES, (shape[0], *(shape[1:] or (1,))), rate=rate), _samples
    if isinstance(feature, tfds.features.BBoxFeature):
        return Feature(Kind.BOXES, (*(leading or (1,)), 4)), _boxes
    if isinstance(feature, tfds.features.ClassLabel):
        names = tuple(feature.names or ())
        return Feature(Kind.CLASS, shape, num_classes=feature.num_classes or 0, class_names=names), _whole
    kind = np.dtype(feature.np_dtype).kind
    if kind not in "biuf":
        return None
    if kind == "f" and len(shape) == 2 and (leading or None in shape):
        return Feature(Kind.FRAMES, shape), _floats
    return Feature(Kind.NUMBER, shape), _whole if kind in "iu" else np.asarray


def _image(feature: Any, label_map: bool) -> tuple[Feature, Callable[[Any], np.ndarray]] | None:
    import tensorflow_datasets as tfds

    labelled = isinstance(feature, tfds.features.LabeledImage)
    if not labelled and not label_map:
        return Feature(Kind.IMAGE, tuple(feature.shape)), np.asarray
    if feature.shape[-1] != 1:
        raise UserError(f"dataset.label_maps names an image with {feature.shape[-1]} channels, and a label map has one.")
    classes = (feature.num_classes or 0) if labelled else 0
    names = tuple(feature.names or ()) if labelled else ()
    return Feature(Kind.LABEL_MAP, tuple(feature.shape[:2]), num_classes=classes, class_names=names), _plane


def _bytes(value: Any) -> np.ndarray:
    return np.frombuffer(value, np.uint8)


def _samples(value: Any) -> np.ndarray:
    if isinstance(value, bytes):  # a file, where the set was prepared with lazy_decode
        import soundfile

        return soundfile.read(io.BytesIO(value), dtype="float32", always_2d=True)[0]
    array = np.asarray(value)
    array = array if array.ndim > 1 else array[:, None]
    return array.astype(np.float32) / (1 << 15 if array.dtype.kind in "iu" else 1)


def _boxes(value: Any) -> np.ndarray:
    return np.asarray(value, np.float32).reshape(-1, 4)


def _floats(value: Any) -> np.ndarray:
    return np.asarray(value, np.float32)


def _whole(value: Any) -> np.ndarray:
    return np.asarray(value).astype(np.int32)


def _plane(value: Any) -> np.ndarray:
    return np.asarray(value)[..., 0]


@contextlib.contextmanager
def readable_audio() -> Iterator[None]:
    """In the block TFDS describes features of audio without TensorFlow, of which it takes the names of a few types alone."""
    if importlib.util.find_spec("tensorflow"):
        yield
        return
    from tensorflow_datasets.core.features import audio_feature

    stock, names = audio_feature.tf, {"string": np.object_, "uint8": np.uint8, "int16": np.int16, "int32": np.int32}
    try:
        audio_feature.tf = types.SimpleNamespace(dtypes=types.SimpleNamespace(as_dtype=np.dtype), **names)
        yield
    finally:
        audio_feature.tf = stock


def checked_lengths(names: Sequence[str], lengths: Mapping[str, Sequence[int]] | Sequence[int]) -> dict[str, tuple[int, ...]]:
    """`dataset.lengths`, checked: ragged feature -> the lengths that it is padded to. Those of a list are of all of them.

    Raises:
        UserError: a name that is none of `names`.
    """
    if not isinstance(lengths, Mapping):
        return {name: tuple(lengths) for name in names}
    for name in lengths:
        if name not in names:
            raise UserError(f"dataset.lengths names {name!r}; ragged are {', '.join(names) or 'none of the features'}.")
    return {name: tuple(lengths.get(name, ())) for name in names}


def tokenised(
    info: Info, splits: Mapping[str, dict[str, Any]], texts: Sequence[str], level: str, lengths: Mapping[str, tuple[int, ...]]
) -> tuple[Info, dict[str, dict[str, Any]]]:
    """Texts (UTF-8 bytes, ragged) as tokens, each feature with a vocabulary of its own, that of the split `train`.

    Symbols are numbered from the most frequent on, after `<unk>`, which stands for those that the vocabulary lacks.

    Args:
        info: description of the data.
        splits: split -> its features; the vocabulary is that of the first, where none is called `train`.
        texts: names of the features that are texts.
        level: "word" or "character".
        lengths: feature -> length to which it is padded.

    Raises:
        UserError: an unknown level.
    """
    if level not in LEVELS:
        raise unknown("dataset.level", level, LEVELS)
    out = {split: dict(features) for split, features in splits.items()}
    for name in texts:
        symbols = {split: _symbols(features[name], level) for split, features in out.items()}
        counts = Counter(symbol for text in symbols.get("train", next(iter(symbols.values()))) for symbol in text)
        counts.pop(RARE, None)
        vocabulary = Vocabulary((RARE, *sorted(counts, key=lambda symbol: (-counts[symbol], symbol))), words=level == "word")
        numbers = vocabulary.numbers
        for split, found in symbols.items():
            encoded = [np.array([numbers.get(symbol, 0) for symbol in text], np.int32) for text in found]
            out[split][name] = ragged(encoded, lengths[name])
        info = info.changed(name, vocabulary=vocabulary)
    return info, out


def _symbols(texts: Ragged, level: str) -> list[list[str]]:
    whole = [texts.values[start:end].tobytes().decode() for start, end in pairwise(texts.offsets)]
    return [split_words(text) if level == "word" else list(text) for text in whole]
