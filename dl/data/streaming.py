"""Reading ahead from sources that do not fit in memory: decoding in threads or worker processes, in an order that is ours.

Grain does the work; the order does not come from it but from `index_at`, a pure function of the position in the run. So the
batches are the same whatever the number of threads and workers, a run goes on at any step without saved iterator state, and
each process of several asks for the positions of its own rows.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import flags

from dl.dataset import Drawn, Source


def stream(
    source: Source,
    positions: Sequence[int],
    index_at: Callable[[int], int],
    batch_size: int,
    *,
    threads: int = 16,
    workers: int = 0,
    numbers_at: Callable[[int], np.ndarray] | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """The examples `index_at(p)` for `p` in `positions`, stacked in that order into batches.

    Args:
        source: any source; its `gather` is called with one index at a time, from several threads.
        positions: global positions, e.g. `range(step * batch_size, steps * batch_size)`, or those of this process's rows.
        index_at: global position -> index into `source`; a pure function, which pickles where `workers` > 0.
        batch_size: examples in a batch; the last batch may have fewer.
        threads: concurrent reads in this process, where `workers` is 0; a batch is read ahead.
        workers: processes that read whole batches ahead, two each; worth it where decoding is limited by Python's lock. They
            take seconds to start and receive the source pickled.

        numbers_at: global position -> random numbers, for a source that can `draw` (`dl.data.cropping`); pure, as `index_at`.

    Yields:
        feature -> [batch_size, ...], as `source.gather` gives them.

    Raises:
        UserError: whatever the source finds wrong with an example, e.g. a file that can't be decoded.
    """
    import grain

    examples = grain.MapDataset.range(len(positions)).map(_Read(source, positions, index_at, numbers_at))
    if not workers:
        ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2 * threads, batch_size))
        yield from examples.to_iter_dataset(ahead).batch(batch_size, drop_remainder=False)
        return
    if not flags.FLAGS.is_parsed():  # Grain reads flags of its own when it starts workers
        flags.FLAGS.mark_as_parsed()
    # Grain deals out what comes before `to_iter_dataset` among the workers, so whole batches must.
    batches = examples.batch(batch_size, drop_remainder=False).to_iter_dataset(
        grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    )
    for batch in batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)):
        # A copy gives the workers' shared memory back at once, not when the last user of the batch is gone.
        yield {name: np.array(values) for name, values in batch.items()}


class _Read:
    """Number in the stream -> example; a class, because workers receive it pickled."""

    def __init__(
        self,
        source: Source,
        positions: Sequence[int],
        index_at: Callable[[int], int],
        numbers_at: Callable[[int], np.ndarray] | None,
    ):
        self.source, self.positions, self.index_at, self.numbers_at = source, positions, index_at, numbers_at

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        position = self.positions[number]
        index = np.array([self.index_at(position)])
        if self.numbers_at is not None and isinstance(self.source, Drawn):
            example = self.source.draw(index, self.numbers_at(position)[None])
        else:
            example = self.source.gather(index)
        return {name: values[0] for name, values in example.items()}
