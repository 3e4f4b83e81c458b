"""The language model: its loss and metrics, the state carried from window to window, learning, meshes, text made from it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs.tiny_shakespeare_lstm import get_config
from dl.errors import UserError
from dl.evaluation.sampling import choose
from dl.generation.language_model import generate
from dl.models.build import build
from dl.tasks import language_model
from dl.training.assembly import assemble
from dl.training.evaluate import Evaluations
from dl.training.loop import train
from dl.training.progress import Progress
from dl.vocabulary import Vocabulary

KEY = jax.random.key(0)


def settings(**rest):
    config = get_config("smoke")
    config.update(steps=12, steps_per_dispatch=4, log_every=4, eval_every=0, checkpoint_every=0)
    config.model.update(hidden=16, embedding=8, dropout=0.0)
    config.mesh.data = 1
    config.update_from_flattened_dict(rest)
    return config


def run(config, folder):
    folder.mkdir()
    return train(assemble(config), folder, Progress(config.steps, enabled=False))


def first_replica(tree):
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[0]), tree)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = settings(replicas=2)
    return assemble(config), run(config, tmp_path_factory.mktemp("lm") / "run")


def test_windows_with_the_carry_are_the_text_read_in_one_go():
    """With the learning rate at almost nothing, the losses of an epoch's windows are those of each row read without a break."""
    config = settings(steps=5, steps_per_dispatch=1)
    config.dataset.shift = False
    config.optimizer = ConfigDict({"name": "sgd", "learning_rate": 1e-12})
    experiment = assemble(config)
    state = experiment.initial_state()
    params, variables = first_replica((state.params, state.variables))
    batches = experiment.streams()["train"].reads[0](0, 5, np.arange(8))
    model = build(config, num_classes=len(experiment.dataset.info.features["token"].vocabulary))
    whole = np.concatenate([batches["tokens"][0, :, :1], *(t[:, 1:] for t in batches["tokens"])], axis=1).astype(np.int32)
    expected = language_model.row_losses(model, params["model"], jnp.asarray(whole)).reshape(8, 5, 16).mean((0, 2))
    objective = experiment.task.objectives["predict"]
    for step in range(5):
        batch = {name: jnp.asarray(values[step]) for name, values in batches.items()}
        loss, (variables, metrics) = objective.value(params, variables, batch, KEY)
        np.testing.assert_allclose(loss, expected[step], rtol=1e-5)
        np.testing.assert_allclose(metrics["bits"][0] / metrics["bits"][1], expected[step] / np.log(2), rtol=1e-5)
    again = {name: jnp.asarray(values[0]) for name, values in batches.items()}
    assert bool(again["reset"].all())
    np.testing.assert_allclose(objective.value(params, variables, again, KEY)[0], expected[0], rtol=1e-5)  # a new epoch
    again["reset"] = jnp.zeros(8, bool)
    assert abs(float(objective.value(params, variables, again, KEY)[0]) - expected[0]) > 1e-6


def test_no_gradient_passes_from_window_to_window(trained):
    experiment, done = trained
    params, variables = first_replica((done.state.params, done.state.variables))
    batch = {k: jnp.asarray(v[0]) for k, v in experiment.streams()["train"].reads[0](1, 1, np.arange(8)).items()}

    def last_state(params):
        return sum(
            jnp.sum(s)
            for s in jax.tree.leaves(experiment.task.objectives["predict"].value(params, variables, batch, KEY)[1][0])
        )

    assert all(float(jnp.abs(g).max()) == 0 for g in jax.tree.leaves(jax.grad(last_state)(params)))


def test_evaluation_counts_every_symbol_once_whatever_the_rows_and_batches(trained):
    experiment, done = trained
    params = first_replica(done.state.params)["model"]
    tokens = jnp.asarray(experiment.dataset.splits["test"].features["token"], jnp.int32)
    model = build(experiment.config, num_classes=len(experiment.dataset.info.features["token"].vocabulary))
    logits, _ = model.apply({"params": params}, tokens[None, :-1])
    exact = float(language_model.symbol_losses(logits, tokens[None, 1:]).mean())
    for count, context, batch_size in ((1, 0, 10), (5, 10**6, 2), (3, 10**6, 10)):  # with all of the past every row is exact
        config = settings(replicas=2, eval_batch_size=batch_size)
        config.dataset.update(eval_rows=count, eval_context=context)
        other = assemble(config)
        result = Evaluations(other)(done.state, "test")
        np.testing.assert_allclose(result.metrics["loss"][0], exact, rtol=1e-5)
        np.testing.assert_allclose(result.metrics["bits"][0], exact / np.log(2), rtol=1e-5)
        np.testing.assert_allclose(result.metrics["perplexity"][0], np.exp(exact), rtol=1e-5)
        assert sum(int(rows.sum()) for rows in result.outputs[0]["counted"]) == len(tokens) - 1


