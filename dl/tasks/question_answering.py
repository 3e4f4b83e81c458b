"""Questions about stories, each answered with one symbol (Sukhbaatar, Szlam, Weston & Fergus 2015, section 4).

Batches hold `story` [B, S, words] with `story_length`, `question` [B, words], `answer` [B] and `task` [B] (`dl.data.stories`).
The loss is the cross-entropy of the answer. With `linear_start` the run begins with attention that has no softmax, at the first
learning rate; the schedule is that of the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Matrix, Table
from dl.data.ragged import RaggedArrays
from dl.dataset import Info, Resources, Source
from dl.errors import UserError
from dl.metric import ERROR, LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers

SHOWN, MISTAKES, SENTENCES = 6, 20, 15  # questions with their attention, mistakes, and sentences of a story


class Settings(NamedTuple):
    """`config.task`.

    linear_start: number of steps with attention without a softmax, or, below 1, their share of the run (section 4.2).
    time_noise: share of a story, at most, that is put in as empty sentences in training (section 4.1, "random noise").
    """

    linear_start: float = 0.0
    time_noise: float = 0.0


def ages(length: Int[Array, " b"], size: int) -> Int[Array, "b s"]:
    """How many sentences of its story come after each; 0 beyond its end."""
    return jnp.maximum(length[:, None] - 1 - jnp.arange(size), 0)


def noisy_ages(key: Array, length: Int[Array, " b"], size: int, share: float) -> Int[Array, "b s"]:
    """The ages with empty sentences between the others: 0 to ceil(share * length) of them, all places as likely.

    One after another is put before, between or behind what is there already, so that every order of sentences and empty ones is
    as likely as another.
    """
    count_key, *keys = jax.random.split(key, 1 + int(np.ceil(share * size)))
    most = jnp.ceil(share * length).astype(jnp.int32)
    count = jax.random.randint(count_key, length.shape, 0, most + 1)
    age = ages(length, size)
    for number, place_key in enumerate(keys):
        place = jax.random.randint(place_key, length.shape, 0, length + number + 1)
        age = age + ((age >= place[:, None]) & (number < count)[:, None])
    return age


def answer_losses(scores: Float[Array, "b v"], answer: Int[Array, " b"]) -> Float[Array, " b"]:
    """-log softmax(scores)[answer] (section 2.1)."""
    return optax.softmax_cross_entropy_with_integer_labels(scores, answer)


@dataclass(frozen=True)
class Learner:
    """What a model learns of questions. `model` is called as `dl.models.memory_network.MemoryNetwork`."""

    model: nn.Module
    info: Info
    settings: Settings

    def init(self, key: Array) -> tuple[Tree, Tree]:
        """Parameters by the shapes of the data."""
        words, asked = (self.info.shapes[name][-1] for name in ("story", "question"))
        story, question = jnp.zeros((1, 1, words), jnp.int32), jnp.zeros((1, asked), jnp.int32)
        one = jnp.ones(1, jnp.int32)
        return {"model": self.model.init(key, story, one, question, jnp.zeros((1, 1), jnp.int32))["params"]}, {}

    def answer(self, params: Tree, batch: Batch, age: Array, **how: Any) -> tuple[Array, Array]:
        """Scores [B, V] and attention [B, hops, S]."""
        story, question = batch["story"].astype(jnp.int32), batch["question"].astype(jnp.int32)
        found: Any = self.model.apply({"params": params["model"]}, story, batch["story_length"], question, age, **how)
        return found

    def loss(self, linear: bool, params: Tree, variables: Tree, batch: Batch, key: Array) -> Outcome:
        """Of a training batch."""
        time_key, dropout_key = jax.random.split(key)
        length, size = batch["story_length"], batch["story"].shape[1]
        noise = self.settings.time_noise
        age = noisy_ages(time_key, length, size, noise) if noise else ages(length, size)
        scores, _ = self.answer(params, batch, age, linear=linear, train=True, rngs={"dropout": dropout_key})
        losses = answer_losses(scores, batch["answer"])
        mask = batch.get("mask")
        metrics = {"loss": mean(losses, mask), "error": mean(scores.argmax(-1) != batch["answer"], mask)}
        return metrics["loss"], (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Measurement:
        """Sums of loss and error, and all that the report shows."""
        age = ages(batch["story_length"], batch["story"].shape[1])
        scores, attention = self.answer(params, batch, age)
        losses, prediction = answer_losses(scores, batch["answer"]), scores.argmax(-1).astype(jnp.int32)
        sums = {"loss": mean(losses, batch["mask"]), "error": mean(prediction != batch["answer"], batch["mask"])}
        outputs = {"answer": batch["answer"], "prediction": prediction, "losses": losses, "attention": attention}
        return sums, {**outputs, "task": batch["task"]}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """`loss` and `error`, and where there are several tasks the error of each."""
        numbers, names = means(sums, outputs), self.info.features["task"].class_names
        for number in np.unique(outputs["task"]) if len(names) > 1 else ():
            own = outputs["task"] == number
            numbers[of_task(int(number))] = float((outputs["prediction"] != outputs["answer"])[own].mean())
        return numbers

    def metrics(self) -> dict[str, Metric]:
        """Those that `finish` gives."""
        count = len(self.info.features["task"].class_names)
        return {"loss": LOWER, "error": ERROR} | {of_task(n): ERROR for n in range(count) if count > 1}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: Array) -> dict[str, Artifact]:
        """The attention to the sentences of some stories, and the worst mistakes."""
        vocabulary = self.info.features["answer"].vocabulary
        assert vocabulary is not None
        return artifacts(vocabulary.names, evaluation)

    def check(self, split: str, source: Source) -> None:
        """Checks that a time vector is there for every sentence.

        Raises:
            UserError: a story is longer than the model's memory.
        """
        memory = getattr(self.model, "memory", None)
        if memory is None or not isinstance(source, RaggedArrays):
            return
        longest = int(source.ragged["story"].sizes.max(initial=0))
        if longest > memory:
            raise UserError(
                f"split {split!r}: a story has {longest} sentences, and the model remembers {memory}: set "
                f"model.memory={longest}, or dataset.memory={memory} to keep the last ones."
            )

    def task(self, section: ConfigDict, steps: int) -> Task:
        """The phases: the linear start, where there is one, and the rest, each with an optimizer of its own."""
        start = self.settings.linear_start
        linear = round(start * steps) if start < 1 else int(start)
        plain = section.copy_and_resolve_references()
        with plain.unlocked():
            plain.schedule = ConfigDict({"name": "constant"})
        objectives, phases = {}, []
        if linear:
            objectives["linear"] = Objective(
                lambda *given: self.loss(True, *given), ("model",), optimizers.build(plain, linear)
            )
            phases.append(Phase(linear, ("linear",)))
        rest = optimizers.build(section, steps - linear)
        objectives["answer"] = Objective(lambda *given: self.loss(False, *given), ("model",), rest)
        phases.append(Phase(steps - linear, ("answer",)))
        evaluators = {"answers": Evaluator(self.evaluate, self.metrics(), self.finish)}
        return Task(self.init, objectives, tuple(phases), evaluators, self.render, self.check)


def of_task(number: int) -> str:
    """The metric of one task among several, counted from 0."""
    return f"error/task {number + 1}"


def artifacts(names: Sequence[str], evaluation: Evaluation) -> dict[str, Artifact]:
    """What a split shows: where the answers of the first few stories come from, and the mistakes that cost most."""
    out = evaluation.outputs
    wrong = np.flatnonzero(out["prediction"] != out["answer"])
    worst = wrong[np.argsort(-out["losses"][wrong], kind="stable")][:MISTAKES]
    shown: dict[str, Artifact] = {}
    if out["attention"].shape[1]:
        of_each_story = np.linspace(0, len(out["answer"]) - 1, min(SHOWN, len(out["answer"]))).astype(int)
        examples = evaluation.examples(of_each_story)
        for row, index in enumerate(of_each_story):
            example = {name: values[row] for name, values in examples.items()}
            said = f"{sentence(names, example['question'])}? {names[out['answer'][index]]}"
            said += "" if out["answer"][index] == out["prediction"][index] else f" (said: {names[out['prediction'][index]]})"
            shown[f"attention {row + 1}: {said}"] = attention_map(names, example, out["attention"][index])
    if len(worst):
        asked = [sentence(names, question) for question in evaluation.examples(worst)["question"]]
        rows = [
            (f"{question}?", names[out["answer"][i]], names[out["prediction"][i]], round(float(out["losses"][i]), 2))
            for question, i in zip(asked, worst, strict=True)
        ]
        shown["worst mistakes"] = Table(("question", "answer", "said", "loss"), rows)
    return shown


def sentence(names: Sequence[str], words: np.ndarray) -> str:
    """The words of a padded sentence."""
    return " ".join(names[word] for word in words if word)


def attention_map(names: Sequence[str], example: Mapping[str, np.ndarray], attention: np.ndarray) -> Matrix:
    """Sentences against hops; first of all whether a sentence supports the answer. Of long stories the most attended ones."""
    count = int(example["story_length"])
    most = np.sort(np.argsort(-attention[:, :count].max(0), kind="stable")[:SENTENCES])
    rows = [f"{place + 1}. {sentence(names, example['story'][place])}" for place in most]
    values = np.concatenate([example["fact"][None, most].astype(np.float32), np.round(attention[:, most], 2)]).T
    columns = ("supports", *(f"hop {hop + 1}" for hop in range(len(attention))))
    return Matrix(values, rows, columns, "sentence", "attention")


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model or setting, a number out of range, or data without stories and questions.
    """
    info = resources.info
    if not {"story", "question", "answer"} <= set(info.shapes) or info.features["answer"].vocabulary is None:
        raise UserError(
            f"question answering needs stories with questions, and the dataset {info.name} has {', '.join(info.shapes)}: "
            "take one such as 'babi'."
        )
    settings = registry.read(Settings, "the task question_answering", config.task)
    if not 0 <= settings.linear_start < steps or (settings.linear_start >= 1 and settings.linear_start % 1):
        raise UserError(
            f"task.linear_start must be a number of steps, fewer than the run's {steps:,}, or a part of them below 1, not "
            f"{settings.linear_start:g}."
        )
    if not 0 <= settings.time_noise <= 1:
        raise UserError(f"task.time_noise is a part of the sentences, 0 to 1, not {settings.time_noise:g}.")
    model = models.build(config, num_classes=len(info.features["answer"].vocabulary))
    return Learner(model, info, settings).task(config.optimizer, steps)


PUBLIC = {"question_answering": build}
SETTINGS = {"question_answering": Settings()._asdict()}
