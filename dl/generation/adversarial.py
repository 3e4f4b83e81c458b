"""Images (or points) from a generator: samples, the way from one to another, arithmetic."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dl.artifacts import Artifact, Images, Scatter, Table
from dl.errors import UserError
from dl.evaluation.feature_extractor import random as random_features
from dl.evaluation.generated_images import COLUMNS, GeneratedImages
from dl.evaluation.generative import lerp, slerp
from dl.generation import latent_attributes
from dl.models.gan_mlp import Players
from dl.task import Tree
from dl.tasks.adversarial import build_players
from dl.training.assembly import Experiment

WAYS = {"slerp": slerp, "lerp": lerp}
SPREAD = 0.25  # of the noise around the result of an arithmetic (Radford et al. 2016, section 6.3.2)


def generate(
    experiment: Experiment,
    params: Tree,
    variables: Tree,
    key: jax.Array,
    samples: int = 80,
    labels: str = "",
    interpolate: str = "",
    way: str = "slerp",
    arithmetic: str = "",
    attributes: str = "",
) -> dict[str, Artifact]:
    """Samples, numbered from 0; or what lies between some of them, or is made of them.

    Args:
        experiment: experiment of the run.
        params: parameters of one replica.
        variables: variables of one replica.
        key: sample n depends on the key and n alone.
        samples: how many.
        labels: classes given to the samples of a conditional generator in turn, such as "3" or "0,1,2"; all by default.
        interpolate: pairs of numbers of samples, such as "0-5,7-2": a row of images from one to the other for each.
        way: "slerp", along the sphere, or "lerp", straight.
        arithmetic: numbers of samples, added and subtracted in groups whose means are taken: "3,8,12 - 1,5,9 + 2,4,7" is the
            mean of three, minus that of three, plus that of three. A row for each group, then the result with variations.
        attributes: two of `dl.generation.latent_attributes`, such as "dark_hair,light_mouth": an arithmetic whose groups are
            found by measuring samples, then a sample moved along the direction of each.

    Raises:
        UserError: what can't be read, or is out of range.
    """
    info, config = experiment.dataset.info, experiment.config
    players = build_players(config, info)
    if samples < 1:
        raise UserError(f"--samples must be at least 1, got {samples}.")
    net = {"params": params["generator"], **variables["generator"]}
    make = jax.jit(lambda z, label: players.generator.apply(net, z, label, train=False))
    classes = _classes(labels, players, info.num_classes)

    def made(z: np.ndarray, label: np.ndarray) -> np.ndarray:
        return np.asarray(make(jnp.asarray(z), jnp.asarray(label, jnp.int32) if players.conditional else None))

    if "image" not in info.shapes:
        points = made(latents(players, key, np.arange(samples)), classes[np.arange(samples) % len(classes)])
        return {
            "samples": Scatter(np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), np.zeros(samples, np.int64), ("generator",))
        }
    mean, std = (np.asarray(config.dataset[name], np.float32) for name in ("mean", "std"))
    grids = GeneratedImages(info, random_features(), mean, std)
    if interpolate:
        z, label = _between(interpolate, way, players, key, classes)
        return {"interpolation": Images(grids.shown(made(z, label)), columns=COLUMNS)}
    if attributes:
        return _by_attributes(attributes, players, key, classes, lambda z, label: grids.shown(made(z, label)))
    if arithmetic:
        z, label, captions = _calculated(arithmetic, players, key, classes)
        images = grids.shown(made(z, label))
        images[[caption == "" for caption in captions]] = 255  # where a row is not full
        return {"arithmetic": Images(images, captions, COLUMNS)}
    numbers = np.arange(samples)
    images = grids.shown(made(latents(players, key, numbers), classes[numbers % len(classes)]))
    return {"samples": Images(images, [str(n) for n in numbers], COLUMNS)}


def latents(players: Players, key: jax.Array, numbers: np.ndarray) -> np.ndarray:
    """The latent points [N, latent] of the samples of these numbers."""
    keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.asarray(numbers, jnp.uint32))
    return np.asarray(jax.vmap(lambda k: players.draw(k, 1)[0])(keys))


def _classes(labels: str, players: Players, num_classes: int) -> np.ndarray:
    if not players.conditional:
        if labels:
            raise UserError("--labels is for a conditional generator, and this one is not: leave the flag out.")
        return np.zeros(1, np.int32)
    chosen = _numbers(labels, "--labels") if labels else list(range(num_classes))
    if max(chosen) >= num_classes:
        raise UserError(f"--labels={labels}: there are {num_classes} classes, 0 to {num_classes - 1}.")
    return np.array(chosen, np.int32)


def _numbers(text: str, flag: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"{flag}: {text.strip()!r} is no list of numbers such as 3,8,12.")
    return [int(part) for part in parts]


def _between(pairs: str, way: str, players: Players, key: jax.Array, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if way not in WAYS:
        raise UserError(f"--way must be one of {', '.join(WAYS)}, got {way!r}.")
    ends = [_numbers(pair.replace("-", ","), "--interpolate") for pair in pairs.split(",")]
    if any(len(pair) != 2 for pair in ends):
        raise UserError(f"--interpolate={pairs}: give pairs of numbers of samples, such as 0-5,7-2.")
    parts = np.linspace(0, 1, COLUMNS)
    drawn = [latents(players, key, np.array(pair)) for pair in ends]
    z = np.concatenate([WAYS[way](z[0], z[1], parts) for z in drawn])
    return z, np.repeat([classes[pair[0] % len(classes)] for pair in ends], COLUMNS)


def _calculated(
    formula: str, players: Players, key: jax.Array, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of COLUMNS latent points: each group's members, then its mean; the result and variations. Blanks have no caption."""
    signs, groups = re.findall(r"[+-]", formula), [_numbers(g, "--arithmetic") for g in re.split(r"[+-]", formula)]
    if any(len(group) > COLUMNS - 1 for group in groups):
        raise UserError(f"--arithmetic={formula}: a group has at most {COLUMNS - 1} samples.")
    rows, captions, result = [], [], np.zeros(players.latent, np.float32)
    for sign, group in zip(["+", *signs], groups, strict=True):
        members = latents(players, key, np.array(group))
        mean = members.mean(0)
        result = result + mean if sign == "+" else result - mean
        rows += [*members, *[mean] * (COLUMNS - len(members))]
        captions += [*map(str, group), f"{sign} mean", *[""] * (COLUMNS - 1 - len(group))]
    noise = jax.random.uniform(key, (COLUMNS - 1, players.latent), minval=-SPREAD, maxval=SPREAD)
    rows += [result, *(result + np.asarray(noise))]
    captions += ["result", *["varied"] * (COLUMNS - 1)]
    return np.stack(rows).astype(np.float32), np.full(len(rows), classes[0]), captions


