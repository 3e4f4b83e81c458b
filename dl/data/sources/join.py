"""Several datasets as one, for what learns from more than one of them, such as a classifier that is taken to another domain."""

import functools
from collections.abc import Mapping

from ml_collections import ConfigDict

from dl.dataset import Dataset, Info, Source
from dl.errors import UserError, unknown


def load_join(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False) -> Dataset:
    """The datasets `dataset.parts` (prefix -> its settings, at least `name`); the split `test` of part `usps` is `usps_test`.

    So `dataset.splits.train = "mnist_train[:7000]+usps_train"` is a split of both. `size`, `fit` and what else a part does not
    say itself are those of the whole. Images must come to one shape, and classes must have the same names. With `known`, as in
    `dl.data.load.load_unread`.

    Raises:
        UserError: no parts, an unknown part or split, parts that do not fit each other, or what is wrong with a part.
    """
    from dl.data.load import load_unread  # it imports the sources by their names, this one too

    parts: Mapping[str, ConfigDict] = settings.get("parts", {})
    if not parts:
        raise UserError("the dataset 'join' needs dataset.parts, e.g. {'mnist': {'name': 'mnist'}, 'usps': {'name': 'usps'}}.")
    common = {key: value for key, value in settings.items() if key not in ("parts", "splits", "name", "path", "margin")}
    loaded: dict[str, Dataset] = {}
    for prefix, wanted in _wanted(list(settings.splits.values()), list(parts)).items():
        section = {**common, **parts[prefix].to_dict(), "splits": {split: split for split in wanted}}
        loaded[prefix] = load_unread(ConfigDict(section), data_dir, manual_dir, known)
    first = next(iter(loaded.values())).info
    for prefix, dataset in loaded.items():
        if dataset.info.shapes["image"] != first.shapes["image"]:
            ours, theirs = (i.shapes["image"] for i in (first, dataset.info))
            raise UserError(
                f"the parts of the dataset have images of {ours} and {theirs} ({prefix}): set dataset.size and fit."
            )
        if (dataset.info.num_classes, dataset.info.class_names) != (first.num_classes, first.class_names):
            raise UserError(f"the parts of the dataset differ in their classes: {first.name} and {dataset.info.name}.")
    splits: dict[str, Source] = {f"{p}_{s}": source for p, d in loaded.items() for s, source in d.splits.items()}
    features = {k: v for k, v in first.features.items() if all(k in d.info.features for d in loaded.values())}
    return Dataset(Info("+".join(d.info.name for d in loaded.values()), features), splits)


def _wanted(specs: list[str], prefixes: list[str]) -> dict[str, list[str]]:
    """Part -> its splits that the specifications mention, each once; in the order of the parts."""
    wanted: dict[str, list[str]] = {}
    for word in dict.fromkeys(part.split("[")[0].strip() for spec in specs for part in spec.split("+")):
        owners = [prefix for prefix in prefixes if word.startswith(f"{prefix}_")]
        if not owners:
            raise unknown("split of the joined dataset", word, [f"{prefix}_train" for prefix in prefixes])
        prefix = max(owners, key=len)
        wanted.setdefault(prefix, []).append(word.removeprefix(f"{prefix}_"))
    return {prefix: wanted[prefix] for prefix in prefixes if prefix in wanted}


PUBLIC = {"join": load_join}
KNOWN = {"join": functools.partial(load_join, known=True)}
SETTINGS: Mapping[str, Mapping[str, object]] = {"join": {"parts": {}}}
