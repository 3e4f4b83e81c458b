"""Files of weights and the records beside them: whatever is in them, they load or are refused in one line."""

import json
import zipfile

import numpy as np
import pytest

from dl.data import checks
from dl.errors import UserError
from dl.interop import classifier, weights
from tests.data.test_npz import bytes_of, header, mutated
from tests.interop.test_own import small

ARRAYS = {"fc.weight": np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8), "fc.bias": np.arange(6, dtype=np.float16)}


@pytest.mark.parametrize("kind", ["stored", "deflated", "safetensors"])
def test_any_mutation_loads_or_gives_one_line(tmp_path, kind):
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.npz")
    if kind == "deflated":
        np.savez_compressed(path, **ARRAYS)
    else:
        weights.write(path, ARRAYS)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(len(kind)), 0
    for _ in range(150):
        path.write_bytes(mutated(rng, whole))
        try:
            found = weights.read(path)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
            refused += 1
        else:
            assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())
    assert refused > 50  # so the mutations do harm


def test_a_claimed_petabyte_is_not_believed(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("fc.weight.npy", header((10**15,)) + b"x" * 144)
    with pytest.raises(UserError, match=r"'fc.weight' has 144 bytes, not what uint8 \(1000000000000000,\) takes"):
        weights.read(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((3000, 1000), np.uint8))
    monkeypatch.setattr(checks, "memory", lambda: 10_000_000)
    with pytest.raises(UserError, match=r"the weights .*a\.npz would take 0\.0 GB of memory"):
        weights.read(path)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(["a"]), "'x' has type <U1; weights must be numbers"),
        (np.ones(2, complex), "'x' has type complex128; weights must be numbers"),
        (np.array([1.0, np.nan]), "NaN or infinite numbers in 'x'"),
        (np.array([1e300]), "NaN or infinite numbers in 'x'"),
    ],
)
def test_what_is_no_weight(tmp_path, array, said):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", bytes_of(array))
    with pytest.raises(UserError, match=said):
        weights.read(tmp_path / "a.npz")


# --- records ---

VALUES = (None, True, 0, -1, 10**12, 0.5, float("nan"), "", "x", [], [0], [1, 2, 3, 4], [None], {}, {"a": 1}, [["a"]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted LeNet-5 and its record."""
    path = tmp_path_factory.mktemp("net")
    file = classifier.save(small("lenet5"), path)
    return path, json.loads(file.with_suffix(".json").read_text())


def loads(path, record):
    """Whether a folder with this record loads; else the line is that of a damaged one, or of settings that cannot be."""
    file = path / "weights.json"
    file.write_text(record if isinstance(record, str) else json.dumps(record))
    try:
        classifier.load(path)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        assert str(path) in str(error) or "unknown" in str(error), str(error)
        return False
    return True


@pytest.mark.parametrize("key", classifier.KEYS)
def test_a_record_lacks_an_entry_or_has_another_value(folder, key):
    path, record = folder
    assert loads(path, record)
    assert not loads(path, {k: v for k, v in record.items() if k != key})
    good = {"mean": [[0]], "class_names": [[]]}.get(key, [])
    assert [value for value in VALUES if loads(path, record | {key: value})] == good


@pytest.mark.parametrize(
    "settings",
    [{"num_classes": "10"}, {"num_classes": 0}, {"num_classes": True}, {"num_classes": 7}, {"hidden": "x"}, {"bogus": 1}],
)
def test_settings_that_cannot_be(folder, settings):
    path, record = folder
    assert not loads(path, record | {"settings": record["settings"] | settings})


@pytest.mark.parametrize("record", ["[]", "3", "null", '"x"', "[" * 100_000, '{"model": 1}'])
def test_a_record_that_is_none(folder, record):
    assert not loads(folder[0], record)


def test_any_mutation_of_a_record_loads_or_gives_one_line(folder):
    path, record = folder
    rng, text = np.random.default_rng(0), json.dumps(record, indent=2).encode()
    for _ in range(100):
        loads(path, mutated(rng, text).decode("utf-8", "replace"))


def test_weights_of_no_classifier_say_so(folder):
    path, _ = folder
    (path / "weights.json").write_text(json.dumps({"task": "reconstruction", "config": {}}))
    with pytest.raises(UserError, match="of a run of the task 'reconstruction', which trained no classifier"):
        classifier.load(path)
