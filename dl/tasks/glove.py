"""GloVe: vectors of words whose products are the logarithms of how often the words stand beside each other
(Pennington, Socher & Manning 2014).

    J = sum over pairs that occur: f(X_ij) (w_i . w~_j + b_i + b~_j - log X_ij)^2     equation 8
    f(x) = (x / x_max)^a where x < x_max, else 1                                      equation 9

Batches hold `first`, `second` and `times` [B, P] (`dl.data.batches.cooccurrences`); `times` is 0 where there is no pair. What
stands for a word is w + w~ (section 4.2).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.data.word_similarity import Benchmarks, benchmarks
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation import word_vector_measures as measures
from dl.models import build as models
from dl.models.word_vectors import GloVe
from dl.task import Batch, Objective, Phase, Task, Tree, mean
from dl.training import optimizers
from dl.vocabulary import Vocabulary


class Settings(NamedTuple):
    """`config.task`.

    most, power: x_max and a of equation 9. benchmarks: names of `dl.data.word_similarity`.
    shown: words whose neighbours the report shows; (): frequent ones. mapped: how many words are on the report's map.
    """

    most: float = 100.0
    power: float = 0.75
    benchmarks: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    mapped: int = 300


def weight(times: Float[Array, "*n"], most: float, power: float) -> Float[Array, "*n"]:
    """F of equation 9."""
    return jnp.minimum(times / most, 1.0) ** power


def weighted_squares(predicted: Float[Array, "*n"], times: Float[Array, "*n"], most: float, power: float) -> Float[Array, "*n"]:
    """The terms of J (equation 8); 0 where `times` is."""
    occurs = times > 0
    log = jnp.log(jnp.where(occurs, times, 1.0))
    return jnp.where(occurs, weight(times, most, power) * jnp.square(predicted - log), 0.0)


@dataclass(frozen=True, eq=False)
class Learner:
    """GloVe of a vocabulary."""

    model: GloVe
    vocabulary: Vocabulary
    settings: Settings
    sets: Benchmarks

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """The tables."""
        nothing = jnp.zeros((1,), jnp.int32)
        return {"model": self.model.init(key, nothing, nothing)["params"]}, {}

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        """The mean term of J."""
        first, second, times = (batch[name].reshape(-1) for name in ("first", "second", "times"))
        predicted: Any = self.model.apply({"params": params["model"]}, first.astype(jnp.int32), second.astype(jnp.int32))
        pair = mean(weighted_squares(predicted, times, self.settings.most, self.settings.power), times > 0)
        return pair, (variables, {"loss": pair})

    def vectors(self, params: Tree, tokens: Int[Array, " b"]) -> Float[Array, "b d"]:
        """What stands for words: w + w~."""
        return params["model"]["input"][tokens] + params["model"]["output"][tokens]

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: one objective, measured on the vectors of all words."""
        measured = measures.Measured(self.vectors, self.vocabulary, self.sets, self.settings.shown, self.settings.mapped)
        objectives = {"fit": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("fit",)),), {"vectors": measured.evaluator()}, measured.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model or setting, a number out of range, or data that are no text in pairs.
    """
    settings = registry.read(Settings, "the task glove", config.task)
    if settings.most <= 0 or settings.power < 0:
        raise UserError(f"task.most={settings.most} must be above 0, and task.power={settings.power} at least 0.")
    vocabulary = measures.vocabulary_of(config, resources, "cooccurrences")
    model = models.build(config, num_classes=len(vocabulary))
    learner = Learner(model, vocabulary, settings, benchmarks(settings.benchmarks, resources.manual_dir))
    return learner.task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"glove": build}
SETTINGS = {"glove": Settings()._asdict()}
WITHOUT_FILES = {"glove": lambda: {"benchmarks": ()}}
