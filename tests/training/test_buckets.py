"""Training and evaluation in buckets: padding counts nowhere, and stops, devices and replicas change nothing."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.data.batches import buckets
from dl.data.pipeline import read_block
from dl.data.ragged import in_memory, ragged
from dl.dataset import Dataset, Feature, Info, Kind
from dl.metric import LOWER
from dl.task import Evaluator, Objective, Phase, Task, mean, valid
from dl.training.evaluate import Evaluations
from dl.training.explain import explain
from dl.training.feed import feeds
from dl.training.plan import blocks
from tests.training.tasks import curve, experiment, hashes, run, settings
from tests.training.test_loop import Terminate, lines

LENGTHS = (3, 5, 7)


def sentences(lengths: tuple[int, ...] = LENGTHS, size: int = 30) -> Dataset:
    """Sentences of 2 to 7 symbols out of 7, and the symbol that each began with."""

    def split(seed: int):
        rng = np.random.default_rng(seed)
        tokens = [rng.integers(0, 7, n).astype(np.int32) for n in rng.integers(2, 8, size)]
        return in_memory({"tokens": ragged(tokens, lengths, fill=6), "first": np.array([t[0] for t in tokens], np.float32)})

    info = Info("sentences", {"tokens": Feature(Kind.TOKENS, (None,)), "first": Feature(Kind.NUMBER)})
    return Dataset(info, {"train": split(0), "test": split(1)})


def reader(steps: int = 12) -> Task:
    """A recurrent net that guesses the next symbol at every place, and the first one at the end."""

    def init(key):
        a, b, c = jax.random.split(key, 3)
        shapes = {"embedding": (a, (7, 8)), "state": (b, (8, 8)), "guess": (c, (8, 2))}
        return {"net": {name: jax.random.normal(k, shape) / 3 for name, (k, shape) in shapes.items()}}, {}

    def errors(net, batch):
        def advance(state, x):
            symbol, inside = x
            new = jnp.tanh(net["embedding"][symbol] + state @ net["state"])
            state = jnp.where(inside[:, None], new, state)
            return state, state @ net["guess"]

        tokens = batch["tokens"]
        inside = valid(batch["tokens_length"], tokens.shape[1])
        _, guesses = jax.lax.scan(advance, jnp.zeros((len(tokens), 8)), (tokens.T, inside.T))
        following = jnp.roll(tokens, -1, axis=1) / 7
        places = valid(batch["tokens_length"] - 1, tokens.shape[1]) & batch["mask"][:, None]
        return jnp.square(guesses[..., 0].T - following), places, jnp.square(guesses[-1, :, 1] - batch["first"] / 7)

    def measure(params, batch):
        each, places, last = errors(params["net"], batch)
        found = {"next": mean(each, places), "first": mean(last, batch["mask"])}
        return found, {"each": jnp.where(places, each, 0), "last": last, "began": batch["first"]}

    def loss(params, variables, batch, key):
        metrics, _ = measure(params, batch)
        return metrics["next"], (variables, metrics)

    objective = Objective(loss, ("net",), optax.adam(0.01))
    evaluator = Evaluator(lambda params, variables, batch, key: measure(params, batch), {"next": LOWER, "first": LOWER})
    return Task(init, {"read": objective}, (Phase(steps, ("read",)),), {"read": evaluator})


def chosen(devices: int = 1, data: Dataset | None = None, tokens: int = 0, **changes):
    """The experiment, in buckets of six sentences."""
    config = settings(**{"batch_size": 6, "eval_batch_size": 7, **changes})
    with config.unlocked():
        config.dataset.update(batches="buckets", bucket_by="tokens", tokens_per_batch=tokens)
    return experiment(reader(config.steps), config, devices, data or sentences())


def one_by_one(split: str, params) -> list:
    """(sums and counts, outputs) of every sentence by itself, without padding."""
    source = sentences().splits[split]
    step = jax.jit(reader().evaluators["read"].step)
    found = []
    for i in range(len(source)):
        length = int(source.ragged["tokens"].sizes[i])
        batch = {**source.gather(np.array([i]), {"tokens": length}), "mask": np.array([True])}
        found.append(jax.device_get(step(params, {}, jax.tree.map(jnp.asarray, batch), jax.random.key(0))))
    return found


@pytest.mark.parametrize(("lengths", "devices"), [(LENGTHS, 1), (LENGTHS, 8), ((), 1)])
def test_evaluation_is_that_of_every_example_by_itself(lengths, devices):
    made = chosen(devices, sentences(lengths))
    state = made.initial_state()
    found = Evaluations(made)(state, "test")
    singles = one_by_one("test", jax.tree.map(lambda x: x[0], jax.device_get(state.params)))
    for name in ("next", "first"):
        total, count = (sum(float(sums[name][i]) for sums, _ in singles) for i in (0, 1))
        assert float(found.sums[0]["read"][name][1]) == count  # exactly
        np.testing.assert_allclose(found.metrics[name], [total / count], rtol=1e-6)
    outputs = found.outputs[0]
    np.testing.assert_array_equal(outputs["began"], [o["began"][0] for _, o in singles])  # in the order of the split
    np.testing.assert_allclose(outputs["last"], [o["last"][0] for _, o in singles], rtol=1e-5, atol=1e-7)
    assert outputs["each"].shape == (30, 7)  # padded to the longest
    for row, (_, output) in zip(outputs["each"], singles, strict=True):
        np.testing.assert_allclose(row[: output["each"].shape[1]], output["each"][0], rtol=1e-5, atol=1e-7)
        assert not row[output["each"].shape[1] :].any()


@pytest.mark.parametrize("tokens", [0, 15])
def test_the_gradient_of_an_epoch_is_that_of_every_example_by_itself(tokens):
    made = chosen(tokens=tokens)
    stream, objective = made.streams()["train"], made.task.objectives["read"]
    params = jax.tree.map(lambda x: x[0], jax.device_get(made.initial_state().params))
    gradient = jax.jit(jax.value_and_grad(lambda p, batch: objective.loss(p, {}, batch, jax.random.key(0))[0], has_aux=True))

    def of(batches):
        found = [gradient(params, batch) for batch in batches]
        (total, count), slopes = jax.tree.map(lambda *leaves: np.sum(np.float64(leaves), axis=0), *found)
        return total / count, jax.tree.map(lambda g: g / count, slopes)

    def step(number):
        read = read_block(stream, made.mesh, number, 1, 1)
        return stream.prepare({}, jax.random.key(0), {k: v[0, 0] for k, v in read.items() if k != "step"})

    source = made.dataset.splits["train"]
    mask = {"mask": jnp.ones(1, bool)}
    sizes = [int(n) for n in source.ragged["tokens"].sizes]
    alone = [{**source.gather(np.array([i]), {"tokens": n}), **mask} for i, n in enumerate(sizes)]
    whole = {**source.gather(np.arange(30)), "mask": jnp.ones(30, bool)}
    expected = of(alone)
    for found in (of(step(n) for n in range(made.examples() // made.config.batch_size)), of([whole])):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), found[1], expected[1])


def test_explained_are_the_batches_that_there_are():
    """One and the same net costs in proportion to the symbols of a batch, but for what its loss and update take."""
    made = [chosen(tokens=tokens) for tokens in (0, 15)]
    orders = [buckets.order(each.dataset.splits["train"], 6, each.config.dataset.to_dict()) for each in made]
    plain, found = [explain(each).phases[0] for each in made]
    assert [order.sizes for order in orders] == [(6, 6, 6), (5, 3, 2)] and found.shapes == plain.shapes == 3
    assert [phase.examples for phase in (plain, found)] == [30 / order.steps for order in orders] == [5.0, 2.5]
    assert 1.5 * found.flops_per_step < plain.flops_per_step
    fixed = explain(experiment("classifier")).phases[0]
    assert (fixed.examples, fixed.shapes) == (16, 1)


def test_a_dispatch_is_of_one_bucket_and_the_same_wherever_one_begins():
    made = chosen(steps=60, log_every=10, checkpoint_every=0)
    fed = feeds(made.task.phases, made.streams(), made.mesh, 4)
    found = list(blocks(made.task.phases, 4, made.intervals(), 0, [fed[0].bucket]))
    assert [b.start for b in found[1:]] == [b.end for b in found[:-1]]
    assert all(len({fed[0].bucket(step) for step in range(b.start, b.end)}) == 1 for b in found)
    assert len(found) < 60
    when = made.intervals()
    for first, second in pairwise(found):
        due = first.end % 4 == 0 or any(i.due(first.end) for i in when)
        assert due or fed[0].bucket(first.start) != fed[0].bucket(second.start)
    assert list(blocks(made.task.phases, 4, when, found[5].start, [fed[0].bucket])) == found[5:]


def test_a_stop_at_any_step_changes_nothing(tmp_path):
    changes = {"steps": 14, "steps_per_dispatch": 3, "log_every": 5, "checkpoint_every": 7}
    made = chosen(**changes)
    whole = run(made, tmp_path / "whole")
    fed = feeds(made.task.phases, made.streams(), made.mesh, 3)
    ends = [block.end for block in blocks(made.task.phases, 3, made.intervals(), 0, [fed[0].bucket])]
    assert len(ends) > 7
    for at in ends[:-1]:
        stopped = run(chosen(**changes), tmp_path / "stopped", Terminate(at))
        assert stopped.step == at and stopped.stopped_by == "SIGTERM"
    ended = run(chosen(**changes), tmp_path / "stopped")
    assert ended.finished and hashes(ended) == hashes(whole)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


def test_each_bucket_is_one_program_whatever_the_intervals(tmp_path, monkeypatch):
    from jax._src import compiler

    made: list[str] = []
    compile_one = compiler.compile_or_get_cached

    def counted(backend, module, *args, **kwargs):
        made.append(str(module.operation.attributes["sym_name"]).strip('"'))
        return compile_one(backend, module, *args, **kwargs)

    monkeypatch.setattr(compiler, "compile_or_get_cached", counted)
    run(chosen(steps=31, steps_per_dispatch=4, log_every=3, eval_every=5, checkpoint_every=7), tmp_path / "run")
    # The initial state, the phase in three buckets, the norms of the parameters; the evaluator in three buckets.
    assert {name: made.count(name) for name in ("jit_local", "jit_numbered")} == {"jit_local": 5, "jit_numbered": 3}


@pytest.mark.parametrize("tokens", [0, 15])  # six sentences, or 5, 3 and 2, on eight devices
def test_eight_devices_are_one(tokens, tmp_path):
    one = run(chosen(tokens=tokens), tmp_path / "one")
    eight = run(chosen(8, tokens=tokens), tmp_path / "eight")
    for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(eight.state.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)
    np.testing.assert_allclose(curve(tmp_path / "one", "next"), curve(tmp_path / "eight", "next"), rtol=2e-5)


def test_microbatches_are_the_whole_batch(tmp_path):
    run(chosen(steps=6), tmp_path / "one")
    run(chosen(steps=6, microbatches=4), tmp_path / "four")  # six sentences in eight rows
    np.testing.assert_allclose(curve(tmp_path / "one", "next"), curve(tmp_path / "four", "next"), rtol=2e-5)


def test_replicas_are_the_single_runs(tmp_path):
    together = run(chosen(replicas=2, seed=7), tmp_path / "run")
    for r in range(2):
        single = run(chosen(seed=7 + r), tmp_path / str(r))
        np.testing.assert_allclose(curve(tmp_path / "run", "next")[:, r], curve(tmp_path / str(r), "next")[:, 0], rtol=2e-5)
        for name, values in single.evaluated["test"].metrics.items():
            np.testing.assert_allclose(together.evaluated["test"].metrics[name][r], values[0], rtol=1e-4)
