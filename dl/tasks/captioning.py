"""Captions: what a model says of an image (Vinyals et al. 2015, "Show and Tell"; Xu et al. 2015, "Show, Attend and Tell").

Batches hold `image_features` [B, y, x, D], or `image` [B, H, W, 3] in 0..1, which the network then learns to see; `captions`
[B, T + 1, R], the R captions of each image as columns from <s> to </s>, padded with 0; `references` [B, N], the same as text
(`dl.data.captioned`).

All captions of an image are learned at once: it is encoded once. A caption is found by beam search (`dl.evaluation.decoding`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Table
from dl.data.captioned import Words, extractor, read_back
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.attention_images import lit_by
from dl.evaluation.caption_metrics import ORDERS, bleu, cider, signature
from dl.evaluation.decoding import Beam, Found, Symbols, beam_search
from dl.metric import LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Objective, Outcome, Pair, Phase, Task, Tree, mean, means
from dl.tasks.translation import symbol_losses
from dl.training import optimizers
from dl.transfer.image_features import Extractor
from dl.vocabulary import PAD, RARE, START

SHOWN, LOOKED = 12, 4  # captions in the report, and images with what was looked at for each word


class Settings(NamedTuple):
    """What `config.task` may hold.

    doubly: weight of the doubly stochastic regulariser (Xu et al. 2015, eq. 14). hard: attention to one place that is drawn,
    learned by REINFORCE (section 4.1). entropy, reinforce: its weights lambda_e and lambda_r. expected: the part of the
    captions that take the expectation in place of the draw. smoothing: of its baseline. beam, alpha: of the search
    (`dl.evaluation.decoding.Beam`). longest: words of a caption, the stop counted. score_every: at every so many evaluations
    captions are made and measured; 0 is only at the end. finetune: the last part of the steps, in which the network of the
    images learns too, at `finetune_rate` times the learning rate.
    """

    doubly: float = 1.0
    hard: bool = False
    entropy: float = 0.002
    reinforce: float = 1.0
    expected: float = 0.5
    smoothing: float = 0.9
    beam: int = 5
    alpha: float = 0.7
    longest: int = 22
    score_every: int = 0
    finetune: float = 0.0
    finetune_rate: float = 0.1


def doubly_stochastic(weights: Float[Array, "b t s"], counted: Bool[Array, "b t"]) -> Float[Array, " b"]:
    """sum_i (1 - sum_t a_ti)^2 of each caption over the places, of its words alone (Xu et al. 2015, eq. 14); 0 of no words."""
    seen = jnp.where(counted[:, :, None], weights, 0).sum(1)
    return jnp.where(counted.any(1), jnp.square(1 - seen).sum(-1), 0)


def reinforced(
    weights: Float[Array, "b t s"], seen: Float[Array, "b t s"], reward: Float[Array, " b"], counted: Bool[Array, "b t"]
) -> Float[Array, " b"]:
    """-(reward) sum_t log a_t,s_t of each caption, whose gradient is that of section 4.1; the reward is a constant to it."""
    log_places = jnp.where(counted, (seen * jnp.log(jnp.maximum(weights, 1e-20))).sum(-1), 0).sum(1)
    return -jax.lax.stop_gradient(reward) * log_places


def entropy(weights: Float[Array, "b t s"], counted: Bool[Array, "b t"]) -> Float[Array, " b"]:
    """sum_t H[a_t] of each caption, in nats."""
    of_word = -(weights * jnp.log(jnp.maximum(weights, 1e-20))).sum(-1)
    return jnp.where(counted, of_word, 0).sum(1)


@dataclass(frozen=True)
class Captioning:
    """A model that learns to say what is to be seen. `model` is as `dl.models.show_attend_tell`.

    network: sees the images, where batches hold no features of them; its parameters are then the group `cnn`.
    """

    model: Any
    words: Words
    settings: Settings
    shape: tuple[int, ...]
    network: Extractor | None = None

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the group `model`, and of `cnn`; of hard attention the variable `baseline`, the mean reward so far."""
        features, symbols = jnp.zeros((1, *self.shape)), jnp.zeros((1, 2), jnp.int32)
        params = {"model": self.model.init(key, features, symbols)["params"]}
        if self.network:
            params["cnn"] = jax.tree.map(jnp.asarray, self.network.network.params)
        return params, {"baseline": jnp.zeros(())} if self.settings.hard else {}

    def features(self, params: Tree, batch: Batch) -> Float[Array, "b y x d"]:
        """What the model is shown of each image."""
        if self.network is None:
            return batch["image_features"].astype(jnp.float32)
        return self.network.maps(params["cnn"], batch["image"])

    def given(self, params: Tree, batch: Batch) -> tuple[Any, Any, Array, Array]:
        """What is looked at, the first state, the captions int32 [B R, T + 1], a row each, and which of their words count."""
        columns = batch["captions"].astype(jnp.int32)
        symbols = columns.swapaxes(1, 2).reshape(-1, columns.shape[1])
        counted = symbols[:, 1:] != self.words.numbers[PAD]
        if "mask" in batch:
            counted &= jnp.repeat(batch["mask"], columns.shape[2])[:, None]
        seen = self.model.apply({"params": params["model"]}, self.features(params, batch), method="encode")
        memory, state = jax.tree.map(lambda x: jnp.repeat(x, columns.shape[2], axis=0), seen)
        return memory, state, symbols, counted

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """Of a batch: -log p of the words, and what is added, for each word."""
        drop, draw, choose = jax.random.split(key, 3)
        memory, state, symbols, counted = self.given(params, batch)
        how = dict[str, Any]()
        if self.settings.hard:
            shape = (*counted.shape, memory.values.shape[1])
            how["noise"] = jax.random.gumbel(draw, shape)
            whole = jax.random.bernoulli(choose, self.settings.expected, (len(symbols), 1, 1))
            how["expected"] = jnp.broadcast_to(whole, (*shape[:2], 1)).astype(jnp.float32)
        apply = {"params": params["model"]}, memory, state, symbols[:, :-1], True
        scores, _, weights, seen = self.model.apply(*apply, method="decode", rngs={"dropout": drop}, **how)
        plain = symbol_losses(scores, symbols[:, 1:])
        total, count = mean(plain, counted)
        metrics: dict[str, Pair] = {"loss": (total, count)}
        if self.settings.hard:
            captions = counted.any(1)
            reward = -jnp.where(counted, plain, 0).sum(1)
            ahead = jnp.where(captions & (how["expected"][:, 0, 0] == 0), reward - variables["baseline"], 0)
            total += self.settings.reinforce * reinforced(weights, seen, ahead, counted).sum()
            total -= self.settings.entropy * entropy(weights, counted).sum()
            kept, new = self.settings.smoothing, jax.lax.stop_gradient(jnp.where(captions, reward, 0).sum())
            mean_reward = new / jnp.maximum(captions.sum(), 1)
            variables = {"baseline": kept * variables["baseline"] + (1 - kept) * mean_reward}
        elif weights.shape[-1] and self.settings.doubly:
            total += self.settings.doubly * doubly_stochastic(weights, counted).sum()
        return (total, count), (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Any, dict[str, Array]]:
        """The loss of the captions given, without what is added; each image's is that of all its captions."""
        memory, state, symbols, counted = self.given(params, batch)
        scores = self.model.apply({"params": params["model"]}, memory, state, symbols[:, :-1], method="decode")[0]
        losses = symbol_losses(scores, symbols[:, 1:])
        of_image = jnp.where(counted, losses, 0).sum(1).reshape(len(batch["captions"]), -1).sum(1)
        return {"loss": mean(losses, counted)}, {"caption_loss": of_image}

    def caption(self, params: Tree, features: Float[Array, "b y x d"], beam: Beam) -> Found:
        """The best captions of images."""
        memory, state = self.model.apply({"params": params["model"]}, features, method="encode")
        never = tuple(self.words.numbers[name] for name in (PAD, START, RARE))
        symbols = Symbols(self.words.start, self.words.stop, self.settings.longest, never)
        return beam_search(self.step, params["model"], memory, state, symbols, beam)

    def step(self, params: Tree, memory: Tree, state: Tree, symbols: Array) -> tuple[Array, Tree, Array]:
        """One word more: a step of `dl.evaluation.decoding`."""
        scores, state, weights, _ = self.model.apply({"params": params}, memory, state, symbols[:, None], method="decode")
        return jax.nn.log_softmax(scores[:, 0]), state, weights[:, 0]

    @property
    def beam(self) -> Beam:
        """That of the evaluation."""
        return Beam(self.settings.beam, self.settings.alpha)

    def score(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Any, dict[str, Array]]:
        """Captions for `finish`, beside what they are compared with."""
        found = self.caption(params, self.features(params, batch), self.beam)
        ended = found.score[:, 0] > -jnp.inf
        return {"ended": mean(ended, batch["mask"])}, {"caption": found.symbols[:, 0], "references": batch["references"]}

    def finish_loss(self, sums: Any, outputs: Any) -> dict[str, float]:
        """The mean, and the perplexity of a word."""
        found = means(sums, outputs)
        return {**found, "perplexity": float(np.exp(found["loss"]))}

    def finish_score(self, sums: Any, outputs: Any) -> dict[str, float]:
        """BLEU and CIDEr-D of the whole split."""
        made, references = self.captions(outputs)
        return {**bleu(made, references), "cider": cider(made, references)}

    def captions(self, outputs: Mapping[str, np.ndarray]) -> tuple[list[str], list[list[str]]]:
        """What was said of each image, and the references."""
        made = [" ".join(self.words.until_stop(row)) for row in outputs["caption"]]
        return made, [read_back(row) for row in outputs["references"]]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Images with their captions, and where each word came from."""
        made, references = self.captions(evaluation.outputs)
        chosen = np.linspace(0, len(made) - 1, min(SHOWN, len(made))).astype(int)
        batch = evaluation.examples(chosen)
        shown: dict[str, Artifact] = {
            "captions": Images(batch["image"].clip(0, 1), [made[i] for i in chosen], 4),
            "references": Table(("caption", "references"), [(made[i], " / ".join(references[i])) for i in chosen]),
        }
        symbols = evaluation.outputs["caption"][chosen[:LOOKED]]
        return shown | self.looks(params, {name: values[:LOOKED] for name, values in batch.items()}, symbols)

    def looks(self, params: Tree, batch: Mapping[str, np.ndarray], symbols: np.ndarray) -> dict[str, Artifact]:
        """For each image a row: the image, then for each word of its caption the image lit where the model looked."""

        def weights_of(params: Tree, batch: Batch, symbols: Array) -> Array:
            given = {"params": params["model"]}
            memory, state = self.model.apply(given, self.features(params, batch), method="encode")
            weights: Array = self.model.apply(given, memory, state, symbols, method="decode")[2]
            return weights

        start = np.full((len(symbols), 1), self.words.start, np.int32)
        given = jnp.asarray(np.concatenate([start, symbols[:, :-1]], axis=1), jnp.int32)
        seen = {name: jnp.asarray(values) for name, values in batch.items() if name in ("image", "image_features")}
        weights = np.asarray(jax.jit(weights_of)(params, seen, given))
        if not weights.shape[-1]:
            return {}
        shown: dict[str, Artifact] = {}
        for n, row in enumerate(symbols):
            said = [*self.words.until_stop(row), "(end)"][: len(row)]
            lit = lit_by(batch["image"][n].clip(0, 1), weights[n, : len(said)].reshape(-1, *self.shape[:2]))
            shown[f"looked at {n + 1}"] = Images(lit, ("", *said), 6)
        return shown

    def task(self, config: ConfigDict, steps: int) -> Task:
        """The phases: with the network as it is, and, where it is asked for, with all that learns."""
        tuned = round(self.settings.finetune * steps)
        objectives = {"caption": Objective(self.loss, ("model",), optimizers.build(config.optimizer, max(steps - tuned, 1)))}
        phases = [Phase(steps - tuned, ("caption",))]
        if tuned:
            section = config.optimizer.copy_and_resolve_references()
            rate, part = section.learning_rate, self.settings.finetune_rate  # a tuple is of a sweep
            section.learning_rate = tuple(part * r for r in rate) if isinstance(rate, tuple) else part * rate
            objectives["finetune"] = Objective(self.loss, ("model", "cnn"), optimizers.build(section, tuned))
            phases.append(Phase(tuned, ("finetune",)))
        kinds = {f"bleu{n}": Metric("higher", format=".2f", how=signature(n)) for n in ORDERS}
        kinds["cider"] = Metric("higher", format=".2f", how="CIDEr-D times 100, not stemmed")
        evaluators = {
            "likelihood": Evaluator(self.evaluate, {"loss": LOWER, "perplexity": LOWER}, self.finish_loss),
            "quality": Evaluator(self.score, kinds, self.finish_score, self.settings.score_every),
        }
        return Task(self.init, objectives, tuple(phases), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` is read as `Settings`.

    Raises:
        UserError: an unknown model or setting, a number out of range, or data that are no images with captions.
    """
    return learner_of(config, resources).task(config, steps)


