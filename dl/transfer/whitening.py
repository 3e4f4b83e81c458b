"""A first convolution that whitens the data's patches from the start, computed from the first images of the training split.

Its filters are the eigenvectors of the patches' covariance, each divided by the root of its eigenvalue, and their negatives, so
that after a rectifier nothing is lost (Jordan 2024, arXiv:2404.00498, section 3.2; Coates & Ng 2012 for the idea). As in the
paper's code (airbench94) the covariance is the mean of x x^T: no mean of the patches is subtracted from them, as images are
standardised, and the layer subtracts none. The model does not know the data: the task puts the filters where it finds the
layer's kernel, as a constant of its `init`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float

from dl.errors import UserError, unknown
from dl.task import Task, Tree

IMAGES = 5000  # whose patches are counted
EPSILON = 5e-4  # added to the eigenvalues


def filters(images: Float[np.ndarray, "n h w c"], side: int, epsilon: float = EPSILON) -> Float[np.ndarray, "side side c o"]:
    """Kernel [side, side, c, 2 * side * side * c], float32: eigenvectors by falling eigenvalue, then their negatives.

    The largest component of each eigenvector is positive, as its sign is anybody's choice.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))  # [n, y, x, c, side, side]
    size = side * side * images.shape[-1]
    moments, count = np.zeros((size, size)), 0
    for part in np.array_split(windows, max(len(images) // 500, 1)):  # all patches at once would take gigabytes
        patches = part.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size).astype(np.float64)
        moments += patches.T @ patches
        count += len(patches)
    values, vectors = np.linalg.eigh(moments / count)
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(size)])
    white = vectors / np.sqrt(values + epsilon)
    return np.concatenate([white, -white], axis=1).reshape(side, side, images.shape[-1], 2 * size).astype(np.float32)


def started(task: Task, first: Callable[[int], Mapping[str, np.ndarray]] | None, layer: str) -> Task:
    """The task with the kernel of `layer` of its model started so.

    Args:
        task: with the parameter group `model`.
        first: so many -> the first training examples, `image` among them (see `Resources`).
        layer: the path of a convolution in the model, `whiten`.

    Raises:
        UserError: no such layer, one of another shape, or no training split.
    """
    params = flatten_dict(jax.eval_shape(task.init, jax.random.key(0))[0], sep="/")
    path = f"model/{layer}/kernel"
    kernels = {name: value for name, value in params.items() if name.endswith("/kernel") and value.ndim == 4}
    if path not in kernels:
        choices = [name.removeprefix("model/").removesuffix("/kernel") for name in kernels]
        raise unknown("convolution for task.whitened", layer, choices)
    if first is None:
        raise UserError("task.whitened needs images to train on: name a split 'train' in dataset.splits.")
    shape = kernels[path].shape
    if shape[0] != shape[1] or shape[3] != 2 * int(np.prod(shape[:3])):
        raise UserError(
            f"task.whitened: the layer {layer} has a kernel {shape}, and whitening needs a square one with "
            f"{2 * int(np.prod(shape[:3]))} outputs, two for each input."
        )
    kernel = filters(np.asarray(first(IMAGES)["image"], np.float32), shape[0])

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        made, variables = task.init(key)
        flat: dict[str, Any] = flatten_dict(made, sep="/")
        return unflatten_dict({**flat, path: jnp.asarray(kernel, flat[path].dtype)}, sep="/"), variables

    return task._replace(init=init)
