"""What an experiment is made of, without training it: layers, phases, and where each parameter lies.

Everything is read off the task's own functions while they are traced, so that any task can be explained.
"""

import copy
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.errors import UserError
from dl.layers import calls as layer_calls
from dl.layers.backend import stock_operations
from dl.layers.calls import Call
from dl.state import TrainState, path_name
from dl.task import Phase, Task, Tree
from dl.training import flops
from dl.training.assembly import Experiment, assemble
from dl.training.feed import Feed, feeds
from dl.training.step import train_step

Shape = tuple[int, ...]
SAMPLED = 200  # steps of a phase whose batches are looked at


class Layer(NamedTuple):
    """One module, or what an objective computes outside of all modules. The numbers are its own: without the modules inside it.

    path: path of its parameters, `model/conv1`; `objective/<name>` of an objective.
    module: its class, or "objective", or "parameters" for a group that no module has.
    outputs: the shape of each array that it returns, without the batch.
    parameters: number of parameters.
    flops: FLOPs of the forward pass of one example in training.
    activation_bytes: size of its outputs for one example.
    calls: how often it is called in that forward pass.
    """

    path: str
    module: str
    outputs: tuple[Shape, ...]
    parameters: int
    flops: int
    activation_bytes: int
    calls: int


class PhaseCost(NamedTuple):
    """A phase.

    examples: that a step has, on average.
    shapes: that its batches have in the first `SAMPLED` steps: several where they are made by length.
    flops_per_step: of all examples of one replica, on average over these steps: forward, backward and update.
    """

    steps: int
    objectives: tuple[str, ...]
    stream: str
    examples: float
    shapes: int
    flops_per_step: int


class Placed(NamedTuple):
    """One parameter of one replica: `axes` names the mesh axis that each of its dimensions is split over, or None."""

    path: str
    shape: Shape
    dtype: str
    axes: tuple[str | None, ...]
    bytes_per_device: int


class Explanation(NamedTuple):
    """`parameters`, `flops` and `activation_bytes` are the sums over `layers`; bytes of the state are of all replicas.

    Where examples differ in length, layers are those of the first step's.
    """

    parameters: int
    flops: int
    activation_bytes: int
    replicas: int
    layers: tuple[Layer, ...]
    phases: tuple[PhaseCost, ...]
    mesh: dict[str, int]
    sharding: tuple[Placed, ...]
    state_bytes: int
    state_bytes_per_device: int


def assemble_known(
    config: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None
) -> tuple[Experiment, list[str]]:
    """The experiment without the files of data of which enough is known, and without trained weights that are not there.

    Returns:
        It, and the keys of `config.task` whose files it does without, as the task's table `WITHOUT_FILES` (name -> settings)
        says.

    Raises:
        UserError: as `assemble`.
    """
    config = copy.deepcopy(config)
    config.dataset.workers = 0
    try:
        return assemble(config, data_dir, manual_dir, known=True), []
    except UserError:
        others = registry.public("dl.tasks", "WITHOUT_FILES").get(config.task.name, dict)()
        missing = [key for key in others if config.task.get(key)]
        if not missing:
            raise
        with config.unlocked(), config.ignore_type():
            config.task.update({key: others[key] for key in missing})
        return assemble(config, data_dir, manual_dir, known=True), missing


