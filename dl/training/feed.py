"""What feeds the steps of a phase: the batches of its stream, and of those beside it, on the devices."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from dl import mesh as meshes
from dl.data.pipeline import Stream, read_block
from dl.errors import UserError
from dl.task import Batch, Phase, Tree
from dl.training.plan import Block

READ_AHEAD = 2  # dispatches whose batches are made while the device works


@jax.tree_util.register_pytree_with_keys_class
class Fed(dict[str, Any]):
    """A batch as the task sees it. Where it lacks a feature, task and batches do not go together, and a line says so."""

    def __missing__(self, feature: str) -> Any:
        has = ", ".join(sorted(self)) or "none"
        raise UserError(
            f"the task needs the feature {feature!r}, which its batches lack; they have {has}. Choose another config.task, "
            "config.dataset or config.dataset.batches."
        )

    def tree_flatten_with_keys(self) -> Any:
        """As a dictionary, its keys sorted."""
        names = tuple(sorted(self))
        return [(jax.tree_util.DictKey(name), self[name]) for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Iterable[Any]) -> "Fed":
        """The inverse."""
        return cls(zip(names, values, strict=True))


class Feed(NamedTuple):
    """The streams of a phase by name, its own first. The features of the others are named `STREAM/FEATURE`."""

    streams: Mapping[str, Stream]
    mesh: Mesh
    capacity: int  # steps that a dispatch has room for

    def constants(self) -> Tree:
        """What lies on the devices, of each stream."""
        return {name: stream.constants for name, stream in self.streams.items()}

    @property
    def examples(self) -> float:
        """How many examples of its own stream a step has, on average."""
        return next(iter(self.streams.values())).examples

    def bucket(self, step: int) -> tuple[int, ...]:
        """The bucket of each stream at a step: batches of the same ones have the same shape."""
        return tuple(stream.bucket(step) for stream in self.streams.values())

    def read(self, start: int, count: int) -> Batch:
        """Batches of `count` steps from step `start`: [replica, capacity, example, ...]; the rest is not for use.

        All these steps are of one bucket.
        """
        batches: dict[str, jax.Array] = {}
        for number, (name, stream) in enumerate(self.streams.items()):
            read = read_block(stream, self.mesh, start, count, self.capacity)
            beside = {f"{name}/{feature}": values for feature, values in read.items() if feature != "step"}
            batches |= beside if number else read
        return batches

    def prepare(self, constants: Tree, key: jax.Array, batch: Batch) -> Batch:
        """The batch of one step as the task sees it, from what was read and what lies on the device."""
        names = list(self.streams)
        prefixes = {name: f"{name}/" for name in names[1:]}
        own = {k: v for k, v in batch.items() if not k.startswith(tuple(prefixes.values()))}
        prepared = self.streams[names[0]].prepare(constants[names[0]], key, own)
        for number, (name, prefix) in enumerate(prefixes.items(), start=1):
            read = {k.removeprefix(prefix): v for k, v in batch.items() if k.startswith(prefix)}
            made = self.streams[name].prepare(constants[name], jax.random.fold_in(key, number), read)
            prepared = {**prepared, **{prefix + feature: values for feature, values in made.items()}}
        return Fed(prepared)


def feeds(phases: Sequence[Phase], streams: Mapping[str, Stream], mesh: Mesh, most: int) -> list[Feed]:
    """The feed of each phase, for dispatches of at most `most` steps."""
    return [Feed({name: streams[name] for name in phase.streams}, mesh, min(most, phase.steps)) for phase in phases]


def read_ahead(feeds: Sequence[Feed], blocks: Iterator[Block]) -> Iterator[tuple[Block, Batch, jax.Array]]:
    """Each dispatch with its batches and their number on the devices, made in a thread while the dispatches before it run."""
    waiting: deque[tuple[Block, Future[tuple[Batch, jax.Array]]]] = deque()

    def read(block: Block) -> tuple[Batch, jax.Array]:
        feed, count = feeds[block.phase], block.end - block.start
        return feed.read(block.start, count), _everywhere(count, feed.mesh)

    with ThreadPoolExecutor(1, "read-ahead") as reader:
        try:
            for block in blocks:
                waiting.append((block, reader.submit(read, block)))
                if len(waiting) > READ_AHEAD:
                    ready, future = waiting.popleft()
                    yield ready, *future.result()
            for ready, future in waiting:
                yield ready, *future.result()
        finally:
            reader.shutdown(wait=True, cancel_futures=True)


def _everywhere(count: int, mesh: Mesh) -> jax.Array:
    """An int32 scalar on every device. `device_put` would compare it among the processes, in the middle of their steps."""
    return jax.make_array_from_callback((), meshes.replicated(mesh), lambda _: np.int32(count))