@pytest.mark.parametrize("length", [129, 301])
def test_rows_longer_than_a_chunk_are_read_in_one_go(length):
    """The losses of a row read in chunks of 128 predictions are those of the row read without a break."""
    model = language_model.RecurrentLM(5, hidden=4, layers=1)

    @jax.jit
    def both(tokens):
        params = jax.tree.map(lambda p: 3 * p, model.start(KEY))  # so that the past matters
        logits, _ = model.apply({"params": params}, tokens[:, :-1])
        return language_model.row_losses(model, params, tokens), language_model.symbol_losses(logits, tokens[:, 1:])

    ours, expected = both(jax.random.randint(KEY, (2, length), 0, 5))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_what_is_minimised_is_the_mean_or_the_sum_over_a_window_with_dropout():
    model, symbols = language_model.RecurrentLM(5, hidden=8, layers=1, dropout=0.5), Vocabulary("abcde")
    batch = {"tokens": jax.random.randint(KEY, (3, 8), 0, 5), "row": jnp.arange(3), "reset": jnp.ones(3, bool)}
    learners = (language_model.LanguageModel(model, symbols, 3, language_model.Settings(summed=s)) for s in (False, True))
    averaged, summed = (learner.task(optax.sgd(0.1), 1).objectives["predict"].value for learner in learners)

    @jax.jit
    def values(batch):
        params, carry = model.start(KEY), model.initial_carry(3)
        given = {"model": params}, {"carry": carry}, batch
        logits, _ = model.apply({"params": params}, batch["tokens"][:, :-1])
        dropped = [averaged(*given, jax.random.key(1))[0], averaged(*given, jax.random.key(2))[0]]
        return (
            *dropped,
            summed(*given, jax.random.key(1))[0],
            language_model.symbol_losses(logits, batch["tokens"][:, 1:]).mean(),
        )

    one, other, total, plain = (float(value) for value in values(batch))
    assert total == pytest.approx(7 * one, rel=1e-5)  # a window of 7 predictions
    assert len({round(value, 5) for value in (one, other, plain)}) == 3  # another key drops other units


def test_states_are_put_where_their_rows_are():
    """Rows 3 and 1 of a text of four; as many rows as the text has are all of them, in order."""
    text = {"state": jnp.arange(8.0).reshape(4, 2)}
    np.testing.assert_array_equal(language_model.pick_rows(text, jnp.array([3, 1]))["state"], [[6, 7], [2, 3]])
    new = {"state": jnp.full((2, 2), 9.0)}
    put = language_model.put_rows(text, jnp.array([3, 1]), new)["state"]
    np.testing.assert_array_equal(put, [[0, 1], [9, 9], [4, 5], [9, 9]])


@pytest.mark.parametrize(
    "change", [{"microbatches": 2}, {"mesh.data": 8}, {"mesh.data": 2, "mesh.fsdp": 2}, {"replicate": "vmap"}]
)
def test_the_mesh_and_microbatches_do_not_matter(change, trained, tmp_path):
    _, done = trained
    other = run(settings(replicas=2, **change), tmp_path / "run")
    for name in ("params", "variables"):
        for ours, theirs in zip(
            jax.tree.leaves(getattr(other.state, name)), jax.tree.leaves(getattr(done.state, name)), strict=True
        ):
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=2e-4)


def test_it_learns_a_text_that_repeats(tmp_path):
    path = tmp_path / "abc.txt"
    path.write_text("to be or not " * 200)
    config = settings(steps=300, steps_per_dispatch=20, log_every=60)
    config.dataset.update(name="text", path=str(path), eval_rows=1)
    config.optimizer.learning_rate = 1e-2
    done = run(config, tmp_path / "run")
    assert done.evaluated["test"].metrics["loss"][0] < 0.1
    made = generate(assemble(config), first_replica(done.state.params), {}, KEY, prompt="or not to", length=26, temperature=0.0)
    assert made["sample 1"].text == "or not to be or not to be or not to"


