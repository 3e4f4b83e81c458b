"""Devices, and what lies where on them. The only place that builds a mesh.

Four axes: `replica` (independent runs), `data` (the batch), `fsdp` (the batch, and parameters in shards), `model` (parameters
by rules on their paths). Every array of the state has a leading axis over the replicas.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dl.errors import UserError, unknown
from dl.state import path_name
from dl.task import Tree

AXES = ("replica", "data", "fsdp", "model")
BATCH_AXES = ("data", "fsdp")
SMALLEST_SHARDED = 4096  # elements; below that a shard costs more in messages than it saves in memory


def build(settings: Mapping[str, Any], replicas: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of `config.mesh`. An axis of -1 takes what the devices allow: `replica` first, then `data`.

    Raises:
        UserError: more devices are asked for than there are, or the replicas do not divide over their axis.
    """
    devices = jax.devices() if devices is None else devices
    for key in settings:
        if key not in (*AXES, "rules"):
            raise unknown("mesh axis", key, (*AXES, "rules"))
    size = {axis: int(settings.get(axis, 1)) for axis in AXES}
    if any(n == 0 or n < -1 for n in size.values()) or size["fsdp"] == -1 or size["model"] == -1:
        raise UserError(f"mesh axes are positive, or -1 for replica and data, got {size}.")
    free = max(len(devices) // (size["fsdp"] * size["model"] * max(size["data"], 1) * max(size["replica"], 1)), 1)
    if size["replica"] == -1:
        size["replica"] = gcd(replicas, free)
        free //= size["replica"]
    if size["data"] == -1:
        size["data"] = free
    total = int(np.prod(list(size.values())))
    if total > len(devices):
        raise UserError(
            f"the mesh {size} needs {total} devices, there are {len(devices)}: lower config.mesh, or, to try it on a CPU, "
            f"set JAX_NUM_CPU_DEVICES={total}."
        )
    if replicas % size["replica"]:
        raise UserError(f"{replicas} replicas do not divide over mesh.replica={size['replica']}.")
    shape = tuple(size.values())
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices[:total])


def on_accelerator() -> bool:
    """Whether arrays lie on an accelerator: splits that fit are then put there whole. The one place that asks, beside
    `dl.layers.backend.prefers_matmul`; tests replace it.
    """
    return jax.default_backend() != "cpu"


def batch_shards(mesh: Mesh) -> int:
    """How many parts a batch is split into."""
    return int(np.prod([mesh.shape[axis] for axis in BATCH_AXES]))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, P())


def train_batches(mesh: Mesh) -> NamedSharding:
    """Batches [replica, step, example, ...]."""
    return NamedSharding(mesh, P("replica", None, BATCH_AXES))


def evaluation_batch(mesh: Mesh) -> NamedSharding:
    """A batch [example, ...], the same for each replica."""
    return NamedSharding(mesh, P(BATCH_AXES))


