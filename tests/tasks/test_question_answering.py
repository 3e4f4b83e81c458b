"""Questions about stories: the time with empty sentences, the linear start, each task's error, and learning."""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.dataset import Resources
from dl.errors import UserError
from dl.task import Evaluation
from dl.tasks import question_answering as questions
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from tests.conftest import REPOSITORY


def config(variant="smoke", **changes):
    chosen = runpy.run_path(str(REPOSITORY / "configs" / "babi_memory.py"))["get_config"](variant)
    chosen.update(changes)
    return chosen


def built(variant="smoke", steps=40, **settings):
    chosen = config(variant)
    chosen.task.update(settings)
    dataset = load(chosen.dataset)
    return dataset, questions.build(chosen, Resources(dataset.info), steps)


def batch_of(dataset, count=8):
    batch = dataset.splits["train"].gather(np.arange(count) * 3)
    return {**{name: jnp.asarray(values) for name, values in batch.items()}, "mask": jnp.ones(count, bool)}


def test_the_last_sentence_has_the_age_0():
    np.testing.assert_array_equal(questions.ages(jnp.array([3, 1]), 4), [[2, 1, 0, 0], [0, 0, 0, 0]])


def test_empty_sentences_stand_between_the_others_all_orders_as_likely():
    """Of 4 sentences and 0, 1 or 2 empty ones: 1 order, 5 or 15, each number of them in a third of the stories."""
    draw = jax.jit(questions.noisy_ages, static_argnums=(2, 3))
    drawn = np.array(draw(jax.random.key(0), jnp.full(30_000, 4), 5, 0.4))[:, :4]
    assert (np.diff(drawn) <= -1).all() and drawn.min() == 0 and drawn.max() == 5  # the order is kept
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(orders) == 15  # the ages do not say how many empty sentences are older than all others
    share = dict(zip(map(tuple, orders.tolist()), counts / len(drawn), strict=True))
    one, two = 1 / 3 / 5, 1 / 3 / 15
    assert share[3, 2, 1, 0] == pytest.approx(1 / 3 + one + two, abs=0.015)
    assert share[4, 3, 2, 1] == pytest.approx(one + two, abs=0.01)
    assert share[5, 4, 3, 2] == pytest.approx(two, abs=0.006)
    assert share[5, 3, 1, 0] == pytest.approx(two, abs=0.006)


def test_no_noise_in_short_stories_of_share_0():
    length = jnp.array([5, 2])
    np.testing.assert_array_equal(questions.noisy_ages(jax.random.key(0), length, 5, 0.0), questions.ages(length, 5))


def test_the_linear_start_is_a_phase_of_its_own_at_the_first_rate():
    _, task = built(linear_start=0.25)
    assert [(phase.steps, phase.objectives) for phase in task.phases] == [(10, ("linear",)), (30, ("answer",))]
    _, task = built(linear_start=7.0)
    assert [phase.steps for phase in task.phases] == [7, 33]
    _, task = built(linear_start=0.0)
    assert [(phase.steps, phase.objectives) for phase in task.phases] == [(40, ("answer",))]


def test_the_linear_loss_is_without_a_softmax_and_the_other_with():
    dataset, task = built(linear_start=0.5, time_noise=0.0)
    params, variables = jax.jit(task.init)(jax.random.key(0))
    params = jax.tree.map(lambda p: 6 * p, params)  # at first both are nearly the same
    batch = batch_of(dataset)
    values = {
        name: float(jax.jit(o.value)(params, variables, batch, jax.random.key(1))[0]) for name, o in task.objectives.items()
    }
    sums, _ = jax.jit(task.evaluators["answers"].step)(params, variables, batch, jax.random.key(2))
    total, count = sums["loss"]
    assert values["answer"] == pytest.approx(float(total / count), rel=1e-5)
    assert abs(values["linear"] - values["answer"]) > 0.05


def test_the_published_clipping_and_rate_are_of_the_summed_loss():
    """-rate * min(1, 40 / |G|) * G of the sum's gradient G is what the config does with that of the mean."""
    chosen = config("")
    batch, gradient = chosen.batch_size, np.array([3.0, 4.0])  # of the mean: 5 long, 160 long of the sum
    clipped = gradient * min(1, chosen.optimizer.clip_norm / np.linalg.norm(gradient)) * chosen.optimizer.learning_rate
    summed = gradient * batch
    np.testing.assert_allclose(clipped, 0.005 * summed * min(1, 40 / np.linalg.norm(summed)), rtol=1e-6)