def test_samples_are_the_same_for_the_same_seed_and_do_not_depend_on_their_number(trained):
    experiment, done = trained
    params = first_replica(done.state.params)

    def texts(seed=1, **rest):
        made = generate(experiment, params, {}, jax.random.key(seed), prompt="Thou", length=30, **rest)
        return [artifact.text for artifact in made.values()]

    three = texts(samples=3)
    assert three == texts(samples=3) and three[:2] == texts(samples=2)
    assert len(set(three)) == 3 and three != texts(seed=2, samples=3)
    assert all(text.startswith("Thou") and len(text) == 34 for text in three)
    assert texts(temperature=0.0) == texts(seed=2, top_k=1) == texts(samples=2, temperature=0.0)[1:]


def test_bad_requests_are_one_line(trained):
    experiment, done = trained
    params = first_replica(done.state.params)
    with pytest.raises(UserError, match="a character that the model has never seen: '€'"):
        generate(experiment, params, {}, KEY, prompt="10 €".replace("10 ", ""))
    with pytest.raises(UserError, match="--temperature must be 0 or above"):
        generate(experiment, params, {}, KEY, temperature=-1.0)
    with pytest.raises(UserError, match="at least 1"):
        generate(experiment, params, {}, KEY, length=0)


def test_draws_follow_temperature_and_top_k():
    logits = jnp.log(jnp.array([0.1, 0.6, 0.25, 0.05]))
    keys = jax.random.split(KEY, 20000)

    def shares(temperature, top_k):
        drawn = jax.vmap(lambda k: choose(k, logits, jnp.float32(temperature), top_k))(keys)
        return np.bincount(np.asarray(drawn), minlength=4) / len(keys)

    np.testing.assert_allclose(shares(1.0, 0), [0.1, 0.6, 0.25, 0.05], atol=0.015)
    np.testing.assert_allclose(shares(1.0, 2), [0, 0.6 / 0.85, 0.25 / 0.85, 0], atol=0.015)
    squared = np.array([0.1, 0.6, 0.25, 0.05]) ** 2
    np.testing.assert_allclose(shares(0.5, 0), squared / squared.sum(), atol=0.015)
    np.testing.assert_array_equal(shares(0.0, 0), [0, 1, 0, 0])


def test_the_report_shows_samples_losses_and_gradients(trained):
    experiment, done = trained
    outputs = done.evaluated["test"].outputs[0]
    params = first_replica(done.state.params)["model"]
    vocabulary = experiment.dataset.info.features["token"].vocabulary
    place = language_model.loss_by_place(outputs["loss"], outputs["counted"]).lines["loss"]
    np.testing.assert_array_equal(place[0], np.arange(len(place[0])))
    np.testing.assert_allclose(place[1][2], outputs["loss"][:, 3:7][outputs["counted"][:, 3:7]].mean())
    table = language_model.loss_by_symbol(outputs["loss"], outputs["counted"], outputs["tokens"][:, 1:], vocabulary, most=99)
    assert sum(row[1] for row in table.rows) == outputs["counted"].sum()
    assert all(a[1] * a[2] >= b[1] * b[2] - 0.1 * b[1] for a, b in itertools.pairwise(table.rows))
    symbols = experiment.dataset.info.features["token"].vocabulary
    reach = language_model.reach(build(experiment.config, num_classes=len(symbols)), params, outputs["tokens"])
    assert np.isfinite(reach).all() and reach[0] > reach[20] > 0


def test_a_published_medium_net_has_its_parameters():
    model = language_model.RecurrentLM(10000, hidden=650, init_scale=0.05)
    shapes = jax.eval_shape(model.start, KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 19_775_200
    small = language_model.RecurrentLM(50, hidden=20, init_scale=0.05).start(KEY)
    for leaf in jax.tree.leaves(small):
        assert 0.04 < np.abs(leaf).max() <= 0.05
    tied = jax.eval_shape(language_model.RecurrentLM(10000, hidden=650, tied=True).start, KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(tied)) == 19_775_200 - 6_500_000
    with pytest.raises(UserError, match="tied weights need an embedding as long"):
        jax.eval_shape(language_model.RecurrentLM(9, hidden=8, embedding=4, tied=True).start, KEY)


def test_other_data_are_refused():
    config = settings()
    config.dataset.update(name="digits", splits={"train": "train", "test": "test"}, batches="examples")
    with pytest.raises(UserError, match="needs a text in windows: the dataset digits has image, label"):
        assemble(config)