def place(shapes: Tree, mesh: Mesh, rules: Sequence[Any] = ()) -> Tree:
    """The sharding of every array of the state.

    A rule is (regular expression, axes): the first that matches the whole path of a parameter, `model/conv1/kernel`, gives the
    mesh axis, or None, of each of its dimensions; what optimizers and averages keep of it lies alike. Each rule must be the
    first for some array. Then FSDP: of the dimensions left, the largest that the `fsdp` axis divides is sharded over it.

    Args:
        shapes: a tree of arrays or `ShapeDtypeStruct`s [replica, ...].
        mesh: the mesh.
        rules: `config.mesh.rules`.

    Raises:
        UserError: a rule names an unknown axis, does not fit the array that it matches, or matches nothing.
    """
    compiled = [_compiled(rule) for rule in rules]
    paths = {path_name(path): None for path, _ in jax.tree_util.tree_leaves_with_path(getattr(shapes, "params", shapes))}
    used: set[int] = set()

    def spec(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        name, shape = _parameter(path_name(path), paths), leaf.shape[1:]
        axes: list[str | None] = [None] * len(shape)
        for number, (pattern, given) in enumerate(compiled):
            if shape and pattern.fullmatch(name):
                _check_rule(pattern.pattern, given, name, shape, mesh)
                axes = list(given)
                used.add(number)
                break
        open_dimensions = [d for d, n in enumerate(shape) if axes[d] is None and n % mesh.shape["fsdp"] == 0]
        if mesh.shape["fsdp"] > 1 and "fsdp" not in axes and np.prod(shape) >= SMALLEST_SHARDED and open_dimensions:
            axes[max(open_dimensions, key=lambda d: shape[d])] = "fsdp"
        return NamedSharding(mesh, P("replica", *axes))

    placed = jax.tree_util.tree_map_with_path(spec, shapes)
    for number, (pattern, _) in enumerate(compiled):
        if number not in used:
            known = ", ".join([*paths][:5]) + (", ..." if len(paths) > 5 else "")
            left = " that no rule before it matches" if any(pattern.fullmatch(path) for path in paths) else ""
            raise UserError(f"the mesh rule {pattern.pattern!r} matches no parameter{left}. Parameters: {known}.")
    return placed


def _parameter(name: str, paths: Mapping[str, None]) -> str:
    """The parameter that a leaf of the state belongs to: `model/w` of `opt_state/fit/0/trace/model/w`; itself if to none."""
    parts = name.split("/")
    ends = ("/".join(parts[i:]) for i in range(len(parts)))
    return next((end for end in ends if end in paths), name)


def _compiled(rule: Any) -> tuple[re.Pattern[str], tuple[Any, ...]]:
    try:
        pattern, axes = rule
        return re.compile(pattern), tuple(axes)
    except (TypeError, ValueError, re.error) as error:
        raise UserError(f"the mesh rule {rule!r} must be a pair of a regular expression and axes ({error}).") from error


def _check_rule(pattern: str, axes: tuple[Any, ...], name: str, shape: tuple[int, ...], mesh: Mesh) -> None:
    if len(axes) != len(shape):
        raise UserError(f"the mesh rule {pattern!r} names {len(axes)} axes, but {name} has the shape {shape}.")
    if len({*axes} - {None}) < sum(axis is not None for axis in axes):
        raise UserError(f"the mesh rule {pattern!r} names an axis twice.")
    for size, axis in zip(shape, axes, strict=True):
        if axis is not None and axis not in ("fsdp", "model"):
            raise unknown("mesh axis in a rule", str(axis), ("fsdp", "model"))
        if axis is not None and size % mesh.shape[axis]:
            raise UserError(
                f"the mesh rule {pattern!r} splits {name} {shape} over {axis}={mesh.shape[axis]}, which does not divide it."
            )


def per_replica(function: Callable[..., Any], mesh: Mesh, how: str, each: Sequence[bool]) -> Callable[..., Any]:
    """Lifts a function of one replica to all of them.

    Over the `replica` axis of the mesh the replicas are split by `shard_map`; the other axes stay with the compiler. Within one
    device they are taken one after another in one program ("unroll": a convolution stays a convolution) or by "vmap" (one
    batched operation for all, faster for small models on an accelerator).

    Args:
        function: function of one replica; its results get a leading replica axis.
        mesh: the mesh.
        how: `"unroll"` or `"vmap"`.
        each: for each argument, whether it has a leading replica axis (True) or is shared.
    """
    if how not in ("unroll", "vmap"):
        raise unknown("way to replicate", how, ("unroll", "vmap"))

    def local(*arguments: Any) -> Any:
        count = next(jax.tree.leaves(a)[0].shape[0] for a, e in zip(arguments, each, strict=True) if e)
        if how == "vmap" and count > 1:
            return jax.vmap(function, in_axes=tuple(0 if e else None for e in each))(*arguments)
        results = [
            function(*(jax.tree.map(lambda x: x[r], a) if e else a for a, e in zip(arguments, each, strict=True)))  # noqa: B023
            for r in range(count)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    if mesh.shape["replica"] == 1:
        return local
    specs = tuple(P("replica") if e else P() for e in each)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P("replica"), axis_names={"replica"}, check_vma=False)


def to_device(local: Tree, sharding: NamedSharding, leading: tuple[int, ...]) -> Tree:
    """Global arrays from what this process has of them; `leading` are their global sizes along the leading dimensions."""
    if jax.process_count() == 1:
        return jax.device_put(local, sharding)

    def array(values: np.ndarray) -> jax.Array:
        shape = (*leading, *values.shape[len(leading) :])
        return jax.make_array_from_process_local_data(sharding, values, shape)

    return jax.tree.map(array, local)


def to_host(tree: Tree, mesh: Mesh) -> Tree:
    """The arrays on the host, one leaf after another, so that no device holds more than one of them whole.

    Args:
        tree: pytree of global arrays. With several processes all of them call this, and all get everything.
        mesh: on which the arrays lie.
    """
    whole = jax.jit(lambda leaf: leaf, out_shardings=replicated(mesh))

    def fetch(leaf: Any) -> Any:
        if jax.process_count() > 1:  # else the shards are put together on the host
            leaf = whole(leaf).addressable_data(0)
        return jax.device_get(leaf)

    return jax.tree.map(fetch, tree)


def first_replica(host: Tree, like: Tree, mesh: Mesh) -> Tree:
    """What a replica's arrays look like to a task that shows something of them, of the first replica.

    They are on the host; but where a parameter is split over the devices, they lie on these as in training, so that no device
    need hold a network that is larger than itself. Of several processes the first one shows it alone, from its host.

    Args:
        host: pytree of arrays [replica, ...], on the host.
        like: the same on the devices.
        mesh: on which they lie.
    """
    axes = [P(*getattr(leaf.sharding, "spec", P())[1:]) for leaf in jax.tree.leaves(like)]
    values, structure = jax.tree.flatten(jax.tree.map(lambda x: x[0], host))
    if jax.process_count() == 1 and any(mesh.shape[axis] > 1 for spec in axes for axis in spec if axis):
        values = [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in zip(values, axes, strict=True)]
    return jax.tree.unflatten(structure, values)


def local_slice(sharding: NamedSharding, shape: tuple[int, ...], dimension: int) -> np.ndarray:
    """Which indices of one dimension of a global array lie in this process, in increasing order."""
    indices = sharding.addressable_devices_indices_map(shape).values()
    parts = {range(*index[dimension].indices(shape[dimension])) for index in indices if index is not None}
    return np.array(sorted(i for part in parts for i in part))
