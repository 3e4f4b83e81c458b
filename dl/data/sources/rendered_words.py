"""Words drawn with fonts, without end (after Jaderberg, Simonyan, Vedaldi & Zisserman 2014, section 4)."""

from collections.abc import Mapping

from ml_collections import ConfigDict

from dl.data.rendering.sources import SETTINGS as RENDERED_SETTINGS
from dl.data.rendering.sources import features, rendered, width_of
from dl.dataset import Dataset, Info

TESTED = 1000  # words of the split `test`


def load_rendered_words(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`image` uint8 [32, W, 1], `text` and `text_length`; letters and digits count, capitals or not.

    `train`: every example of every epoch is a new word; `dataset.examples` make an epoch. `test`: 1,000 fixed ones.

    Raises:
        UserError: a setting that there is not, no fonts where they should be, or a text without words.
    """
    splits = {"train": rendered(settings, manual_dir, 0), "test": rendered(settings, manual_dir, 1, TESTED)}
    return Dataset(Info("rendered_words", features(width_of(settings))), splits)


PUBLIC = {"rendered_words": load_rendered_words}
SETTINGS: Mapping[str, Mapping[str, object]] = {"rendered_words": RENDERED_SETTINGS}
