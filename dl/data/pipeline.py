"""From a dataset to batches on the devices: each a pure function of (seed, step), each process reading its slice of one order.

What is read on the host (`Stream.read`) is kept small: bytes of images, or indices where the split lies on the device. What is
costly and parallel (`Stream.prepare`: conversion, augmentation, standardisation) runs on the device, inside the compiled step.
"""

from collections.abc import Callable, Iterator, Mapping
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
from dl.data.batches.examples import Read
from dl.data.streaming import streamed
from dl.dataset import Source
from dl.errors import UserError
from dl.task import Batch, Tree

RESIDENT_BYTES = 2 << 30  # a split up to this size is put on an accelerator whole


class Stream(NamedTuple):
    """Training batches. `constants` lie on the device; `reads` has one reader a replica."""

    reads: tuple[Read, ...]
    constants: Tree
    prepare: Callable[[Tree, jax.Array, Batch], Batch]
    batch_size: int


def standardise(batch: Batch, settings: Mapping[str, Any], augment: Callable[..., Batch], key: jax.Array | None) -> Batch:
    """Images [B, H, W, C] uint8 to float32 in 0..1, augmented where there is a key, minus the mean, over the deviation.

    Besides `image` these are all other features of that shape, bytes or floats, such as the two sides of a pair; each is
    augmented with a key of its own.
    """
    mean, std = jnp.asarray(settings["mean"], jnp.float32), jnp.asarray(settings["std"], jnp.float32)
    others = sorted(name for name, values in batch.items() if name != "image" and _is_image(values))
    for number, name in enumerate([name for name in ("image", *others) if name in batch]):
        image = batch[name].astype(jnp.float32) / 255 if batch[name].dtype == jnp.uint8 else batch[name].astype(jnp.float32)
        if key is not None and name == "image":
            batch = augment(key, {**batch, name: image})  # which may change labels too
        elif key is not None:
            batch = {**batch, name: augment(jax.random.fold_in(key, number), {"image": image})["image"]}
        else:
            batch = {**batch, name: image}
        batch = {**batch, name: (batch[name] - mean) / std}
    return batch


def _is_image(values: jax.Array) -> bool:
    return values.ndim == 4 and (values.dtype == jnp.uint8 or jnp.issubdtype(values.dtype, jnp.floating))


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
    """How many examples an epoch of training batches has."""
    settings = config.dataset.to_dict()
    count = registry.public("dl.data.batches", "EPOCH").get(settings["batches"])
    return count(len(source), config.batch_size, settings) if count else len(source)


def train_stream(config: ConfigDict, source: Source, mesh: Mesh) -> Stream:
    """The batches of one split for `config.replicas` replicas, each in the order of its seed (see `variants`).

    Raises:
        UserError: the batch does not divide over the mesh, or the microbatches over it.
    """
    parts = meshes.batch_shards(mesh) * config.microbatches
    if config.batch_size % parts:
        raise UserError(
            f"batch_size={config.batch_size} does not divide into {meshes.batch_shards(mesh)} parts of the mesh times "
            f"{config.microbatches} microbatches: make it a multiple of {parts}."
        )
    settings = config.dataset.to_dict()
    on_device = meshes.on_accelerator() and source.resident and _bytes(source) <= RESIDENT_BYTES
    constants = _put_whole(source, mesh) if on_device else {}
    make = registry.find("dl.data.batches", "way to make batches", settings["batches"])
    reads = tuple(make(source, seed, config.batch_size, settings, on_device) for seed, _ in variants(config))
    augment = augmentation.build(config.augmentation.to_dict())

    def prepare(constants: Tree, key: jax.Array, batch: Batch) -> Batch:
        return standardise(fetch(constants, batch), settings, augment, key)

    return Stream(reads, constants, prepare, config.batch_size)


def read_block(stream: Stream, mesh: Mesh, start: int, count: int, capacity: int) -> Batch:
    """The batches of `count` steps from step `start`, on the devices: feature -> [replica, capacity, example, ...].

    What lies behind `count` repeats the last step, so that the arrays of all dispatches have one shape.
    """
    shape = (len(stream.reads), capacity, stream.batch_size)
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


def first_examples(settings: Mapping[str, Any], source: Source, count: int) -> dict[str, np.ndarray]:
    """The first `count` examples of a split (all, where it has fewer) as `evaluate` sees them, on the host."""
    features = source.gather(np.arange(min(count, len(source))))
    batch = standardise({name: jnp.asarray(values) for name, values in features.items()}, settings, lambda key, b: b, None)
    return {name: np.asarray(values) for name, values in batch.items()}


def prepare_evaluation(settings: Mapping[str, Any], batch: Batch) -> Batch:
    """As in training, without augmentation; used inside the compiled evaluation."""
    return standardise(batch, settings, lambda key, b: b, None)


class EvaluationBatches(NamedTuple):
    """All of a split in order, the last batch padded. Iterate `blocks()` for (batch on the devices, true rows)."""

    source: Source
    settings: Mapping[str, Any]
    batch_size: int
    mesh: Mesh

    def __len__(self) -> int:
        return -(-len(self.source) // self.batch_size)

    def bytes(self) -> int:
        """Of the whole split, as it is read."""
        return _bytes(self.source)

    def blocks(self) -> Iterator[tuple[Batch, int]]:
        """Batches with `mask` [B], True on the rows that are examples; rows that pad repeat the last example."""
        sharding = meshes.evaluation_batch(self.mesh)
        rows = meshes.local_slice(sharding, (self.batch_size,), 0)
        last, starts = len(self.source) - 1, range(0, len(self.source), self.batch_size)
        indices = [np.minimum(start + rows, last) for start in starts]
        read: Iterator[dict[str, np.ndarray]]
        if self.source.resident:
            read = (self.source.gather(index) for index in indices)
        else:
            read = streamed(self.source, self.settings.get("workers", 0)).stream(indices)
        for start, batch in zip(starts, read, strict=True):
            batch = {**batch, "mask": start + rows <= last}
            yield meshes.to_device(batch, sharding, (self.batch_size,)), min(self.batch_size, len(self.source) - start)

    def examples(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The examples at these indices as an evaluator sees them, on the host."""
        read = self.source.gather(np.asarray(indices))
        batch = prepare_evaluation(self.settings, {name: jnp.asarray(values) for name, values in read.items()})
        return {name: np.asarray(values) for name, values in batch.items()}


def evaluation_batches(config: ConfigDict, source: Source, mesh: Mesh) -> EvaluationBatches:
    """The batches of a split for evaluation, as large as `eval_batch_size` and the split allow, divisible over the mesh."""
    settings = config.dataset.to_dict()
    cut = registry.public("dl.data.batches", "EVALUATION").get(settings["batches"])
    source = cut(source, settings) if cut else source
    shards = meshes.batch_shards(mesh)
    size = min(config.eval_batch_size, len(source))
    return EvaluationBatches(source, settings, -(-size // shards) * shards, mesh)


def _bytes(source: Source) -> int:
    return sum(v.nbytes for v in source.gather(np.arange(1)).values()) * len(source)


def _put_whole(source: Source, mesh: Mesh) -> Tree:
    features = source.gather(np.arange(len(source)))
    shapes = {name: values.shape for name, values in features.items()}
    return {name: meshes.to_device(v, meshes.replicated(mesh), shapes[name]) for name, v in features.items()}
