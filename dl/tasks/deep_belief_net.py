"""Deep belief net: each layer is a restricted Boltzmann machine of the code below it (Hinton, Osindero & Teh 2006)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dl import registry
from dl.dataset import Resources
from dl.errors import UserError
from dl.models.autoencoder import Stack
from dl.models.rbm import DeepBeliefNet
from dl.task import Metrics, Pair, Task, Tree, mean
from dl.tasks import boltzmann
from dl.tasks.pretraining import PRETRAINING, build_classifier
from dl.tasks.reconstruction import build_stack, check_pixels


class Settings(NamedTuple):
    """`config.task`.

    pretraining: section `Pretraining` of `dl.tasks.pretraining`.
    finetune: what fine-tuning moves, "all" or "output".
    dropout: share of the pixels dropped in fine-tuning (Srivastava et al. 2014).
    k: number of sweeps of Gibbs sampling in a step (CD-k).
    """

    pretraining: Mapping[str, Any] = PRETRAINING
    finetune: str = "all"
    dropout: float = 0.0
    k: int = 1


@dataclass(frozen=True)
class DivergenceLoss:
    """Each layer as a restricted Boltzmann machine of the code below it, by CD-k."""

    model: Stack
    k: int

    def __call__(self, params: Tree, i: int, below: jax.Array, key: jax.Array) -> tuple[Pair, Metrics]:
        """The loss of layer i."""
        value, _ = boltzmann.divergence(self.model, params, i, below, below, key, self.k)
        reconstruction = mean(boltzmann.one_step(self.model, params, i, below))
        return (value, jnp.float32(1)), {f"layer_{i}_reconstruction": reconstruction}


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """A deep belief net; `config.task` holds what `Settings` lists, `steps` are those of the fine-tuning.

    Raises:
        UserError: another model than a deep belief net, an unknown setting, data without labels, pixels that are not in 0..1.
    """
    settings = registry.read(Settings, "the task deep_belief_net", config.task)
    model = build_stack(config, resources.info)
    if not isinstance(model, DeepBeliefNet):
        raise UserError(f"the task 'deep_belief_net' needs the model of that name, not {config.model.name!r}.")
    check_pixels(config)
    boltzmann.check_sweeps(settings.k)
    return build_classifier(config, resources.info, steps, settings, model, DivergenceLoss(model, settings.k))


PUBLIC = {"deep_belief_net": build}
SETTINGS = {"deep_belief_net": Settings()._asdict()}
