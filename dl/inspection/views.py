"""The report's images: each function applies one method to one image, or to all, and gives artifacts by their titles."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl.artifacts import Artifact, Curves, Images, Table
from dl.inspection import adversarial, class_maximisation, deconvolution, display, gradients, occlusion
from dl.inspection import grad_cam as cam
from dl.inspection.choices import Choices
from dl.inspection.network import Network
from dl.inspection.subjects import Subject

COLUMNS = 8
SMALL, LARGE = 64, 140  # sides in pixels of images in a grid of 8 and of 4
LEAST = 8  # pixels of an image around what a feature sees
BATCH_PIXELS = 51_529  # of a batch: one image of 227 x 227, or 50 of 32 x 32

Shown = dict[str, tuple[str, Artifact]]  # title -> (subtitle, artifact)
Tell = Callable[[str], None]


class Programs(NamedTuple):
    """The network's functions, each compiled once and used for all images; `scores` and `gradient` take any number of them."""

    scores: Callable[..., Any]
    gradient: Callable[..., Any]  # see `gradients.scores_and_gradient`
    guided: Callable[..., Any]
    grad_cam: Callable[..., Any]
    projections: Mapping[str, Callable[..., Any]]
    activations: Callable[..., Any]


def programs(network: Network, choices: Choices) -> Programs:
    """The compiled functions; nothing is compiled before it is called."""

    def project(look: Callable[..., Any], image: jax.Array) -> Any:
        return deconvolution.projections(lambda images: look(images)[1], image, COLUMNS)

    size = max(BATCH_PIXELS // (network.shape[0] * network.shape[1]), 1)
    both = network.compiled(gradients.scores_and_gradient)
    return Programs(
        in_batches(network.compiled(lambda scores, images: scores(images)), size),
        lambda images, labels, of_loss: in_batches(lambda images, labels: both(images, labels, of_loss), size)(images, labels),
        network.compiled(lambda scores, images, labels: gradients.input_gradient(scores, images, labels, "guided")),
        network.compiled(cam.grad_cam, choices.cam),
        {layer: network.compiled(project, layer) for layer in choices.projected},
        jax.jit(lambda images: network.look(network.variables, choices.layers, images)[1]),
    )


def top(network: Network, probabilities: np.ndarray, label: int | None, count: int = 5) -> Table:
    """The likeliest classes; the correct one is marked where it is known."""
    order = probabilities.argsort()[::-1][: min(count, len(probabilities))].tolist()
    rows = [(network.named(i), f"{probabilities[i]:.1%}" + (" (correct)" if i == label else "")) for i in order]
    return Table(("class", "probability"), rows)


def evidence(network: Network, run: Programs, choices: Choices, subject: Subject, label: int, tell: Tell) -> Images:
    """What speaks for a class, pixel by pixel and place by place."""
    image, target = subject.pixels[None], jnp.array([label])
    shown = {f"{network.named(label)}": display.coloured(subject.pixels)}
    sharp = None
    if "gradients" in choices.methods:
        tell(f"{subject.title}: gradients")
        slope = run.gradient(image, target, False)[1]
        shown["magnitude of the gradient\n(Simonyan et al. 2014)"] = display.grey(np.asarray(gradients.saliency(slope))[0])
        sharp = np.asarray(run.guided(image, target))[0]
        shown["guided backpropagation\n(Springenberg et al. 2015)"] = display.signed(sharp)
    if "grad_cam" in choices.methods and choices.cam:
        tell(f"{subject.title}: Grad-CAM")
        coarse = np.asarray(run.grad_cam(image, target))[0]
        shown[f"Grad-CAM at {choices.cam}\n(Selvaraju et al. 2017)"] = display.overlaid(subject.pixels, coarse)
        if sharp is not None:
            fine = display.resized(coarse, subject.pixels.shape[:2])[..., None] * sharp
            shown["guided Grad-CAM"] = display.signed(fine)
    if "occlusion" in choices.methods:
        tell(f"{subject.title}: occlusion")
        fall = occlusion.occlusion(
            lambda images: np.asarray(jax.nn.softmax(run.scores(images))), subject.pixels, label, choices.square, choices.stride
        )
        title = f"occlusion: the probability falls by up to {max(fall.max(), 0):.0%}\n(Zeiler & Fergus 2014)"
        shown[title] = display.overlaid(subject.pixels, np.maximum(fall, 0))
    pixels = np.stack([display.coloured(image) for image in shown.values()])
    return Images(pixels, tuple(shown), columns=3)


def projected(run: Programs, choices: Choices, subject: Subject, tell: Tell) -> Shown:
    """For each layer its strongest features: what they see, and under it that part of the image."""
    shown: Shown = {}
    for layer, project in run.projections.items():
        tell(f"{subject.title}: projections of {layer}")
        found = jax.device_get(project(subject.pixels))
        places = [display.extent(image, LEAST) for image in found.images]
        side, count = (SMALL, COLUMNS) if max(rows.stop - rows.start for rows, _ in places) <= SMALL else (LARGE, COLUMNS // 2)
        seen = [display.signed(p[rows, columns]) for p, (rows, columns) in zip(found.images[:count], places, strict=False)]
        parts = [subject.pixels[rows, columns] for rows, columns in places[:count]]
        captions = [f"channel {c}\n{peak:.3g}" for c, peak in zip(found.channels[:count], found.peaks, strict=False)]
        pixels = display.enlarged([*seen, *parts], side)
        subtitle = "what excites its strongest features, and where (Zeiler & Fergus 2014)"
        shown[f"{layer}, projected"] = subtitle, Images(pixels, (*captions, *("",) * len(parts)), columns=len(seen))
    return shown


def activations(run: Programs, choices: Choices, subject: Subject, tell: Tell) -> Shown:
    """The strongest maps of each layer; of a layer of vectors the numbers themselves, in rows."""
    tell(f"{subject.title}: activations")
    found = {name: np.asarray(value[0]) for name, value in run.activations(subject.pixels[None]).items()}
    shown: Shown = {}
    for name in choices.layers:
        value = found[name]
        if value.ndim == 3 and min(value.shape[:2]) > 1:
            strongest = np.abs(value).mean(axis=(0, 1)).argsort()[::-1][:COLUMNS]
            maps, captions = [value[..., channel] for channel in strongest], [f"channel {channel}" for channel in strongest]
            subtitle = f"the strongest of {value.shape[2]} maps of {value.shape[0]} x {value.shape[1]}"
        else:
            maps, captions, subtitle = [display.as_square(value.reshape(-1))], [""], f"its {value.size} activations, row by row"
        squares = display.enlarged([_squared(display.grey(np.abs(m))) for m in maps], SMALL)
        shown[name] = subtitle, Images(squares, captions, columns=COLUMNS)
    return shown


def classes(network: Network, run: Programs, choices: Choices, labels: list[int], key: jax.Array, tell: Tell) -> Shown:
    """The image that each class likes best."""
    mean = jnp.clip(jnp.asarray(network.mean), 0, 1)
    images, own = class_maximisation.maximise(
        lambda images, labels: run.gradient(images, labels, False),
        jnp.array(labels),
        network.shape,
        mean,
        key,
        choices.ascent,
        tell,
    )
    captions = [f"{network.named(label)}\nscore {score:.3g}" for label, score in zip(labels, np.asarray(own), strict=True)]
    subtitle = "the image whose score is largest (Simonyan et al. 2014)"
    return {"Class maximisation": (subtitle, Images(np.asarray(images), captions, columns=min(len(labels), 5)))}


def attacks(
    network: Network, run: Programs, choices: Choices, subjects: list[Subject], whose: str, key: jax.Array, tell: Tell
) -> Shown:
    """Accuracy against epsilon, and examples; without labels, what the network says of the clean image counts as correct."""
    images = jnp.asarray(np.stack([subject.pixels for subject in subjects]))
    said = np.asarray(run.scores(images).argmax(-1))
    given = [said[i] if subject.label is None else subject.label for i, subject in enumerate(subjects)]
    labels = jnp.array(given, jnp.int32)
    found = adversarial.accuracy_curve(
        run.scores,
        lambda images, labels: run.gradient(images, labels, True)[1],
        images,
        labels,
        choices.epsilons,
        key,
        choices.pgd_steps,
        tell,
    )
    names = {"FGSM (Goodfellow et al. 2015)": "fgsm", f"PGD, {choices.pgd_steps} steps (Madry et al. 2018)": "pgd"}
    levels = 255 * found.epsilons

    def curve(what: dict[str, np.ndarray], title: str) -> Curves:
        return Curves({name: (levels, what[key]) for name, key in names.items()}, "epsilon, in levels of 255", title)

    columns = [found.accuracy["fgsm"], found.accuracy["pgd"], found.probability["fgsm"], found.probability["pgd"]]
    rows = [(f"{e:.3g}/255", *(f"{part:.1%}" for part in parts)) for e, *parts in zip(levels, *columns, strict=True)]
    header = ("epsilon", "accuracy, FGSM", "PGD", "probability, FGSM", "PGD")
    return {
        "Accuracy against epsilon": (whose, curve(found.accuracy, "accuracy")),
        "Probability of the class": (whose, curve(found.probability, "mean probability")),
        "In numbers": (whose, Table(header, rows)),
        "Examples": (
            "of the smallest epsilon by which PGD changes the class",
            _examples(network, run.scores, found, subjects, said),
        ),
    }


def in_batches(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """The same function of any number of rows, computed in batches of `size`, the last one padded."""

    def run(*args: Any) -> Any:
        length = len(args[0])
        padded = [jnp.pad(a, ((0, -length % size), *((0, 0),) * (a.ndim - 1)), mode="edge") for a in map(jnp.asarray, args)]
        parts = [function(*(a[start : start + size] for a in padded)) for start in range(0, length, size)]
        return jax.tree.map(lambda *rows: jnp.concatenate(rows)[:length], *parts)

    return run


def _examples(
    network: Network, scores: Callable[..., Any], found: adversarial.Attacked, subjects: list[Subject], said: np.ndarray
) -> Images:
    """A row for each of a few images: itself, what PGD adds to it, enlarged, and the sum."""
    count = min(len(subjects), 4)
    last = [np.asarray(jax.nn.softmax(scores(jnp.asarray(e)))) for e in found.images["pgd"]]
    rows, captions = [], []
    for i in range(count):
        changed = [n for n, p in enumerate(last) if p[i].argmax() != said[i]]
        n = changed[0] if changed else len(last) - 1
        clean, attacked = subjects[i].pixels, found.images["pgd"][n][i]
        rows += [clean, display.signed(attacked - clean), attacked]
        first, other = int(said[i]), int(last[n][i].argmax())
        captions += [
            f"{network.named(first)} ({last[0][i, first]:.0%})",
            f"PGD, epsilon {255 * found.epsilons[n]:.3g}/255",
            f"{network.named(other)} ({last[n][i, other]:.0%})",
        ]
    return Images(np.stack(rows), captions, columns=3)


def _squared(image: np.ndarray) -> np.ndarray:
    """With black below or beside it, so that it is square."""
    side = max(image.shape[:2])
    return np.pad(image, [(0, side - image.shape[0]), (0, side - image.shape[1]), (0, 0)])
