"""What is measured of generated points, and shown."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from dl.artifacts import Artifact, Curves, Scatter, Table
from dl.dataset import Info
from dl.evaluation.generative import expectation_maximisation, frechet_distance, modes
from dl.metric import HIGHER, LOWER, NEITHER, Metric
from dl.models.gan_mlp import Players
from dl.task import Evaluation

SHOWN = 1000  # points of each kind in the plot


class GeneratedPoints(NamedTuple):
    """Points whose labels are the components of a mixture.

    Metrics, of as many samples as the split has points:

        frechet                         squared Frechet distance of the points themselves
        modes, inside                   components covered, and the part of the samples within three deviations of one
        mixture_modes, mixture_inside   the same of samples from a Gaussian mixture fitted to the split by EM
    """

    info: Info

    def outputs(self, real: Array, fake: Array) -> dict[str, Array]:
        """What the measures need, for each example: traced."""
        return {"real": real, "sample": fake}

    def metrics(self, conditional: bool) -> dict[str, Metric]:
        """What is known of the metrics."""
        compared = {"mixture_modes": NEITHER, "mixture_inside": NEITHER}
        return {"frechet": LOWER, "modes": HIGHER, "inside": HIGHER, **compared}

    def summarize(self, outputs: Mapping[str, np.ndarray], conditional: bool) -> dict[str, float]:
        """The metrics."""
        real, samples, label, count = outputs["real"], outputs["sample"], outputs["label"], self.info.num_classes
        found = modes(samples, real, label, count)
        fitted = modes(expectation_maximisation(real, count, len(samples))[0], real, label, count)
        return {
            "frechet": frechet_distance(real, samples),
            "modes": float(found.covered),
            "inside": found.inside,
            "mixture_modes": float(fitted.covered),
            "mixture_inside": fitted.inside,
        }

    def render(
        self, players: Players, make: Callable[..., Array], score: Callable[..., Array], evaluation: Evaluation, key: Array
    ) -> dict[str, Artifact]:
        """Real and generated points, those of the fitted mixture, and the samples of each component.

        Args:
            players: the nets.
            make: not used.
            score: points and labels (or None) to D(x).
            evaluation: evaluation of a split.
            key: not used.
        """
        out = evaluation.outputs
        fitted, likelihood = expectation_maximisation(out["real"], self.info.num_classes, len(out["sample"]))
        kinds = {"real": out["real"], "generator": out["sample"], "Gaussian mixture": fitted}
        shown: dict[str, Artifact] = {}
        if out["real"].shape[1] == 2:
            parts = [spread(values) for values in kinds.values()]
            shown["points"] = Scatter(np.concatenate(parts), np.repeat(np.arange(3), list(map(len, parts))), tuple(kinds))
        elif out["real"].shape[1] == 1:
            shown["densities, and D(x)"] = densities(kinds, None if players.conditional else score)
        found = [modes(values, out["real"], out["label"], self.info.num_classes) for values in kinds.values()]
        rows: list[tuple[str | int | float, ...]] = [
            (str(k), *(int(m.counts[k]) for m in found)) for k in range(self.info.num_classes)
        ]
        rows.append(("modes covered", *(m.covered for m in found)))
        rows.append(("within three deviations", *(f"{m.inside:.1%}" for m in found)))
        rows.append(("frechet", *(f"{frechet_distance(out['real'], values):.4f}" for values in kinds.values())))
        rows.append(("log-likelihood of the real points", "", "none (implicit)", f"{likelihood:.3f}"))
        shown["modes"] = Table(("component", *kinds), rows)
        return shown


def spread(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
    """At most `SHOWN` of the points, at even distances through all: a mixture's samples come component by component."""
    return points[np.linspace(0, len(points) - 1, min(SHOWN, len(points))).round().astype(int)]


def densities(kinds: Mapping[str, np.ndarray], score: Callable[..., Array] | None) -> Curves:
    """Histograms of points on a line, and the discriminator over them, as figure 1 of Goodfellow et al. 2014."""
    low, high = (float(f(kinds["real"])) for f in (np.min, np.max))
    edges = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 81)
    middle = (edges[1:] + edges[:-1]) / 2
    lines = {name: (middle, np.histogram(values[:, 0], edges, density=True)[0]) for name, values in kinds.items()}
    if score is not None:
        lines["D(x)"] = (middle, np.asarray(score(middle[:, None].astype(np.float32), None)))
    return Curves(lines, "x", "density, D(x)")
