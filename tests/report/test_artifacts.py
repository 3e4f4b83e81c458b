"""Artifacts come back from disk as they were saved."""

import numpy as np
import pytest

from dl.artifacts import Audio, Curves, Images, Matrix, ParseTree, Scatter, Table, Text
from dl.errors import UserError
from dl.report import artifacts

RNG = np.random.default_rng(0)
EXAMPLES = {
    "float images": Images(RNG.random((3, 4, 5, 1), np.float32), ("a", "b", 'c "d" <e>'), columns=2),
    "byte images": Images(RNG.integers(0, 256, (2, 4, 5, 3), np.uint8)),
    "confusion": Matrix(RNG.integers(0, 9, (2, 3)), ("x", "y"), ("1", "2", "3"), "actual", "predicted"),
    "table": Table(("class", "count", "share"), (("zero", 3, 0.1), ("één", 4, 1 / 3))),
    "text": Text("two\n  lines"),
    "curves": Curves({"b/1": (np.arange(3), np.float64([1, np.nan, 3])), "a": (np.arange(2), np.ones(2))}, "step", "loss"),
    "tree": ParseTree(("not", "so", "bad"), np.array([[1, 2], [0, 3]]), np.float32([0, 0.1, -1, -1, 0.5]), tuple("abcde")),
    "sounds": Audio((np.zeros(3, np.int16), np.ones(5, np.float32)), 8000, ("a", "b")),
    "points": Scatter(RNG.normal(size=(4, 2)), np.arange(4), ("p", "q", "r", "s")),
    "words": Scatter(RNG.normal(size=(3, 2)), np.zeros(3, int), ("words",), ("a", "één", "<c>")),
}


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("name", EXAMPLES)
def test_round_trip_is_exact(workdir, name):
    artifacts.save(workdir, "test", {name: EXAMPLES[name]})
    assert_same(artifacts.load(workdir), {("test", name): EXAMPLES[name]})


def test_splits_and_names_keep_their_order(workdir):
    for split in ("test", "other", "train"):
        artifacts.save(workdir, split, {"z": Text("1"), "a": Text("2")})
    assert list(artifacts.load(workdir)) == [(s, n) for s in ("train", "test", "other") for n in "za"]


def test_saving_again_replaces_and_leaves_nothing_behind(workdir):
    artifacts.save(workdir, "test", EXAMPLES)
    artifacts.save(workdir, "test", {"text": Text("new")})
    assert artifacts.load(workdir) == {("test", "text"): Text("new")}
    assert [path.name for path in (workdir / "artifacts").iterdir()] == ["test.npz"]


def test_a_failed_save_keeps_the_old_file(workdir, monkeypatch):
    artifacts.save(workdir, "test", {"text": Text("old")})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="No space left on device"):
        artifacts.save(workdir, "test", {"text": Text("new")})
    assert artifacts.load(workdir) == {("test", "text"): Text("old")}
    assert len(list((workdir / "artifacts").iterdir())) == 1


def test_a_run_without_artifacts_has_none(workdir):
    assert artifacts.load(workdir) == {}


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no archive"])
def test_a_damaged_file_is_named(workdir, damage):
    path = artifacts.save(workdir, "test", EXAMPLES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"test\.npz cannot be read"):
        artifacts.load(workdir)


def test_nothing_is_unpickled(workdir):
    path = artifacts.save(workdir, "test", {})
    np.savez(path, manifest=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        artifacts.load(workdir)


def test_arrays_of_jax_and_numpy_scalars_are_taken(workdir):
    import jax.numpy as jnp

    artifacts.save(workdir, "test", {"p": Images(jnp.zeros((1, 2, 2, 1))), "t": Table(("n",), ((np.float32(0.5),),))})
    loaded = artifacts.load(workdir)
    assert_same(loaded["test", "p"].pixels, np.zeros((1, 2, 2, 1), np.float32))
    assert loaded["test", "t"] == Table(("n",), ((0.5,),))
