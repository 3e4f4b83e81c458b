"""A restricted Boltzmann machine, by contrastive divergence (Hinton 2002) or persistent chains (Tieleman 2008).

The gradient of -log p(v) is that of F(v) minus its mean over the model's own v (Hinton 2010, eq. 5). So both ways take the
gradient of

    mean F(v) - mean F(v'),    v' a constant: the end of a Gibbs chain of k sweeps,

a chain that starts at the data (CD-k) or, persistent, where it ended in the step before; then it lies in
`variables["chains"]`. Batches hold `image` [B, H, W, C] in 0..1, grey values being probabilities.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from dl.artifacts import Artifact, Images
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation.embedding import chosen, embeddings
from dl.evaluation.filters import first_layer_filters
from dl.metric import HIGHER, LOWER
from dl.models.autoencoder import Stack
from dl.models.rbm import DeepBeliefNet
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean
from dl.tasks.reconstruction import EXAMINED, SHOWN, build_stack, check_pixels, coder, cross_entropy, reconstructions
from dl.training import optimizers

SWEEPS = (1, 10, 100, 1000)  # of Gibbs sampling, after which samples are shown


def divergence(
    model: Stack, params: Tree, i: int, v: Float[Array, "b ..."], start: Float[Array, "n ..."], key: Key[Array, ""], k: int
) -> tuple[Float[Array, ""], Float[Array, "n ..."]]:
    """The mean of F(v) minus that of F(v'), of machine i, whose gradient is that of contrastive divergence, and v'.

    Args:
        model: a deep belief net.
        params: its groups.
        i: which machine.
        v: what it is to make likely.
        start: of the chains, as many as there are.
        key: of their randomness.
        k: sweeps.
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


def restricted_boltzmann_machine(
    model: DeepBeliefNet, info: Info, optimizer: optax.GradientTransformation, steps: int, k: int = 1, chains: int = 0
) -> Task:
    """One machine, the group `layer_0`.

    Args:
        model: of one layer.
        info: of the data.
        optimizer: of its parameters.
        steps: of training.
        k: sweeps of Gibbs sampling a step.
        chains: how many persistent ones; 0 starts at the data.
    """
    shape = info.shapes["image"]

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        init_key, chain_key = jax.random.split(key)
        variables = {"chains": jax.random.bernoulli(chain_key, 0.5, (chains, *shape)).astype(jnp.float32)} if chains else {}
        return dict(model.init(init_key, jnp.zeros((1, *shape)))["params"]), variables

    def objective(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        v = batch["image"]
        value, end = divergence(model, params, 0, v, variables.get("chains", v), key, k)
        metrics = {"free_energy_gap": mean(value[None]), "reconstruction": mean(one_step(model, params, 0, v))}
        return (value, jnp.float32(1)), ({"chains": end} if chains else variables, metrics)

    def evaluate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        v, mask = batch["image"], batch["mask"]
        losses = one_step(model, params, 0, v)
        likelihood = pseudo_likelihood(model, params, v, key)
        return {"reconstruction": mean(losses, mask), "pseudo_likelihood": mean(likelihood, mask)}, {"reconstruction": losses}

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        return artifacts(model, info, params, evaluation, key)

    objectives = {"contrast": Objective(objective, ("layer_0",), optimizer)}
    evaluators = {"likelihood": Evaluator(evaluate, {"reconstruction": LOWER, "pseudo_likelihood": HIGHER})}
    return Task(init, objectives, (Phase(steps, ("contrast",)),), evaluators, render)


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


def sweeps_of(settings: dict[str, Any]) -> int:
    """`k` of the settings, 1 where it is not given.

    Raises:
        UserError: no whole number above 0.
    """
    k = settings.get("k", 1)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise UserError(f"task.k, the sweeps of contrastive divergence, must be a whole number above 0, not {k!r}.")
    return k


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task`: `k`, `chains` (see `restricted_boltzmann_machine`).

    Raises:
        UserError: another model than a deep belief net of one layer, an unknown setting, or pixels that are not in 0..1.
    """
    info = resources.info
    settings: dict[str, Any] = config.task.to_dict()
    for key in settings:
        if key != "name" and key not in SETTINGS["restricted_boltzmann_machine"]:
            raise unknown("setting of the task 'restricted_boltzmann_machine'", key, SETTINGS["restricted_boltzmann_machine"])
    model = build_stack(config, info)
    if not isinstance(model, DeepBeliefNet) or len(model.hidden) != 1:
        raise UserError(
            "a restricted Boltzmann machine is the model 'deep_belief_net' with one layer, e.g. model.hidden=(500,)."
        )
    check_pixels(config)
    chains = settings.get("chains", 0)
    if isinstance(chains, bool) or not isinstance(chains, int) or chains < 0:
        raise UserError(f"task.chains must be a whole number, 0 or more, not {chains!r}.")
    return restricted_boltzmann_machine(
        model, info, optimizers.build(config.optimizer, steps), steps, sweeps_of(settings), chains
    )


SETTINGS = {"restricted_boltzmann_machine": {"k": 1, "chains": 0}}
PUBLIC = {"restricted_boltzmann_machine": build}