def _by_attributes(
    text: str,
    players: Players,
    key: jax.Array,
    classes: np.ndarray,
    show: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> dict[str, Artifact]:
    """An arithmetic by two measured attributes, and a row along the direction of each; with a table of what was measured."""
    chosen = latent_attributes.names(text)
    z = latents(players, key, np.arange(latent_attributes.DRAWN))
    parts = np.array_split(z, len(z) // 100)
    drawn = np.concatenate([show(part, np.full(len(part), classes[0])) for part in parts]) / np.float32(255)
    values = {name: latent_attributes.ATTRIBUTES[name](drawn) for name in chosen}
    found = latent_attributes.groups(*(latent_attributes.standardised(values[name]) for name in chosen))
    both, second, neither = (",".join(map(str, group)) for group in found.tolist())
    points, _, captions = _calculated(f"{both} - {second} + {neither}", players, key, classes)
    probes = {name: latent_attributes.probe(z, values[name]) for name in chosen}
    ways = np.linspace(-1, 1, COLUMNS)
    steps = ways[:, None] * np.linalg.norm(z, axis=1).mean()
    points = np.concatenate([points, *(z[0] + steps * probe.direction for probe in probes.values())]).astype(np.float32)
    images = show(points, np.full(len(points), classes[0]))
    means = [i for i, caption in enumerate(captions) if caption.endswith("mean") or caption == "result"]
    table = []
    for name, probe in probes.items():
        measured = latent_attributes.ATTRIBUTES[name](images[means] / np.float32(255))
        scores = (measured - values[name].mean()) / values[name].std()
        table.append([name, *(f"{score:+.2f}" for score in scores.tolist()), f"{probe.r2:.2f}"])
    captions += [f"{name} {way:+.1f}" for name in chosen for way in ways]
    images[[caption == "" for caption in captions]] = 255  # where a row is not full
    header = ["", f"{chosen[0]} and {chosen[1]}", f"{chosen[1]} alone", "neither", "result", "R2 of the probe"]
    return {"arithmetic": Images(images, captions, COLUMNS), "in standard deviations": Table(header, table)}


PUBLIC = {"adversarial": generate}