def learner_of(config: ConfigDict, resources: Resources) -> Captioning:
    """What learns, and captions; also for programs that use a trained one.

    Raises:
        UserError: as `build`.
    """
    settings = registry.read(Settings, "the task captioning", config.task)
    check(settings)
    features = resources.info.features
    words = features["captions"].vocabulary if "captions" in features else None
    if not isinstance(words, Words) or "image" not in features:
        raise UserError(
            f"captioning needs images with captions, and the dataset {resources.info.name} has {', '.join(features)}: take "
            "'flickr8k', 'captions' or 'captioned_scenes'."
        )
    model, network = models.build(config, num_classes=len(words)), None
    if settings.hard and not hasattr(model, "attention_features"):
        raise UserError(f"the model {config.model.name} has no attention that could be hard: take show_attend_tell.")
    if "image_features" in features:
        if settings.finetune:
            raise UserError("task.finetune needs the images themselves: set dataset.network=''.")
        shape: tuple[Any, ...] = features["image_features"].shape
    else:
        network = extractor({**config.dataset.to_dict(), "network": "squeezenet"}, resources.manual_dir)
        pixels = jax.ShapeDtypeStruct((1, *features["image"].shape[:2], 3), jnp.float32)
        shape = jax.eval_shape(network.maps, network.network.params, pixels).shape[1:]
    return Captioning(model, words, settings, shape, network)


def check(settings: Settings) -> None:
    """Raises UserError where a number is out of range."""
    Beam(settings.beam, settings.alpha).check()
    if not (0 <= settings.finetune <= 1 and 0 <= settings.expected <= 1 and 0 <= settings.smoothing < 1):
        raise UserError("task.finetune and task.expected are parts, 0 to 1, and task.smoothing is at least 0 and below 1.")
    if settings.longest < 1:
        raise UserError(f"task.longest={settings.longest} must be at least 1.")


PUBLIC = {"captioning": build}
SETTINGS = {"captioning": Settings()._asdict()}
