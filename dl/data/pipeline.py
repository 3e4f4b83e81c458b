"""From a dataset to batches on the devices: each a pure function of (seed, step), each process reading its slice of one order.

What is read on the host (`Stream.read`) is kept small: bytes of images, or indices where the split lies on the device. What is
costly and parallel (`Stream.prepare`: conversion, augmentation, standardisation) runs on the device, inside the compiled step.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dl import mesh as meshes
from dl import registry
from dl.config import variants
from dl.data import augmentation
from dl.data.augmentation.geometry import with_masks
from dl.data.batches.buckets import Order
from dl.data.batches.examples import Read
from dl.data.ragged import Measured, RaggedArrays, buckets
from dl.data.ragged_streams import RaggedStream
from dl.data.streaming import streamed
from dl.dataset import Features, Info, Kind, Source
from dl.errors import UserError
from dl.task import Batch, Tree

RESIDENT_BYTES = 2 << 30  # a split up to this size is put on an accelerator whole


class Stream(NamedTuple):
    """Training batches. `constants` lie on the device; `reads` has one reader a replica.

    batch_sizes: rows of a batch of each bucket; batches of a bucket have one shape, and most streams have one bucket.
    examples: that a step has, on average over an epoch.
    bucket: step -> the bucket of its batch. A reader is asked for steps of one bucket at a time.
    """

    reads: tuple[Read, ...]
    constants: Tree
    prepare: Callable[[Tree, jax.Array, Batch], Batch]
    batch_sizes: tuple[int, ...]
    examples: float
    bucket: Callable[[int], int] = lambda step: 0

    def batch_size(self, step: int) -> int:
        """How many rows the batch of a step has."""
        return self.batch_sizes[self.bucket(step)]


def standardise(
    batch: Batch,
    features: Features,
    settings: Mapping[str, Any],
    augment: Callable[[Batch], Batch] | None = None,
) -> Batch:
    """Images [B, H, W, C], uint8 brought to 0..1, to float32 minus the mean, over the deviation; other kinds stay as they are.

    Boxes and points get `NAME_mask` bool [B, N]: the rows that count.

    Args:
        batch: feature -> [B, ...].
        features: what the batch has; what is not named there is left alone.
        settings: `config.dataset`: `mean` and `std`, of pixels in 0..1, one number or one a channel.
        augment: changes the batch, its images in 0..1, before they are standardised.
    """
    mean, std = jnp.asarray(settings["mean"], jnp.float32), jnp.asarray(settings["std"], jnp.float32)
    images = [name for name, feature in features.items() if feature.kind is Kind.IMAGE and name in batch]
    batch = {**batch, **{name: _pixels(batch[name]) for name in images}}
    if augment is not None:
        batch = augment(batch)
    return {**with_masks(batch, features), **{name: (batch[name] - mean) / std for name in images}}


def _pixels(image: jax.Array) -> jax.Array:
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image.astype(jnp.float32)


def features_of_batches(settings: Mapping[str, Any], features: Features) -> Features:
    """The features of training batches, where the way of making them has others than the data's examples."""
    derive = registry.public("dl.data.batches", "FEATURES").get(settings["batches"])
    return derive(features, settings) if derive else features


def fetch(constants: Tree, batch: Batch) -> Batch:
    """Where the split lies on the device, `index` stands for all features of its examples, `NAME_index` for an image `NAME`."""
    if not constants:
        return batch
    fetched: dict[str, jax.Array] = {}
    for name, values in batch.items():
        if name == "index":
            fetched |= {feature: jnp.take(array, values, axis=0) for feature, array in constants.items()}
        elif name.endswith("_index"):
            fetched[name.removesuffix("_index")] = jnp.take(constants["image"], values, axis=0)
        else:
            fetched[name] = values
    return fetched


def epoch_size(config: ConfigDict, source: Source) -> int:
    """How many examples an epoch of training batches has; of batches in buckets, all the steps of an epoch times batch_size."""
    settings = config.dataset.to_dict()
    if order := _order(config, source):
        return order.steps * config.batch_size
    count = registry.public("dl.data.batches", "EPOCH").get(settings["batches"])
    return count(len(source), config.batch_size, settings) if count else len(source)


