import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from dl.state import digests, path_name
from dl.training.assembly import create
from tests.training.tasks import classifier, gan


def test_the_state_has_the_optimizers_of_all_objectives_from_the_start():
    state = jax.eval_shape(lambda: create(gan(), jnp.uint32(0), jnp.int32(0), 0.0))
    assert set(state.opt_state) == {"generator", "discriminator"}
    assert set(state.opt_state["generator"][0].mu) == {"generator"}


def test_seeds_differ_and_repeat():
    a, again, b = (create(classifier(), jnp.uint32(seed), jnp.int32(0), 0.9) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, a.params, again.params)
    assert not np.array_equal(a.params["model"]["wide"]["kernel"], b.params["model"]["wide"]["kernel"])
    assert not np.array_equal(jax.random.key_data(a.key), jax.random.key_data(b.key))
    jax.tree.map(np.testing.assert_array_equal, a.params, a.ema["params"])


def test_paths_are_names_joined_by_slashes():
    tree = {"model": {"conv1": {"kernel": 1}}, "list": [2, 3]}
    assert [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)] == [
        "list/0",
        "list/1",
        "model/conv1/kernel",
    ]


def test_the_digest_is_over_name_type_shape_and_bytes_in_the_order_of_the_names():
    params = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": {"c": np.ones((2,), np.int32)}}
    expected = []
    for r in range(2):
        text = b"a/c int32 ()" + np.int32(1).tobytes() + b"b float32 (3,)" + params["b"][r].tobytes()
        expected.append(hashlib.sha256(text).hexdigest())
    assert digests(params) == expected
    assert digests(dict(reversed(params.items()))) == expected
    changed = {**params, "b": np.nextafter(params["b"], 9, dtype=np.float32)}
    assert all(x != y for x, y in zip(digests(changed), expected, strict=True))
