"""What is said in sound files, by a trained run."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dl import registry
from dl.data.ragged import ragged
from dl.data.sound import extraction
from dl.data.sound.reading import read_sound
from dl.data.sound.utterances import MULTIPLE
from dl.dataset import column_of
from dl.errors import UserError
from dl.evaluation.error_rates import texts
from dl.task import Tree
from dl.training.assembly import Experiment

EVALUATOR = "transcribe"  # of a task that transcribes; `search` where it has a beam
SECONDS = 600  # of one file, at most


def transcribe(experiment: Experiment, params: Tree, variables: Tree, paths: Sequence[Path], beam: bool = False) -> list[str]:
    """What is said in each file.

    Args:
        experiment: of the run.
        params: of one replica.
        variables: of the same.
        paths: of sound files; they are resampled to the rate of the run.
        beam: by beam search, as wide as `task.beam` of the run.

    Raises:
        UserError: the run transcribes nothing, was trained on frames without sound, or keeps no beam; a file that can't be
            read.
    """
    evaluator = experiment.task.evaluators.get("search" if beam else EVALUATOR)
    if evaluator is None:
        wanted = "task.beam above 0" if beam else "a task that transcribes, such as 'transcription'"
        raise UserError(f"this run cannot do that: it needs {wanted}.")
    info, config = experiment.dataset.info, experiment.config
    rates = [column_of(source, "rate") for source in experiment.dataset.splits.values()] if "rate" in info.features else []
    if not rates or rates[0] is None:
        raise UserError(f"the dataset {info.name} holds frames without their sound, so that sound files have none like them.")
    settings = extraction.check(registry.read(extraction.Settings, "dataset.sound", config.dataset.sound))
    rate = int(rates[0][0])
    sounds = [read_sound(path, rate).samples for path in paths]
    for path, samples in zip(paths, sounds, strict=True):
        if len(samples) > SECONDS * rate:
            raise UserError(f"{path} is longer than {SECONDS} seconds: cut it into utterances.")
    frames = extraction.extract(sounds, rate, settings, [str(path) for path in paths])
    step = jax.jit(evaluator.step)
    suffix, vocabulary = ("_beam" if beam else ""), info.features["text"].vocabulary
    assert vocabulary is not None  # or the task would not have been built
    heard = []
    for values in frames:
        batch = experiment.prepare(_batch(values))
        _, outputs = step(params, variables, batch, jax.random.key(0))
        found = {name: np.asarray(outputs[f"{name}{suffix}"]) for name in ("heard", "heard_length")}
        heard += texts(found["heard"], found["heard_length"], vocabulary)
    return heard


def _batch(frames: np.ndarray) -> dict[str, jax.Array]:
    """One utterance without a transcript, padded to one of few lengths."""
    size = 1 << max(len(frames) - 1, MULTIPLE).bit_length()
    values, length = ragged([frames], [size]).gather(np.array([0]))
    nothing = {"text": jnp.zeros((1, 1), jnp.int32), "text_length": jnp.zeros(1, jnp.int32), "mask": jnp.ones(1, bool)}
    return {"frames": jnp.asarray(values), "frames_length": jnp.asarray(length), **nothing}


def predict(experiment: Experiment, params: Tree, variables: Tree, inputs: str | Path | Sequence[str | Path]) -> list[str]:
    """What is said in sound files, one or several, as `transcribe` without a beam."""
    paths = [inputs] if isinstance(inputs, str | Path) else inputs
    return transcribe(experiment, params, variables, [Path(path) for path in paths])


PREDICT = {"transcription": predict}