def test_padding_rows_are_not_counted():
    dataset, task = built()
    params, variables = jax.jit(task.init)(jax.random.key(0))
    batch = batch_of(dataset)
    measure = jax.jit(task.evaluators["answers"].step)
    sums, _ = measure(params, variables, batch, jax.random.key(0))
    wrong = {**batch, "answer": batch["answer"].at[4:].set(0), "mask": batch["mask"].at[4:].set(False)}
    half, _ = measure(params, variables, wrong, jax.random.key(0))
    first = {name: values[:4] for name, values in batch.items()}
    expected, _ = measure(params, variables, first, jax.random.key(0))
    assert float(half["loss"][1]) == 4 and float(sums["loss"][1]) == 8
    np.testing.assert_allclose(half["loss"], expected["loss"], rtol=1e-5)


def test_several_tasks_have_an_error_each():
    dataset = load(config().dataset)
    info = dataset.info.changed("task", num_classes=3, class_names=("a", "b", "c"))
    task = questions.build(config(), Resources(info), 40)
    outputs = {"task": np.array([0, 2, 2, 0]), "answer": np.array([1, 1, 1, 1]), "prediction": np.array([1, 1, 0, 1])}
    numbers = task.evaluators["answers"].finish({"loss": (2.0, 4), "error": (1, 4)}, outputs)
    assert numbers == {"loss": 0.5, "error": 0.25, "error/task 1": 0.0, "error/task 3": 0.5}
    assert set(task.evaluators["answers"].metrics) == {"loss", "error", "error/task 1", "error/task 2", "error/task 3"}


def test_the_report_shows_where_an_answer_comes_from():
    dataset, task = built()
    names = dataset.info.features["answer"].vocabulary.names
    source = dataset.splits["test"]
    count = 30
    attention = np.zeros((count, 3, 10), np.float32)
    attention[:, 1, 1] = 0.9
    answer = source.column("answer")[:count]
    outputs = {"answer": answer, "prediction": np.full_like(answer, answer[0]), "losses": np.arange(count, dtype=np.float32)}
    evaluation = Evaluation({**outputs, "attention": attention, "task": answer * 0}, source.gather)
    shown = task.render({}, {}, evaluation, jax.random.key(0))
    (title, first), *_ = shown.items()
    assert title.startswith("attention 1: where is ") and title.endswith(f"? {names[answer[0]]}")
    assert first.columns == ("supports", "hop 1", "hop 2", "hop 3") and first.values[1].tolist() == pytest.approx(
        [*first.values[1][:1], 0, 0.9, 0]
    )
    assert first.values[:, 0].sum() == 1 and first.rows[0].startswith("1. ")
    worst = shown["worst mistakes"].rows[0]
    last = max(i for i in range(count) if answer[i] != answer[0])
    assert worst[1:] == (names[answer[last]], names[answer[0]], float(last))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"linear_start": 40.0}, "fewer than the run's 40"),
        ({"linear_start": 1.5}, "task.linear_start"),
        ({"time_noise": 1.5}, "task.time_noise is a part"),
    ],
)
def test_settings_out_of_range(changes, said):
    with pytest.raises(UserError, match=said):
        built(**changes)


def test_a_story_longer_than_the_memory_is_refused_before_training():
    chosen = config(variant="smoke")
    chosen.model.memory = 8
    with pytest.raises(UserError, match=r"a story has 10 sentences, and the model remembers 8: set model.memory=10"):
        assemble(chosen)


def test_other_data_are_refused():
    from dl.dataset import labelled_images

    with pytest.raises(UserError, match="needs stories with questions, and the dataset digits has image, label: take one"):
        questions.build(config(), Resources(labelled_images("digits", (8, 8, 1), 10)), 4)


def trained(variant, workdir, steps, stories, **changes):
    """The splits after so many steps of Adam."""
    chosen = config(variant, steps=steps, replicas=1, eval_every=0, log_every=100, checkpoint_every=0, steps_per_dispatch=50)
    chosen.dataset.stories = stories
    chosen.mesh.data = 1
    chosen.optimizer = ConfigDict({"name": "adam", "learning_rate": 0.01, "schedule": {"name": "constant"}})
    chosen.model.update(changes)
    workdir.mkdir()
    return chosen, train(assemble(chosen), workdir, Progress(steps, enabled=False)).evaluated


def test_where_people_are_is_learned(workdir):
    """Chance is wrong 5 times in 6. The memory network finds the sentence that says so, which it was never told."""
    chosen, found = trained("smoke", workdir, 500, 200)
    assert found["test"].metrics["error"][0] < 0.1
    fact = load(chosen.dataset).splits["test"].gather(np.arange(1000))["fact"]
    assert (found["test"].outputs[0]["attention"].max(1).argmax(-1) == fact.argmax(-1)).mean() > 0.8


@pytest.mark.slow
def test_the_lstm_learns_stories_by_heart(workdir):
    _, found = trained("lstm_smoke", workdir, 200, 4, hidden=24, embedding=16)
    assert found["training"].metrics["error"][0] < 0.2
