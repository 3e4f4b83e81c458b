"""Stacked denoising autoencoder: each layer learns to reconstruct the code below it (Vincent et al. 2010, section 3.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dl import registry
from dl.dataset import Resources
from dl.errors import UserError
from dl.layers.corruption import Corruption, corruption
from dl.models.autoencoder import Stack
from dl.task import Metrics, Pair, Task, Tree, mean
from dl.tasks.pretraining import PRETRAINING, build_classifier
from dl.tasks.reconstruction import NOISE, Loss, build_stack, check_weights, find_loss


class Settings(NamedTuple):
    """`config.task`.

    pretraining: section `Pretraining` of `dl.tasks.pretraining`.
    finetune: what fine-tuning moves, "all" or "output".
    dropout: share of the pixels dropped in fine-tuning (Srivastava et al. 2014).
    loss: name of the loss of the reconstruction, see `dl.tasks.reconstruction`.
    noise: name and amount of the corruption; one amount for all layers, or one for each.
    contraction: weight of the contractive penalty.
    """

    pretraining: Mapping[str, Any] = PRETRAINING
    finetune: str = "all"
    dropout: float = 0.0
    loss: str = "squared_error"
    noise: Mapping[str, Any] = NOISE
    contraction: float = 0.0


@dataclass(frozen=True)
class AutoencoderLoss:
    """Each layer as a denoising, and where asked for contractive, autoencoder of the code below it."""

    model: Stack
    loss: Loss
    corrupts: Sequence[Corruption | None]  # one for each layer
    contraction: float = 0.0

    def __call__(self, params: Tree, i: int, below: jax.Array, key: jax.Array) -> tuple[Pair, Metrics]:
        """The loss of layer i."""
        corrupt = self.corrupts[i]
        seen = corrupt(key, below) if corrupt else below
        code: Any = self.model.apply({"params": params}, seen, i, i + 1, method="encode")
        net: Any = self.model.apply({"params": params}, code, i, i + 1, method="decode")
        losses = self.loss(self.model, i, net, below)
        metrics = {f"layer_{i}_reconstruction": mean(losses)}
        if self.contraction:
            penalty: Any = self.model.apply({"params": params}, below, i, i + 1, method="contraction")
            metrics[f"layer_{i}_contraction"] = mean(penalty)
            losses = losses + self.contraction * penalty
        return mean(losses), metrics


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """A stacked autoencoder; `config.task` holds what `Settings` lists, `steps` are those of the fine-tuning.

    Raises:
        UserError: an unknown model, loss, noise or setting, as many amounts as there are no layers, data without labels.
    """
    settings = registry.read(Settings, "the task stacked_autoencoder", config.task)
    check_weights(contraction=settings.contraction)
    model = build_stack(config, resources.info)
    image = jnp.zeros((1, *resources.info.shapes["image"]))
    layers = len(jax.eval_shape(lambda key: model.init(key, image), jax.random.key(0))["params"])
    amount = settings.noise.get("amount", 0.0)
    amounts = list(amount) if isinstance(amount, tuple | list) else [amount] * layers
    if len(amounts) != layers:
        raise UserError(f"task.noise.amount gives {len(amounts)} numbers for {layers} layers: give one, or one each.")
    corrupts = [corruption({**settings.noise, "amount": a}) for a in amounts]
    loss = AutoencoderLoss(model, find_loss(settings.loss, model, config, layers), corrupts, settings.contraction)
    return build_classifier(config, resources.info, steps, settings, model, loss, corrupts[0])


PUBLIC = {"stacked_autoencoder": build}
SETTINGS = {"stacked_autoencoder": Settings()._asdict()}
