"""Small tasks of every kind, written with nothing but `dl.task`: what the engine takes without a special case."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dl import mesh
from dl.config import base
from dl.dataset import Arrays, Dataset, Info, labelled_images
from dl.metric import LOWER, NEITHER
from dl.state import digests
from dl.task import Evaluator, Objective, Phase, Task, mean
from dl.training import loop
from dl.training.assembly import Experiment
from dl.training.progress import Progress
from dl.training.workdir import read_metrics

STEPS = 12


def settings(**changes) -> ConfigDict:
    """A configuration of 12 steps of 16 examples, a line in the metrics every step, a checkpoint every 4."""
    config = base()
    config.update(
        steps=STEPS, batch_size=16, log_every=1, checkpoint_every=4, eval_every=0, eval_batch_size=24, dataset={"mean": (0.5,)}
    )
    config.update(changes)
    return config


def image_dataset(train: int = 64, test: int = 50) -> Dataset:
    """Noise of 8x8 with a label that is hidden in its first pixel; 50 test examples end in a ragged batch of 24."""
    rng = np.random.default_rng(0)

    def split(size: int) -> Arrays:
        label = rng.integers(0, 4, size).astype(np.int32)
        image = rng.integers(0, 256, (size, 8, 8, 1)).astype(np.uint8)
        image[:, 0, 0, 0] = label * 60
        return Arrays({"image": image, "label": label})

    return Dataset(labelled_images("images", (8, 8, 1), 4), {"train": split(train), "test": split(test)})


class Nothing:
    """A source without features: examples that hold nothing."""

    resident = True

    def __len__(self) -> int:
        return 4

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {}


def nothing() -> Dataset:
    return Dataset(Info("nothing", {}), {"train": Nothing(), "test": Nothing()})


class Net(nn.Module):
    """Convolution, batch normalisation, dropout, a dense layer of 16,384 weights that FSDP shards, another one."""

    dropout: float = 0.3

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(4, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.relu(nn.Dense(64, name="wide")(x.reshape(len(x), -1)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(4, name="last")(x)


def classifier(steps: int = STEPS, dropout: float = 0.3, optimizer: optax.GradientTransformation | None = None) -> Task:
    """Batch statistics in `variables`, dropout from the key."""
    net = Net(dropout)

    def init(key):
        variables = dict(net.init(key, jnp.zeros((1, 8, 8, 1))))
        return {"model": variables.pop("params")}, variables

    def loss(params, variables, batch, key):
        inputs = {"params": params["model"], **variables}
        scores, new = net.apply(inputs, batch["image"], train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch["label"])
        return mean(losses), (new, {"loss": mean(losses), "error": mean(scores.argmax(-1) != batch["label"])})

    def evaluate(params, variables, batch, key):
        scores = net.apply({"params": params["model"], **variables}, batch["image"])
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch["label"])
        metrics = {"loss": mean(losses, batch["mask"]), "error": mean(scores.argmax(-1) != batch["label"], batch["mask"])}
        return metrics, {"scores": scores, "label": batch["label"]}

    objective = Objective(loss, ("model",), optimizer or optax.sgd(0.1, momentum=0.9))
    evaluators = {"classify": Evaluator(evaluate, {"loss": LOWER, "error": LOWER})}
    return Task(init, {"classify": objective}, (Phase(steps, ("classify",)),), evaluators)


def gan(steps: int = STEPS) -> Task:
    """Two objectives, each moving its own group; the discriminator twice a step."""
    generator, discriminator = nn.Dense(64), nn.Sequential([nn.Dense(32), nn.leaky_relu, nn.Dense(1)])

    def init(key):
        a, b = jax.random.split(key)
        made = generator.init(a, jnp.zeros((1, 4)))["params"]
        return {"generator": made, "discriminator": discriminator.init(b, jnp.zeros((1, 64)))["params"]}, {}

    def fake(params, batch, key):
        noise = jax.random.normal(key, (len(batch["image"]), 4))
        return nn.tanh(generator.apply({"params": params["generator"]}, noise))

    def scores_of(params, images):
        return discriminator.apply({"params": params["discriminator"]}, images.reshape(len(images), -1))[:, 0]

    def discriminate(params, variables, batch, key):
        real, made = scores_of(params, batch["image"]), scores_of(params, fake(params, batch, key))
        losses = nn.softplus(-real) + nn.softplus(made)
        return mean(losses), (variables, {"caught": mean(made < 0)})

    def generate(params, variables, batch, key):
        losses = nn.softplus(-scores_of(params, fake(params, batch, key)))
        return mean(losses), (variables, {"fooled": mean(losses)})

    def evaluate(params, variables, batch, key):
        scores = scores_of(params, batch["image"])
        return {"accepted": mean(scores > 0, batch["mask"])}, {"scores": scores}

    objectives = {
        "discriminator": Objective(discriminate, ("discriminator",), optax.adam(1e-2)),
        "generator": Objective(generate, ("generator",), optax.adam(1e-2)),
    }
    order = ("discriminator", "discriminator", "generator")
    return Task(init, objectives, (Phase(steps, order),), {"game": Evaluator(evaluate, {"accepted": NEITHER})})


def painting(steps: int = STEPS) -> Task:
    """The parameters are an image, the target lies in the variables, batches are empty."""

    def init(key):
        a, b = jax.random.split(key)
        return {"image": {"pixels": jax.random.uniform(a, (8, 8))}}, {"target": jax.random.uniform(b, (8, 8))}

    def distance(params, variables):
        return jnp.square(params["image"]["pixels"] - variables["target"])

    def paint(params, variables, batch, key):
        assert not batch
        value = distance(params, variables)
        return (value.sum(), jnp.float32(1)), (variables, {"distance": mean(value)})

    def evaluate(params, variables, batch, key):
        return {"distance": mean(distance(params, variables))}, {}

    objectives = {"paint": Objective(paint, ("image",), optax.adam(0.05))}
    evaluators = {"distance": Evaluator(evaluate, {"distance": LOWER})}
    return Task(init, objectives, (Phase(steps, ("paint",)),), evaluators)


def stack(steps: int = STEPS) -> Task:
    """A stacked autoencoder: a phase for each layer, which leaves the other alone, then one for both."""
    sizes = (64, 16, 8)

    def init(key):
        keys = jax.random.split(key, 2)
        shapes = list(pairwise(sizes))
        return {f"layer_{i}": {"kernel": jax.random.normal(keys[i], s) / 8} for i, s in enumerate(shapes)}, {}

    def encode(params, x, layers):
        for i in layers:
            x = jnp.tanh(x @ params[f"layer_{i}"]["kernel"])
        return x

    def reconstruct(layers):
        def loss(params, variables, batch, key):
            x = encode(params, batch["image"].reshape(len(batch["image"]), -1), range(layers[0]))
            back = encode(params, x, layers)
            for i in reversed(layers):
                back = back @ params[f"layer_{i}"]["kernel"].T
            losses = jnp.square(back - x).mean(-1)
            return mean(losses), (variables, {"squared": mean(losses)})

        return loss

    def evaluate(params, variables, batch, key):
        codes = encode(params, batch["image"].reshape(len(batch["image"]), -1), (0, 1))
        return {"size": mean(jnp.abs(codes).mean(-1), batch["mask"])}, {"codes": codes}

    objectives = {
        "layer_0": Objective(reconstruct((0,)), ("layer_0",), optax.sgd(0.1)),
        "layer_1": Objective(reconstruct((1,)), ("layer_1",), optax.adam(0.01)),
        "finetune": Objective(reconstruct((0, 1)), ("layer_0", "layer_1"), optax.sgd(0.05)),
    }
    phases = (Phase(5, ("layer_0",)), Phase(4, ("layer_1",)), Phase(steps - 9, ("finetune",)))
    return Task(init, objectives, phases, {"codes": Evaluator(evaluate, {"size": NEITHER})})


def recurrent(steps: int = STEPS) -> Task:
    """Truncated backpropagation through time: the carry [16, 8] lives in the variables and passes from step to step."""

    def init(key):
        a, b = jax.random.split(key)
        params = {"cell": {"input": jax.random.normal(a, (64, 8)) / 8, "state": jax.random.normal(b, (8, 8)) / 3}}
        return params, {"carry": jnp.zeros((16, 8)), "seen": jnp.int32(0)}

    def advance(params, carry, batch):
        x = batch["image"].reshape(len(batch["image"]), -1)
        return jnp.tanh(x @ params["cell"]["input"] + carry @ params["cell"]["state"])

    def predict(params, variables, batch, key):
        carry = advance(params, jax.lax.stop_gradient(variables["carry"]), batch)
        losses = jnp.square(carry[:, 0] - batch["label"] / 4)
        return mean(losses), ({"carry": carry, "seen": variables["seen"] + 1}, {"squared": mean(losses)})

    def evaluate(params, variables, batch, key):
        carry = advance(params, jnp.zeros((len(batch["image"]), 8)), batch)
        return {"squared": mean(jnp.square(carry[:, 0] - batch["label"] / 4), batch["mask"])}, {}

    objectives = {"predict": Objective(predict, ("cell",), optax.adam(0.01))}
    evaluators = {"predict": Evaluator(evaluate, {"squared": LOWER})}
    return Task(init, objectives, (Phase(steps, ("predict",)),), evaluators)


TASKS = {"classifier": classifier, "gan": gan, "painting": painting, "stack": stack, "recurrent": recurrent}


def experiment(
    task: Task | str, config: ConfigDict | None = None, devices: int = 1, dataset: Dataset | None = None
) -> Experiment:
    """The experiment of a task, on so many of the virtual devices."""
    config = config or settings()
    if dataset is None:
        dataset = nothing() if task == "painting" else image_dataset()
    made = TASKS[task](config.steps) if isinstance(task, str) else task
    return Experiment(config, dataset, made, mesh.build(config.mesh.to_dict(), config.replicas, jax.devices()[:devices]))


def run(chosen: Experiment, workdir: Path, progress: Progress | None = None) -> loop.Trained:
    """Trains it, as experiments.train does."""
    workdir.mkdir(exist_ok=True)
    total = sum(phase.steps for phase in chosen.task.phases)
    return loop.train(chosen, workdir, progress or Progress(total, enabled=False))


def hashes(trained: loop.Trained) -> list[str]:
    """The digest of the parameters of each replica."""
    return digests(jax.device_get(trained.state.params))


def curve(workdir: Path, metric: str) -> np.ndarray:
    """A metric of the training, [lines, replicas]."""
    return np.array([line[metric]["values"] for line in read_metrics(workdir) if line["split"] == "train" and metric in line])


def train_lines(workdir: Path, names: Sequence[str] = ("step", "split")) -> list[tuple]:
    """What stands in metrics.jsonl, without the times."""
    return [tuple(line[name] for name in names) for line in read_metrics(workdir)]
