"""Random features of images and random captions of them, for benchmarks: nothing can be learned from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data.captioned import Words
from dl.data.ragged import RaggedArrays, ragged
from dl.data.sentences import RESERVED
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError


def load_random_captions(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`examples` images of `places` of `width` features, with five captions each of `length` of `vocabulary_size` words.

    Raises:
        UserError: a number that is none.
    """
    given = {key: settings.get(key, default) for key, default in SETTINGS["random_captions"].items()}
    count, length, size = given["examples"], given["length"], given["vocabulary_size"]
    shape = (*given["places"], given["width"])
    if min(count, length, *shape) < 1 or size <= len(RESERVED):
        raise UserError(f"dataset.vocabulary_size={size} must be above {len(RESERVED)}, and all other numbers at least 1.")
    words = Words((*RESERVED, *(f"word{n}" for n in range(size - len(RESERVED)))))
    random = np.random.default_rng(0)
    captions = random.integers(len(RESERVED), size, (count, length + 2, 5), dtype=np.int32)
    captions[:, 0], captions[:, -1] = words.start, words.stop
    features = {
        "image": Feature(Kind.IMAGE, (1, 1, 3)),
        "image_features": Feature(Kind.NUMBER, shape),
        "captions": Feature(Kind.TOKENS, (None, 5), vocabulary=words),
    }
    train = RaggedArrays(
        {
            "image": np.zeros((count, 1, 1, 3), np.uint8),
            "image_features": random.random((count, *shape), np.float32),
            "captions": ragged(list(captions)),
        }
    )
    return Dataset(Info("random_captions", features), {"train": train})


PUBLIC = {"random_captions": load_random_captions}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "random_captions": {"examples": 256, "length": 14, "vocabulary_size": 2540, "places": (7, 7), "width": 512}
}
