"""Words from the states that a network gives frames: the hybrid of a hidden Markov model and a network, beside the mixtures.

The network's p(state | frame) over the state's share of the training frames is a scaled likelihood (Bourlard & Morgan 1994;
Dahl, Yu, Deng & Acero 2012, eq. 9); the models' transitions stay.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl.data.pipeline import standardise
from dl.data.sound import word_models
from dl.data.sources import fsdd_states
from dl.errors import UserError
from dl.task import Tree
from dl.tasks.pretraining import Output
from dl.tasks.reconstruction import build_stack
from dl.training.assembly import Experiment

AT_ONCE = 128  # frames; most digits have fewer


class Compared(NamedTuple):
    """Share of the utterances whose word is wrong, with mixtures and with the network, and of `utterances` how many."""

    mixtures: float
    network: float
    utterances: int

    @property
    def change(self) -> float:
        """The network's error less that of the mixtures, over the latter; negative is better."""
        return (self.network - self.mixtures) / self.mixtures if self.mixtures else 0.0


def compare(experiment: Experiment, params: Tree, manual_dir: str | None, split: str = "test") -> Compared:
    """Both systems on a split of the dataset.

    Args:
        experiment: a run on the dataset `fsdd_states`.
        params: of one replica.
        manual_dir: of the archives.
        split: `test` or `train`.

    Raises:
        UserError: a run on other data.
    """
    config, info = experiment.config, experiment.dataset.info
    if config.dataset.name != "fsdd_states":
        raise UserError(f"this run learned from {config.dataset.name!r}: train configs/fsdd_hybrid.py.")
    found = fsdd_states.prepare(config.dataset, manual_dir, ["train", split])
    states = np.concatenate(found.splits["train"].states)
    prior = np.log((np.bincount(states, minlength=info.num_classes) + 1) / (len(states) + info.num_classes))
    model, output = build_stack(config, info), Output(info.num_classes)

    @jax.jit
    def log_posterior(images: jax.Array) -> jax.Array:
        x = standardise({"image": images}, info.features, config.dataset.to_dict())["image"]
        code = model.apply({"params": params}, x, method="encode")
        scores: Any = output.apply({"params": params["output"]}, code)
        return jax.nn.log_softmax(scores)

    aligned = found.splits[split]
    wrong = [0, 0]
    for frames, digit in zip(aligned.frames, aligned.digits, strict=True):
        images = fsdd_states.squashed(word_models.windows(frames, found.context))
        padded = np.pad(images, ((0, -len(images) % AT_ONCE), (0, 0), (0, 0), (0, 0)))
        parts = [np.asarray(log_posterior(jnp.asarray(p))) for p in padded.reshape(-1, AT_ONCE, *images.shape[1:])]
        scores = np.concatenate(parts)[: len(frames)] - prior
        wrong[0] += word_models.recognise(found.models, frames) != digit
        wrong[1] += word_models.recognise_by_scores(found.models, scores) != digit
    count = len(aligned.frames)
    return Compared(wrong[0] / count, wrong[1] / count, count)