def explain(experiment: Experiment) -> Explanation:
    """Traces the objectives and the steps of each phase; nothing of them is run.

    An objective that uses modules of the objectives before it has no new rows for them: their numbers are those of the first
    objective that calls them.
    """
    config, task = experiment.config, experiment.task
    target = experiment.target()
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), target)  # of one replica
    fed = feeds(task.phases, experiment.streams(), experiment.mesh, 1)
    with stock_operations():
        layers = _layers(task, state, {phase: _batch(feed, 0) for phase, feed in zip(task.phases, fed, strict=True)})
        phases = [_phase(experiment, phase, feed, state) for phase, feed in zip(task.phases, fed, strict=True)]
    leaves = jax.tree.leaves(target)
    return Explanation(
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        replicas=config.replicas,
        layers=tuple(layers),
        phases=tuple(phases),
        mesh=dict(experiment.mesh.shape),
        sharding=tuple(_placed(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(target.params)),
        state_bytes=sum(math.prod(leaf.shape) * _itemsize(leaf) for leaf in leaves),
        state_bytes_per_device=sum(_bytes_per_device(leaf) for leaf in leaves),
    )


def _phase(experiment: Experiment, phase: Phase, feed: Feed, state: TrainState) -> PhaseCost:
    step = train_step(experiment.task, phase, experiment.config.microbatches, experiment.config.ema)
    buckets = _buckets(phase, feed)
    costs = [times * flops.total(step, state, _batch(feed, first), state.key) for first, times in buckets]
    cost = round(sum(costs) / sum(times for _, times in buckets))
    return PhaseCost(phase.steps, phase.objectives, phase.stream, feed.examples, len(buckets), cost)


def _buckets(phase: Phase, feed: Feed) -> list[tuple[int, int]]:
    """For each shape that batches have in the first steps of a phase: the first of these steps, and how many there are."""
    if all(len(stream.batch_sizes) == 1 for stream in feed.streams.values()):
        return [(0, 1)]
    found = [feed.bucket(step) for step in range(min(phase.steps, SAMPLED))] or [feed.bucket(0)]
    return [(found.index(bucket), times) for bucket, times in Counter(found).items()]


def _batch(feed: Feed, step: int) -> Tree:
    """The shapes of a step's batch as an objective sees it; one example of each stream is read to learn them."""
    read: dict[str, Any] = {}
    for number, (name, stream) in enumerate(feed.streams.items()):
        rows = {feature: values[0] for feature, values in stream.reads[0](step, 1, np.arange(1)).items()}
        shapes = {n: jax.ShapeDtypeStruct((stream.batch_size(step), *v.shape[1:]), v.dtype) for n, v in rows.items()}
        read |= {f"{name}/{n}": v for n, v in shapes.items()} if number else shapes
    return jax.eval_shape(feed.prepare, feed.constants(), jax.eval_shape(lambda: jax.random.key(0)), read)


def _layers(task: Task, state: TrainState, batches: dict[Phase, Tree]) -> list[Layer]:
    layers: dict[str, Layer] = {}
    objectives = dict.fromkeys((name, phase) for phase in task.phases for name in phase.objectives)
    for name, phase in objectives:
        for layer in _objective(task, name, state, batches[phase]):
            layers.setdefault(layer.path, layer)
    for path in _groups_without_module(state.params, layers):
        layers[path] = Layer(path, "parameters", (), 0, 0, 0, 0)
    return _with_parameters(list(layers.values()), state.params)


def _objective(task: Task, name: str, state: TrainState, batch: Tree) -> list[Layer]:
    """The modules that an objective calls, in their order, then itself, all still without their parameters."""
    made: list[Call] = []
    own = f"objective/{name}"

    def loss(params: Tree, variables: Tree, batch: Tree, key: jax.Array) -> Any:
        with layer_calls.recording(params) as recorded:
            result = task.objectives[name].loss(params, variables, batch, key)
        made.extend(recorded)
        return result

    jaxpr = flops.traced(loss, state.params, state.variables, batch, state.key)
    times: dict[int, int] = {}
    cost: Counter[str] = Counter()
    for operation in flops.operations(jaxpr):
        inside = layer_calls.numbers(operation.scope)
        for number in inside:
            times[number] = min(times.get(number, operation.times), operation.times)  # more in loops inside it
        cost[made[inside[-1]].path if inside else own] += operation.flops
    examples = max((len(leaf.shape) and leaf.shape[0] for leaf in jax.tree.leaves(batch)), default=1)
    by_path: dict[str, list[tuple[Call, int]]] = {}
    for number, call in enumerate(made):
        by_path.setdefault(call.path, []).append((call, times.get(number, 0)))
    rows = [_module(calls, cost[path], examples) for path, calls in by_path.items()]
    return [*rows, Layer(own, "objective", (), 0, round(cost[own] / examples), 0, 1)]


def _module(calls: list[tuple[Call, int]], cost: int, examples: int) -> Layer:
    """The row of one module from its calls and how often each of them runs."""
    # A call without an operation in the program was made for shapes alone, unless the module has none in any of its calls.
    real = [(call, times) for call, times in calls if times] or [(calls[0][0], 1)]
    whole = [(call, times) for call, times in real if call.method == "__call__"] or real
    size = sum(times * math.prod(a.shape) * a.dtype.itemsize for call, times in real for a in call.fresh)
    first = whole[0][0]
    shapes = tuple(_per_example(a.shape, examples) for a in first.outputs)
    count = sum(times for _, times in whole)
    return Layer(first.path, first.module, shapes, 0, round(cost / examples), round(size / examples), count)


def _per_example(shape: Shape, examples: int) -> Shape:
    """Without the batch: the first axis, alone or (as B * T) with another one, or the second of [T, B, D]."""
    if shape[:1] == (examples,):
        return shape[1:]
    if len(shape) == 3 and shape[1] == examples:
        return (shape[0], shape[2])
    return shape if not shape or shape[0] % examples else (shape[0] // examples, *shape[1:])


def _groups_without_module(params: Tree, layers: dict[str, Layer]) -> list[str]:
    return [group for group in params if not any(path.split("/")[0] == group for path in layers)]


def _with_parameters(layers: Sequence[Layer], params: Tree) -> list[Layer]:
    """Gives each parameter to the layer with the longest path above it."""
    own: Counter[str] = Counter()
    paths = {layer.path for layer in layers if layer.module != "objective"}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        parts = path_name(path).split("/")
        above = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
        own[next((p for p in above if p in paths), parts[0])] += math.prod(leaf.shape)
    extra = [Layer(path, "parameters", (), 0, 0, 0, 0) for path in own if path not in paths]
    return [layer._replace(parameters=own[layer.path] if layer.module != "objective" else 0) for layer in (*layers, *extra)]


def _placed(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> Placed:
    axes = tuple(leaf.sharding.spec[1:])  # the first is that of the replicas
    axes += (None,) * (len(leaf.shape) - 1 - len(axes))
    return Placed(path_name(path), leaf.shape[1:], str(leaf.dtype), axes, _bytes_per_device(leaf))


def _bytes_per_device(leaf: jax.ShapeDtypeStruct) -> int:
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * _itemsize(leaf)


def _itemsize(leaf: jax.ShapeDtypeStruct) -> int:
    """Bytes of one element; a PRNG key is two words of four."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return 4 * math.prod(jax.random.key_data(jax.random.key(0)).shape)
    return leaf.dtype.itemsize
