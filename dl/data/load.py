"""A dataset by its name and settings: find the source, take the splits, bring the images to size, check the labels."""

from ml_collections import ConfigDict

from dl import registry
from dl.data.checks import check_classes, check_settings, check_shapes, enough_memory
from dl.data.cropping import Cropped, random_crop
from dl.data.ragged import with_lengths
from dl.data.ragged_streams import read_by
from dl.data.resizing import Change, changed, check_size, cutting, fitting
from dl.data.slicing import take
from dl.data.sources import builders
from dl.data.streaming import Readers
from dl.dataset import Dataset, Kind, Source
from dl.errors import UserError, unknown


def load(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False) -> Dataset:
    """As `load_unread`, the splits that are not in memory with the readers that they share: `dataset.workers`, or threads."""
    dataset = load_unread(settings, data_dir, manual_dir, known)
    readers = Readers(settings.get("workers", 0))
    lengths, info = settings.to_dict().get("lengths", ()), dataset.info
    splits = {s: source if source.resident else read_by(source, readers, info, lengths) for s, source in dataset.splits.items()}
    return Dataset(info, splits)


def load_unread(
    settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False
) -> Dataset:
    """The dataset that `settings` (a config's section `dataset`) describe; `docs/data.md` lists what there is.

    Args:
        settings: `name` (one of `dl.data.sources`, or `builder[/config][:version]` of TFDS), `splits` (stream -> TFDS slicing
            specification), `margin` (pixels cut off on every side, before all else), `size`, `fit`, `random_crop`, and the keys
            of the source itself (`path`, `variant`, ...).
        data_dir: folder of datasets that TFDS has prepared, or is to prepare; None is TFDS's own default.
        manual_dir: folder with the original archives, one sub-folder a dataset.
        known: whether a dataset of which a source's table `KNOWN` tells enough is replaced by stand-ins of its shapes and sizes
            (black images), for what explains and does not train; no file is read.

    Returns:
        The dataset, its splits named after the keys of `settings.splits`. Images are uint8 [N, H, W, C] (float32 where an .npz
        holds floats, which stay as they are), labels int32 [N]. NaN in float data is not looked for.

    Raises:
        UserError: an unknown dataset or split, a missing or corrupt file, no network, labels out of range.
    """
    check_settings(settings, data_dir, manual_dir)
    fit = settings.get("fit", "pad")
    size, window = check_size(settings.get("size", (0, 0)), fit), settings.get("random_crop", {})
    if window and fit != "crop":
        raise UserError("dataset.random_crop needs dataset.fit='crop'.")
    crop = random_crop(dict(window)) if window else None
    specs = dict(settings.get("splits", {}))
    if not specs:
        raise UserError("dataset.splits names no split; set e.g. dataset.splits.train='train'.")
    dataset = (_known(settings) if known else None) or _find(settings, data_dir, manual_dir)
    taken = {stream: take(spec, dataset.splits) for stream, spec in specs.items()}
    if isinstance(lengths := settings.get("lengths", ()), tuple | list) and lengths:
        padded = {id(source): with_lengths(source, lengths) for source in taken.values()}
        taken = {stream: padded[id(source)] for stream, source in taken.items()}
    check_shapes(settings, dataset.info, taken)
    for stream, source in taken.items():
        check_classes(dataset.info, specs[stream], source)
    if margin := settings.get("margin", 0):
        dataset, taken = _changed(dataset, taken, cutting(margin))
    if fit == "crop":
        features = dataset.info.features
        dataset = dataset._replace(info=fitting(size, fit).described(dataset.info))
        cropped: dict[int, Source] = {id(source): Cropped(source, size, crop, features) for source in taken.values()}
        return dataset._replace(splits={stream: cropped[id(source)] for stream, source in taken.items()})
    shapes = {feature.shape[:2] for feature in dataset.info.features.values() if feature.kind is Kind.IMAGE}
    if size != (0, 0) and shapes - {size}:
        dataset, taken = _changed(dataset, taken, fitting(size, fit))
    return dataset._replace(splits=taken)


def _changed(dataset: Dataset, taken: dict[str, Source], change: Change) -> tuple[Dataset, dict[str, Source]]:
    """The images of all streams after `change`; two streams of one split share its arrays."""
    found: dict[int, Source] = {}
    for source in taken.values():
        if id(source) not in found:
            found[id(source)] = changed(source, change, dataset.info.features)
    described = dataset._replace(info=change.described(dataset.info))
    return described, {stream: found[id(source)] for stream, source in taken.items()}


def _known(settings: ConfigDict) -> Dataset | None:
    tell = registry.public("dl.data.sources", "KNOWN").get(settings.name.split("/")[0])
    return tell(settings) if tell else None


def _find(settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    choices, plain = registry.public("dl.data.sources"), registry.public("dl.data.sources", "PLAIN")
    base = settings.name.split("/")[0]
    if base in choices and (base == settings.name or base not in plain):
        with enough_memory(base):
            return choices[base](settings, data_dir, manual_dir)
    found = builders.prepared(settings.name, data_dir)
    if found is None:
        if builders.exists(settings.name):
            raise builders.not_prepared(settings.name, data_dir)
        raise unknown("dataset", settings.name, choices)
    return builders.read(found, settings, data_dir)
