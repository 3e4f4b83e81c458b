"""Translations of sentences by a trained translator."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dl.artifacts import Artifact, Text
from dl.data.sources.parallel_text import read_lines
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.decoding import Beam
from dl.task import Tree
from dl.tasks.translation import Translation, learner_of
from dl.training.assembly import Experiment

ROWS = 64  # sentences that are translated at once
SHADES = " .:-=+*#%@"  # of a weight from 0 to 1


def generate(
    experiment: Experiment,
    params: Tree,
    variables: Tree,
    key: jax.Array,
    prompt: str = "",
    file: str = "",
    samples: int = 1,
    beam: int = 5,
    attention: bool = False,
) -> dict[str, Artifact]:
    """Translates sentences: one, or those of a file, a line each.

    Args:
        experiment: of the run.
        params: of one replica.
        variables: not used.
        key: not used: nothing is drawn.
        prompt: a sentence.
        file: a text in UTF-8, a sentence a line; or .gz.
        samples: so many translations of each sentence, the best first.
        beam: sequences that the search keeps; at least as many as `samples`.
        attention: whether to show where the attention goes.

    Raises:
        UserError: neither sentence nor file, both, or a number out of range.
    """
    learner = learner_of(experiment.config, Resources(experiment.dataset.info))
    if bool(prompt.strip()) == bool(file):
        raise UserError("give a sentence, --prompt='A man sleeps.', or a file of sentences, --file=FILE.")
    lines = read_lines(Path(file).expanduser()) if file else [" ".join(prompt.split())]
    search = Beam(max(beam, samples) if beam > 0 else beam, learner.settings.alpha, learner.settings.coverage, samples)
    search.check()
    found = translations(learner, params, lines, search)
    if file:
        return {"translations": Text("\n".join(text for texts in found for text in texts))}
    shown = "\n".join(found[0])
    if attention:
        shown += "".join(f"\n\n{drawn(learner, params, lines[0], text)}" for text in found[0])
    return {"translation": Text(shown)}


def translations(learner: Translation, params: Tree, lines: list[str], beam: Beam) -> list[list[str]]:
    """The `beam.best` translations of each line; an empty line has empty ones.

    Lines of similar lengths are translated together; the program is compiled for lengths that are multiples of 8.
    """
    run = jax.jit(lambda params, source, length: learner.translate(params, source, length, beam).symbols)
    made = [[""] * beam.best for _ in lines]
    encoded = {n: np.append(learner.source.encode(line), learner.source.stop) for n, line in enumerate(lines) if line}
    order = sorted(encoded, key=lambda n: len(encoded[n]))
    for start in range(0, len(order), ROWS):
        part = order[start : start + ROWS]
        source = np.zeros((ROWS if len(order) > ROWS else len(part), -(-len(encoded[part[-1]]) // 8) * 8), np.int32)
        length = np.ones(len(source), np.int32)  # rows that fill the last batch up
        for row, n in enumerate(part):
            source[row, : len(encoded[n])], length[row] = encoded[n], len(encoded[n])
        symbols = np.asarray(run(params, jnp.asarray(source), jnp.asarray(length)))
        for row, n in enumerate(part):
            made[n] = [learner.target.decode(candidate) for candidate in symbols[row]]
    return made


def drawn(learner: Translation, params: Tree, line: str, text: str) -> str:
    """Where the attention goes, as text: a row for each symbol of the translation, a column for each of the source."""
    source = np.append(learner.source.encode(line), learner.source.stop)
    maps: Any = learner.alignments(params, source[None], np.array([len(source)], np.int32), [text])
    if not maps:
        raise UserError("this translator has no attention: leave --attention out.")
    found = next(iter(maps.values()))
    width = max(len(name) for name in found.rows)
    head = [f"{' ' * width}  {number + 1:2} {name}" for number, name in enumerate(found.columns)]
    numbers = " " * (width + 2) + "".join(f"{number + 1:2}" for number in range(len(found.columns)))
    rows = [
        f"{name:>{width}}  " + "".join(f" {SHADES[min(int(weight * len(SHADES)), len(SHADES) - 1)]}" for weight in row)
        for name, row in zip(found.rows, found.values, strict=True)
    ]
    return "\n".join([*head, numbers, *rows])


PUBLIC = {"translation": generate}
