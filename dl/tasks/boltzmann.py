"""A restricted Boltzmann machine, by contrastive divergence (Hinton 2002) or persistent chains (Tieleman 2008).

The gradient of -log p(v) is that of F(v) minus its mean over the model's own v (Hinton 2010, eq. 5). So both ways take the
gradient of

    mean F(v) - mean F(v'),    v' a constant: the end of a Gibbs chain of k sweeps,

a chain that starts at the data (CD-k) or, persistent, where it ended in the step before; then it lies in
`variables["chains"]`. Batches hold `image` [B, H, W, C] in 0..1, grey values being probabilities.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images
from dl.dataset import Info, Resources
from dl.errors import UserError
from dl.evaluation.embedding import chosen, embeddings
from dl.evaluation.filters import first_layer_filters
from dl.metric import HIGHER, LOWER
from dl.models.autoencoder import Stack
from dl.models.rbm import DeepBeliefNet
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean
from dl.tasks.reconstruction import EXAMINED, SHOWN, build_stack, check_pixels, coder, cross_entropy, reconstructions
from dl.training import optimizers

SWEEPS = (1, 10, 100, 1000)  # of Gibbs sampling, after which samples are shown


class Settings(NamedTuple):
    """`config.task`.

    k: number of sweeps of Gibbs sampling in a step.
    chains: number of persistent chains; 0 starts the chains at the data (CD-k).
    """

    k: int = 1
    chains: int = 0


def divergence(
    model: Stack, params: Tree, i: int, v: Float[Array, "b ..."], start: Float[Array, "n ..."], key: Key[Array, ""], k: int
) -> tuple[Float[Array, ""], Float[Array, "n ..."]]:
    """The mean of F(v) minus that of F(v'), of machine i, whose gradient is that of contrastive divergence, and v'.

    Args:
        model: a deep belief net.
        params: parameter groups of the net.
        i: index of the machine.
        v: visible units that are to become likely.
        start: visible units at the start of each chain.
        key: random key of the chains.
        k: number of sweeps of Gibbs sampling.
    """

    def machine(method: str, *args: Any) -> Any:
        return model.apply({"params": params}, i, method, *args, method="at")

    end = jax.lax.stop_gradient(machine("gibbs", start, key, k))
    return machine("free_energy", v).mean() - machine("free_energy", end).mean(), end


def one_step(model: Stack, params: Tree, i: int, v: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """The cross-entropy of v and what comes back from its hidden probabilities: cheap to watch, though no CD minimises it."""
    code = model.apply({"params": params}, v, i, i + 1, method="encode")
    return cross_entropy(model, i, model.apply({"params": params}, code, i, i + 1, method="decode"), v)  # type: ignore[arg-type]


def pseudo_likelihood(model: Stack, params: Tree, v: Float[Array, "b ..."], key: Key[Array, ""]) -> Float[Array, " b"]:
    """Of n pixels: n log p(v_i | all others) in nats, for one pixel i drawn for each example, grey ones rounded.

    Its mean over i is the log pseudo-likelihood (Besag 1975); p(v_i | others) = logistic(F(v with pixel i flipped) - F(v)).
    """
    flat = jnp.round(v.reshape(len(v), -1))
    i = jax.random.randint(key, (len(flat), 1), 0, flat.shape[1])
    flipped = jnp.where(jnp.arange(flat.shape[1]) == i, 1 - flat, flat)
    energies: Any = [model.apply({"params": params}, 0, "free_energy", x, method="at") for x in (flat, flipped)]
    return flat.shape[1] * jax.nn.log_sigmoid(energies[1] - energies[0])


@dataclass(frozen=True)
class RestrictedBoltzmannMachine:
    """One machine, the parameter group `layer_0`.

    model: deep belief net of one layer.
    info: description of the data.
    settings: sweeps and chains.
    """

    model: DeepBeliefNet
    info: Info
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the machine, and where the persistent chains begin."""
        shape, chains = self.info.shapes["image"], self.settings.chains
        init_key, chain_key = jax.random.split(key)
        variables = {"chains": jax.random.bernoulli(chain_key, 0.5, (chains, *shape)).astype(jnp.float32)} if chains else {}
        return dict(self.model.init(init_key, jnp.zeros((1, *shape)))["params"]), variables

    def contrast(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The difference of free energies whose gradient is that of contrastive divergence."""
        v = batch["image"]
        value, end = divergence(self.model, params, 0, v, variables.get("chains", v), key, self.settings.k)
        metrics = {"free_energy_gap": mean(value[None]), "reconstruction": mean(one_step(self.model, params, 0, v))}
        return (value, jnp.float32(1)), ({"chains": end} if self.settings.chains else variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The cross-entropy of one-step reconstructions, and the pseudo-likelihood."""
        v, mask = batch["image"], batch["mask"]
        losses = one_step(self.model, params, 0, v)
        likelihood = pseudo_likelihood(self.model, params, v, key)
        return {"reconstruction": mean(losses, mask), "pseudo_likelihood": mean(likelihood, mask)}, {"reconstruction": losses}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `artifacts`."""
        return artifacts(self.model, self.info, params, evaluation, key)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        objectives = {"contrast": Objective(self.contrast, ("layer_0",), optimizer)}
        evaluators = {"likelihood": Evaluator(self.evaluate, {"reconstruction": LOWER, "pseudo_likelihood": HIGHER})}
        return Task(self.init, objectives, (Phase(steps, ("contrast",)),), evaluators, self.render)


def artifacts(model: DeepBeliefNet, info: Info, params: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
    """Reconstructions, samples of chains that start at the data, filters, and the hidden probabilities in the plane."""
    encode, decode = coder(model, params)
    batch = evaluation.examples(chosen(len(evaluation.outputs["reconstruction"]), EXAMINED))
    images = batch["image"]
    shown: dict[str, Artifact] = {"reconstructions": reconstructions(images[:SHOWN], encode, decode, key, None)}
    shown["samples"] = samples(model, params, images[:SHOWN], key)
    filters = first_layer_filters(params, info.shapes["image"])
    if filters is not None:
        shown["first-layer filters"] = filters
    labels = batch.get("label", np.zeros(len(images), np.int32))
    return shown | embeddings(encode(images), labels, info.class_names)


def samples(model: DeepBeliefNet, params: Tree, v: np.ndarray, key: jax.Array) -> Images:
    """The probabilities of the pixels after more and more sweeps, a row each, of chains that start at `v`."""
    encode, decode = coder(model, params)
    rows = []
    for sweeps in SWEEPS:
        end: Any = model.apply({"params": params}, 0, "gibbs", jnp.asarray(v), key, sweeps, method="at")
        rows.append(decode(encode(np.asarray(end))))
    captions = [f"after {sweeps} sweeps" for sweeps in SWEEPS for _ in range(len(v))]
    return Images(np.concatenate(rows), captions, columns=len(v))


def check_sweeps(k: int) -> None:
    """Raises UserError where the setting `k` of `config.task` is below 1."""
    if k < 1:
        raise UserError(f"task.k, the sweeps of contrastive divergence, must be a whole number above 0, not {k!r}.")


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: another model than a deep belief net of one layer, an unknown setting, or pixels that are not in 0..1.
    """
    settings = registry.read(Settings, "the task restricted_boltzmann_machine", config.task)
    model = build_stack(config, resources.info)
    if not isinstance(model, DeepBeliefNet) or len(model.hidden) != 1:
        raise UserError(
            "a restricted Boltzmann machine is the model 'deep_belief_net' with one layer, e.g. model.hidden=(500,)."
        )
    check_pixels(config)
    check_sweeps(settings.k)
    if settings.chains < 0:
        raise UserError(f"task.chains must be a whole number, 0 or more, not {settings.chains!r}.")
    return RestrictedBoltzmannMachine(model, resources.info, settings).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"restricted_boltzmann_machine": build}
SETTINGS = {"restricted_boltzmann_machine": Settings()._asdict()}
