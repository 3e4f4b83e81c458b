"""What a trained classifier says of images or texts."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dl import registry
from dl.evaluation import sentences, text_mistakes
from dl.generation.predictions import Predictions, fitted, named, pixels
from dl.models.build import build
from dl.task import Tree
from dl.tasks import text_classification
from dl.training.assembly import Experiment

BATCH = 64  # images at a time


def predict(experiment: Experiment, params: Tree, variables: Tree, inputs: Any) -> Predictions:
    """Softmax probabilities of images, prepared as the run's own for evaluation.

    Args:
        experiment: of the run.
        params: of one replica.
        variables: of the same.
        inputs: see `dl.generation.predictions.pixels`.
    """
    info, settings = experiment.dataset.info, experiment.config.dataset
    shape: Any = info.shapes["image"]
    images = [fitted(image, shape, settings.fit, settings.margin) for image in pixels(inputs)]
    model = build(experiment.config, num_classes=info.num_classes)

    @jax.jit
    def probabilities(images: jax.Array) -> jax.Array:
        batch = experiment.prepare({"image": images})
        scores: Any = model.apply({"params": params["model"], **variables}, batch["image"], train=False)
        return jax.nn.softmax(scores.astype(jnp.float32))

    parts = [np.asarray(probabilities(np.stack(images[i : i + BATCH]))) for i in range(0, len(images), BATCH)]
    made = np.concatenate(parts) if parts else np.zeros((0, info.num_classes), np.float32)
    return Predictions(made, named(info.class_names, info.num_classes))


def predict_texts(experiment: Experiment, params: Tree, variables: Tree, inputs: str | Sequence[str]) -> Predictions:
    """Probabilities of texts, one or several; they are read into symbols as the run's own were."""
    config, info = experiment.config, experiment.dataset.info
    settings = registry.read(text_classification.Settings, "the task text_classification", config.task)
    learner: Any = text_classification.learner(config, info, settings)
    texts = [inputs] if isinstance(inputs, str) else list(inputs)
    symbols = [sentences.read(text, learner.vocabulary, learner.dataset) for text in texts]
    said = [np.asarray(learner.probabilities(params, [text])[0]) for text in symbols]
    names = tuple(text_mistakes.class_names(info))
    return Predictions(np.stack(said) if said else np.zeros((0, len(names)), np.float32), names)


PREDICT = {"classification": predict, "text_classification": predict_texts}
