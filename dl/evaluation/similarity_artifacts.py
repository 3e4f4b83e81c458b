"""What an embedding looks like: neighbours, mistakes, the ROC, distances, and the published one-shot results beside ours."""

from collections.abc import Sequence

import numpy as np

from dl.artifacts import Artifact, Curves, Images, Scatter, Table
from dl.evaluation import one_shot
from dl.evaluation.one_shot import Distance, Episode, euclidean
from dl.evaluation.verification import Pairs, roc
from dl.task import Evaluation

SHOWN = 8  # rows of neighbours, and of mistakes
NEIGHBOURS = 7
MAP_CLASSES, MAP_POINTS = 10, 1500  # of the two-dimensional map
BINS = 40
# Accuracy in percent on 20-way one-shot trials of Omniglot, as in Koch, Zemel & Salakhutdinov 2015, table 3.
PUBLISHED = (
    ("humans", 95.5),
    ("hierarchical Bayesian program learning", 95.2),
    ("affine model", 81.8),
    ("hierarchical deep", 65.2),
    ("deep Boltzmann machine", 62.0),
    ("simple stroke", 35.2),
    ("1-nearest neighbour", 21.7),
    ("Siamese neural net (fully connected)", 58.3),
    ("convolutional Siamese net", 92.0),
)


def artifacts(evaluation: Evaluation, distance: Distance, pairs: Pairs | None, names: Sequence[str]) -> dict[str, Artifact]:
    """For a split of one-shot runs (no `pairs`) the table and the mistakes, for any other ROC, distances, neighbours, a map."""
    if pairs is None:
        return _runs(evaluation, distance)
    curve = roc(pairs.distance, pairs.same)
    shown: dict[str, Artifact] = {
        "ROC": Curves(
            {"pairs": (curve.accepted_wrongly, curve.accepted_rightly), "chance": (np.arange(2.0), np.arange(2.0))},
            "different pairs accepted",
            "same pairs accepted",
        )
    }
    edges = np.linspace(pairs.distance.min(), pairs.distance.max(), BINS + 1)
    sides = {"same": pairs.distance[pairs.same], "different": pairs.distance[~pairs.same]}
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in sides.items()}
    centres = (edges[1:] + edges[:-1]) / 2
    shown["distances"] = Curves({k: (centres, v) for k, v in shares.items()}, "distance", "share of the pairs")
    shown["embedding, first two principal components"] = _map(evaluation, names)
    shown["nearest neighbours"] = _neighbours(evaluation, distance, names)
    shown["farthest same, nearest different"] = _hardest(evaluation, pairs)
    return shown


def _runs(evaluation: Evaluation, distance: Distance) -> dict[str, Artifact]:
    outputs = evaluation.outputs
    episodes = one_shot.run_episodes(outputs)
    taken = one_shot.recognise(episodes, outputs["embedding"], distance)
    images = evaluation.examples(np.arange(len(outputs["run"])))["image"]
    pixels = images.reshape(len(images), -1)
    pixels = pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)  # compared by their angle
    nearest = one_shot.error(episodes, one_shot.recognise(episodes, pixels, euclidean))
    side = "x".join(map(str, images.shape[1:3]))
    rows: list[tuple[str, float, str]] = [(name, percent, "published") for name, percent in PUBLISHED]
    rows.append((f"1-nearest neighbour by the angle, {side} pixels", round(100 * (1 - nearest), 1), "here"))
    rows.append(("this run", round(100 * (1 - one_shot.error(episodes, taken)), 1), "here"))
    table = Table(("method", "accuracy, %", "source"), rows)
    accuracy = [float((t == e.answer).mean()) for e, t in zip(episodes, taken, strict=True)]
    each = [(i, round(100 * share, 1)) for i, share in enumerate(accuracy, 1)]
    return {
        "20-way one-shot on Omniglot": table,
        "accuracy of each run": Table(("run", "accuracy, %"), each),
        "mistakes": _mistakes(_scaled(images), episodes, taken),
    }


def _mistakes(pixels: np.ndarray, episodes: Sequence[Episode], taken: Sequence[np.ndarray]) -> Images:
    """Threes: the query, what it was taken for, what it is."""
    chosen: list[int] = []
    captions: list[str] = []
    for number, (episode, guess) in enumerate(zip(episodes, taken, strict=True), 1):
        for q in np.flatnonzero(guess != episode.answer)[:2]:
            chosen += [episode.query[q], episode.support[guess[q], 0], episode.support[episode.answer[q], 0]]
            captions += [f"query, run {number}", "taken for", "is"]
    return Images(pixels[chosen], captions, columns=6)


def _scaled(images: np.ndarray) -> np.ndarray:
    """Standardised images scaled to 0..1, from the darkest pixel to the lightest."""
    low, high = (float(f(images)) for f in (np.min, np.max)) if images.size else (0.0, 1.0)
    return (images - low) / max(high - low, 1e-6)


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def _map(evaluation: Evaluation, names: Sequence[str]) -> Scatter:
    embedding, labels = evaluation.outputs["embedding"], evaluation.outputs["label"]
    classes = np.unique(labels)
    classes = classes[:: max(len(classes) // MAP_CLASSES, 1)][:MAP_CLASSES]
    rows = np.flatnonzero(np.isin(labels, classes))
    rows = rows[:: max(len(rows) // MAP_POINTS, 1)]
    centred = (embedding[rows] - embedding[rows].mean(0)).astype(np.float64)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    points[:, : left.shape[1]] = (left * scale)[:, :2]
    return Scatter(points, np.searchsorted(classes, labels[rows]), tuple(_name(names, int(c)) for c in classes))


def _neighbours(evaluation: Evaluation, distance: Distance, names: Sequence[str]) -> Images:
    embedding, labels = evaluation.outputs["embedding"], evaluation.outputs["label"]
    chosen: list[int] = []
    captions: list[str] = []
    for query in np.linspace(0, len(labels) - 1, min(SHOWN, len(labels))).astype(int):
        apart = np.concatenate([distance(embedding[query], part) for part in np.array_split(embedding, len(labels) // 512 + 1)])
        apart[query] = np.inf
        nearest = np.argsort(apart, kind="stable")[: min(NEIGHBOURS, len(labels) - 1)]
        chosen += [int(query), *map(int, nearest)]
        captions += [_name(names, int(labels[query]))]
        captions += [f"{'same' if labels[i] == labels[query] else 'other'}, {apart[i]:.3g}" for i in nearest]
    return Images(_scaled(evaluation.examples(np.array(chosen))["image"]), captions, columns=NEIGHBOURS + 1)


def _hardest(evaluation: Evaluation, pairs: Pairs) -> Images:
    """Twos: the same and far apart, then different and near."""
    order = np.argsort(pairs.distance, kind="stable")
    far = order[pairs.same[order]][::-1][:SHOWN]
    near = order[~pairs.same[order]][:SHOWN]
    rows = np.concatenate([far, near])
    chosen = np.stack([pairs.left[rows], pairs.right[rows]], axis=1).reshape(-1)
    captions = [text for p in rows for text in (f"{'same' if pairs.same[p] else 'different'}", f"{pairs.distance[p]:.3g}")]
    return Images(_scaled(evaluation.examples(chosen)["image"]), captions, columns=SHOWN)
