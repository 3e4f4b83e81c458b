"""Text from a language model."""

import math

import jax
import numpy as np

from dl.artifacts import Artifact, Text
from dl.errors import UserError
from dl.models.build import build
from dl.task import Tree
from dl.tasks import language_model
from dl.training.assembly import Experiment


def generate(
    experiment: Experiment,
    params: Tree,
    variables: Tree,
    key: jax.Array,
    prompt: str = "",
    length: int = 500,
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
) -> dict[str, Artifact]:
    """Continues the prompt, `samples` times.

    Args:
        experiment: experiment of the run.
        params: parameters of one replica.
        variables: not used.
        key: sample n depends on the key and n alone, not on how many there are.
        prompt: where each begins; by default, as after the end of a line.
        length: characters or words after the prompt.
        samples: how many.
        temperature: divides the logits; 0 always takes the likeliest symbol.
        top_k: only the likeliest so many symbols are drawn; 0: all.

    Raises:
        UserError: a prompt with symbols that the model does not know, or a number out of range.
    """
    if length < 1 or samples < 1 or top_k < 0:
        raise UserError(f"--length and --samples are at least 1 and --top_k at least 0, got {length}, {samples} and {top_k}.")
    if not math.isfinite(temperature) or temperature < 0:
        raise UserError(f"--temperature must be 0 or above, got {temperature}.")
    vocabulary = experiment.dataset.info.features["token"].vocabulary
    assert vocabulary is not None  # or the task would not have been built
    begun = vocabulary.encode(prompt)
    fed = begun if len(begun) else np.array([vocabulary.start])
    model = build(experiment.config, num_classes=len(vocabulary))
    texts = language_model.sample(model, params["model"], fed, key, samples, length, temperature, top_k)
    return {f"sample {n}": Text(vocabulary.decode(np.concatenate([begun, text]))) for n, text in enumerate(texts, 1)}


PUBLIC = {"language_model": generate}
