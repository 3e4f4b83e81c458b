"""Finds the images of a folder that are most like given ones, by the embedding that a run has learned.

    python -m experiments.search --workdir=runs/people --images=FOLDER IMAGE
    python -m experiments.search --workdir=runs/people --images=FOLDER --top=3 --out=nearest.html IMAGE

Any run of the task `similarity` serves, with its own distance, and any of `classification`, by the Euclidean distance of its
scores. Images are those of FOLDER and the folders in it; `--out` writes a page with their images.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from dl.errors import UserError, unknown
from experiments import program

FLAGS = flags.FLAGS
BATCH = 64  # images that are embedded at once


class Tower(NamedTuple):
    """A trained embedding. `read`: path -> uint8 [H, W, C]; `embed`: [N, H, W, C] -> [N, D]; `distance` of two embeddings."""

    read: Callable[[Path], np.ndarray]
    embed: Callable[[np.ndarray], np.ndarray]
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Found(NamedTuple):
    """The nearest images to one, the nearest first."""

    query: Path
    paths: list[Path]
    distances: list[float]


def main(argv: list[str]) -> None:
    """Restores the run, embeds the folder, prints what is nearest."""
    program.start_jax()
    queries = [Path(name) for name in argv[1:]]
    if not queries:
        raise UserError("no image given: python -m experiments.search --workdir=DIR --images=FOLDER IMAGE.")
    paths = images_in(Path(FLAGS.images))
    tower = restore(Path(FLAGS.workdir).absolute(), FLAGS.checkpoint, FLAGS.data_dir, FLAGS.manual_dir)
    results = search(tower, queries, paths, FLAGS.top)
    for found in results:
        print(f"nearest to {found.query}")
        for path, distance in zip(found.paths, found.distances, strict=True):
            print(f"  {distance:10.4g}  {path}")
    if FLAGS.out:
        print(page(results, tower, Path(FLAGS.out)))


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder and the folders in it, sorted.

    Raises:
        UserError: no such folder, or no images in it.
    """
    from dl.data.sources.folder import SUFFIXES

    if not folder.is_dir():
        raise UserError(f"--images: there is no folder {folder}.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise UserError(f"--images: {folder} holds no images ({', '.join(SUFFIXES)}).")
    return found


def search(tower: Tower, queries: Sequence[Path], paths: Sequence[Path], top: int) -> list[Found]:
    """The `top` images among `paths` nearest to each query; a query that is itself among them is left out.

    Raises:
        UserError: an image that can't be read or decoded.
    """
    asked = tower.embed(np.stack([tower.read(path) for path in queries]))
    parts = np.array_split(np.arange(len(paths)), -(-len(paths) // BATCH))
    known = np.concatenate([tower.embed(np.stack([tower.read(paths[i]) for i in part])) for part in parts])
    results = []
    for query, embedding in zip(queries, asked, strict=True):
        apart = tower.distance(embedding, known)
        order = [i for i in np.argsort(apart, kind="stable") if paths[i].resolve() != query.resolve()][:top]
        results.append(Found(query, [paths[i] for i in order], [float(apart[i]) for i in order]))
    return results


def restore(workdir: Path, which: str, data_dir: str | None, manual_dir: str | None) -> Tower:
    """The embedding of a run, of its first replica.

    Raises:
        UserError: there is no run or no checkpoint, or the task has no embedding.
    """
    import jax

    from dl.data.resizing import fit_images
    from dl.data.sources.folder import decode
    from dl.training.restored import restore as restore_run
    from dl.training.workdir import read_config

    config = read_config(workdir)
    restored = restore_run(config, workdir, which, data_dir, manual_dir)
    experiment, (params, variables) = restored.experiment, restored.replica(0)
    height, width, channels = experiment.dataset.info.shapes["image"]

    def read(path: Path) -> np.ndarray:
        image = decode(path, channels)
        larger = image.shape[0] > height or image.shape[1] > width
        return fit_images(image, (height, width), "resize" if larger else config.dataset.fit)

    forward, distance = _embedding(experiment)

    @jax.jit
    def compiled(images: jax.Array) -> jax.Array:
        from dl.data.pipeline import standardise

        batch = standardise({"image": images}, experiment.dataset.info.features, config.dataset.to_dict())
        return forward(params, variables, batch["image"])

    def embed(images: np.ndarray) -> np.ndarray:
        padded = np.pad(images, ((0, -len(images) % BATCH), (0, 0), (0, 0), (0, 0)))  # one shape, compiled once
        parts = padded.reshape(-1, BATCH, *images.shape[1:])
        return np.concatenate([np.asarray(compiled(part)) for part in parts])[: len(images)]

    return Tower(read, embed, distance)


def _embedding(experiment: Any) -> tuple[Callable[..., Any], Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """`(params, variables, images) -> [N, D]`, and the distance that goes with it."""
    import jax
    import jax.numpy as jnp

    from dl.evaluation.one_shot import euclidean
    from dl.models.build import build
    from dl.tasks.similarity import distance

    config, info, task = experiment.config, experiment.dataset.info, experiment.task
    if config.task.name == "similarity":

        def embed(params: Any, variables: Any, images: Any) -> Any:
            batch = {"image": images, "mask": jnp.ones(len(images), bool)}
            return task.evaluators["embeddings"].step(params, variables, batch, jax.random.key(0))[1]["embedding"]

        return embed, distance(config.task.loss)
    if config.task.name == "classification":
        model = build(config, num_classes=info.num_classes)

        def scores(params: Any, variables: Any, images: Any) -> Any:
            return model.apply({"params": params["model"], **variables}, images, train=False)

        return scores, euclidean
    raise unknown("task to search by", config.task.name, ("similarity", "classification"))


def page(results: Sequence[Found], tower: Tower, out: Path) -> Path:
    """Writes a page with the images as the tower sees them; returns the file."""
    from html import escape

    from dl.artifacts import Images
    from dl.report import page as html
    from dl.report.tables import images

    sections = {}
    for found in results:
        pixels = np.stack([tower.read(path) for path in (found.query, *found.paths)])
        near = zip(found.paths, found.distances, strict=True)
        captions = ["query", *(f"{distance:.4g} {path.parent.name}/{path.name}" for path, distance in near)]
        sections[str(found.query)] = images(Images(pixels, captions))
    return html.save(out, html.document("Nearest images", f"<p>{escape(str(FLAGS.workdir))}</p>", sections, "nearest images"))


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("images", None, "Folder of the images to search.", required=True)
    flags.DEFINE_integer("top", 10, "How many to show.", lower_bound=1)
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_string("out", "", "An HTML page to write, with the images.")
    program.run(main)