def _order(config: ConfigDict, source: Source) -> Order | None:
    """In which order the buckets come, where batches are made in buckets."""
    settings = config.dataset.to_dict()
    order = registry.public("dl.data.batches", "BUCKETS").get(settings["batches"])
    return order(source, config.batch_size, settings) if order else None


def train_stream(config: ConfigDict, info: Info, source: Source, mesh: Mesh) -> Stream:
    """The batches of one split for `config.replicas` replicas, each in the order of its seed (see `variants`).

    Args:
        config: configuration of the experiment.
        info: description of the data.
        source: the split.
        mesh: on which the batches lie.

    Raises:
        UserError: the batch does not divide over the mesh, or the microbatches over it.
    """
    parts, order = meshes.batch_shards(mesh) * config.microbatches, _order(config, source)
    if config.batch_size % parts and order is None:
        raise UserError(
            f"batch_size={config.batch_size} does not divide into {meshes.batch_shards(mesh)} parts of the mesh times "
            f"{config.microbatches} microbatches: make it a multiple of {parts}."
        )
    settings = config.dataset.to_dict()
    # Of examples in buckets, the padded rows are less than the split padded to its longest.
    small = source.resident and _bytes(source) <= RESIDENT_BYTES and order is None
    on_device = meshes.on_accelerator() and small
    constants = _put_whole(source, mesh) if on_device else {}
    make = registry.find("dl.data.batches", "way to make batches", settings["batches"])
    reads = tuple(make(source, seed, config.batch_size, settings, on_device) for seed, _ in variants(config))
    features = features_of_batches(settings, info.features)
    augment = augmentation.build(config.augmentation.to_dict(), features)

    def prepare(constants: Tree, key: jax.Array, batch: Batch) -> Batch:
        return standardise(fetch(constants, batch), features, settings, partial(augment, key))

    if order is None:
        return Stream(reads, constants, prepare, (config.batch_size,), config.batch_size)
    # What does not divide is filled up with rows that do not count, so that batches are the same on any mesh.
    sizes = tuple(-(-size // parts) * parts for size in order.sizes)
    return Stream(reads, constants, prepare, sizes, len(source) / max(order.steps, 1), order.bucket)


def read_block(stream: Stream, mesh: Mesh, start: int, count: int, capacity: int) -> Batch:
    """The batches of `count` steps from step `start`, on the devices: feature -> [replica, capacity, example, ...].

    All of them are of one bucket. What lies behind `count` repeats the last step, so that the arrays of all dispatches of a
    bucket have one shape.
    """
    shape = (len(stream.reads), capacity, stream.batch_size(start))
    sharding = meshes.train_batches(mesh)
    replicas, rows = (meshes.local_slice(sharding, shape, d) for d in (0, 2))
    blocks = [stream.reads[r](start, count, rows) for r in replicas]
    # One replica's batch is taken as it is, without a copy.
    local = {k: v[None] if len(blocks) == 1 else np.stack([b[k] for b in blocks]) for k, v in blocks[0].items()}
    local["step"] = np.tile(np.arange(start, start + count, dtype=np.int32)[None, :, None], (len(replicas), 1, len(rows)))
    if count < capacity:
        steps = np.minimum(np.arange(capacity), count - 1)
        local = {name: values[:, steps] for name, values in local.items()}
    return meshes.to_device(local, sharding, shape)


def first_examples(settings: Mapping[str, Any], features: Features, source: Source, count: int) -> dict[str, np.ndarray]:
    """The first `count` examples of a split (all, where it has fewer) as `evaluate` sees them, on the host."""
    read = source.gather(np.arange(min(count, len(source))))
    batch = standardise({name: jnp.asarray(values) for name, values in read.items()}, features, settings)
    return {name: np.asarray(values) for name, values in batch.items()}


def prepare_evaluation(settings: Mapping[str, Any], features: Features, batch: Batch) -> Batch:
    """As in training, without augmentation; used inside the compiled evaluation."""
    return standardise(batch, features, settings)


class Part(NamedTuple):
    """A batch of a split: `examples` int64 [n], in `rows` rows, n or more; ragged feature -> the length it is padded to."""

    examples: np.ndarray
    rows: int
    lengths: Mapping[str, int]


class EvaluationBatches(NamedTuple):
    """All of a split in order, the last batch padded; where features are ragged, by their lengths.

    Iterate `blocks()` for (batch on the devices, which examples of the split its true rows are).
    """

    source: Source
    features: Features
    settings: Mapping[str, Any]
    batch_size: int
    mesh: Mesh

    def __len__(self) -> int:
        return len(self.parts())

    def parts(self) -> list[Part]:
        """What each batch has. A bucket's are of one shape, its last one padded."""
        source, whole = self.source, np.arange(len(self.source))
        groups: list[tuple[np.ndarray, Mapping[str, int]]] = [(whole, {})]
        if isinstance(source, Measured):
            found = buckets(source, self.settings.get("bucket_by", ""))
            groups = [(whole[found.of == b], lengths) for b, lengths in enumerate(found.lengths)]
        shards, parts = meshes.batch_shards(self.mesh), []
        for examples, lengths in groups:
            size = min(self.batch_size, -(-len(examples) // shards) * shards)
            starts = range(0, len(examples), size) if len(examples) else ()
            parts += [Part(examples[start : start + size], size, lengths) for start in starts]
        return parts

    def bytes(self) -> int:
        """Of the whole split, as it is read."""
        return _bytes(self.source)

    def blocks(self) -> Iterator[tuple[Batch, np.ndarray]]:
        """Batches with `mask` [B], True on the rows that are examples; rows that pad repeat the last example."""
        sharding, parts, source = meshes.evaluation_batch(self.mesh), self.parts(), self.source
        rows = [meshes.local_slice(sharding, (part.rows,), 0) for part in parts]
        indices = [part.examples[np.minimum(r, len(part.examples) - 1)] for part, r in zip(parts, rows, strict=True)]
        read: Iterator[dict[str, np.ndarray]]
        if isinstance(source, RaggedArrays):
            read = (source.gather(index, part.lengths) for index, part in zip(indices, parts, strict=True))
        elif isinstance(source, RaggedStream):
            read = source.stream_at(zip(indices, (part.lengths for part in parts), strict=True))
        elif source.resident:
            read = (source.gather(index) for index in indices)
        else:
            read = streamed(source, self.settings.get("workers", 0)).stream(indices)
        for part, r, batch in zip(parts, rows, read, strict=True):
            batch = {**batch, "mask": r < len(part.examples)}
            yield meshes.to_device(batch, sharding, (part.rows,)), part.examples

    def examples(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The examples at these indices as an evaluator sees them, on the host."""
        read = self.source.gather(np.asarray(indices))
        batch = prepare_evaluation(self.settings, self.features, {name: jnp.asarray(values) for name, values in read.items()})
        return {name: np.asarray(values) for name, values in batch.items()}


def evaluation_batches(config: ConfigDict, info: Info, source: Source, mesh: Mesh) -> EvaluationBatches:
    """The batches of a split for evaluation, as large as `eval_batch_size` and the split allow, divisible over the mesh."""
    settings = config.dataset.to_dict()
    cut = registry.public("dl.data.batches", "EVALUATION").get(settings["batches"])
    source = cut(source, settings) if cut else source
    shards = meshes.batch_shards(mesh)
    size = min(config.eval_batch_size, len(source))
    return EvaluationBatches(source, info.features, settings, -(-size // shards) * shards, mesh)


def _bytes(source: Source) -> int:
    return sum(v.nbytes for v in source.gather(np.arange(1)).values()) * len(source)


def _put_whole(source: Source, mesh: Mesh) -> Tree:
    features = source.gather(np.arange(len(source)))
    shapes = {name: values.shape for name, values in features.items()}
    return {name: meshes.to_device(v, meshes.replicated(mesh), shapes[name]) for name, v in features.items()}
