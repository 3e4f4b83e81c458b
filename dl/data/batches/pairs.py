"""Batches of pairs of images, and batches of a few examples of a few classes, for learning what is alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dl.data.batches.examples import Read
from dl.data.identities import PAIR_DRAWS, Identities, feature_of, identities, random_numbers, sample_classes, sample_pairs
from dl.dataset import Feature, Features, Kind, Source
from dl.errors import UserError

RATIOS = (1.0, 10.0)  # of dissimilar to similar pairs


def pairs(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Pairs: `left`, `right` uint8 [steps, rows, H, W, C] and `same` bool [steps, rows]; see `dl.data.identities.sample_pairs`.

    A pair is a pure function of seed, step and row, whatever the batch size.

    Args:
        source: the split; read without reading ahead where it is not in memory.
        seed: seed of the draws.
        batch_size: pairs a step, over all processes.
        settings: `config.dataset`: `ratio` (1 to 10, default 1) dissimilar pairs for a similar one; `group`, the name of a
            feature such as Omniglot's "alphabet", by which pairs are drawn, or "".
        on_device: the split itself lies on the device, so there are `left_index`, `right_index` in place of the images.

    Raises:
        UserError: a ratio out of range, one class, a class with one example, a group with one class.
    """
    ratio = settings.get("ratio", 1.0)
    if not isinstance(ratio, int | float) or not RATIOS[0] <= ratio <= RATIOS[1]:
        raise UserError(f"dataset.ratio is of dissimilar to similar pairs and must be between 1 and 10, not {ratio!r}.")
    group = settings.get("group", "")
    ids = identities(feature_of(source, "label"), feature_of(source, group) if group else None)
    _check(ids, 2, 2)
    if ids.group_size.min() < 2:
        raise UserError(f"pairs are drawn within dataset.group={group!r}, and one has a single class: leave it out, or set ''.")

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        needed = (int(rows.max()) + 1) * PAIR_DRAWS
        raw = [random_numbers(seed, step, needed).reshape(-1, PAIR_DRAWS)[rows] for step in range(start, start + count)]
        left, right, same = sample_pairs(ids, ratio, np.concatenate(raw))
        shape = (count, len(rows))
        if on_device:
            indices = {"left_index": left, "right_index": right}
            return {**{k: v.reshape(shape).astype(np.int32) for k, v in indices.items()}, "same": same.reshape(shape)}
        images = {"left": source.gather(left)["image"], "right": source.gather(right)["image"]}
        return {**{k: v.reshape(*shape, *v.shape[1:]) for k, v in images.items()}, "same": same.reshape(shape)}

    return read


def classes(source: Source, seed: int, batch_size: int, settings: Mapping[str, Any], on_device: bool) -> Read:
    """Batches of K examples each of P = batch_size / K classes, the features as in the split, class after class.

    A batch is a pure function of seed, step and batch size, a row a part of it. Within a batch no class and no example is
    drawn twice.

    Args:
        source: the split; read without reading ahead where it is not in memory.
        seed: seed of the draws.
        batch_size: P * K, over all processes.
        settings: `config.dataset`: `per_class` is K (default 4).
        on_device: the split itself lies on the device, so batches hold `index` in place of the features.

    Raises:
        UserError: K does not divide the batch, or there are too few classes or examples.
    """
    each = settings.get("per_class", 4)
    if not isinstance(each, int) or each < 2 or batch_size % each or batch_size < 2 * each:
        raise UserError(
            f"dataset.per_class={each!r} must be at least 2, and batch_size={batch_size} at least 2 times that, a multiple."
        )
    ids = identities(feature_of(source, "label"))
    _check(ids, batch_size // each, each)
    needed = len(ids.size) + batch_size

    def read(start: int, count: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        steps = range(start, start + count)
        drawn = [sample_classes(ids, batch_size // each, each, random_numbers(seed, step, needed)) for step in steps]
        chosen = np.stack(drawn).reshape(count, -1)[:, rows]
        if on_device:
            return {"index": chosen.astype(np.int32)}
        flat = source.gather(chosen.ravel())
        return {name: values.reshape(*chosen.shape, *values.shape[1:]) for name, values in flat.items()}

    return read


def _check(ids: Identities, least_classes: int, least_examples: int) -> None:
    if len(ids.size) < least_classes:
        raise UserError(f"these batches need at least {least_classes} classes, and the training split has {len(ids.size)}.")
    few = ids.labels[ids.size < least_examples]
    if len(few):
        raise UserError(
            f"these batches need at least {least_examples} examples of every class, and the training split has fewer of "
            f"{len(few)} of them (class {few[0]} has {ids.size[ids.size < least_examples][0]}): add some, or leave it out."
        )


def pair_features(features: Features, settings: Mapping[str, Any]) -> dict[str, Feature]:
    """Those of a batch of pairs: two images, each moved by itself, and whether their classes are the same."""
    return {"left": features["image"], "right": features["image"], "same": Feature(Kind.CLASS, num_classes=2)}


FEATURES = {"pairs": pair_features}
PUBLIC = {"pairs": pairs, "classes": classes}
SETTINGS = {"pairs": {"ratio": 1.0, "group": ""}, "classes": {"per_class": 4}}
