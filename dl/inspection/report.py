"""The page of an inspection: the network, each image, the classes, adversarial examples."""

from collections.abc import Callable, Sequence
from html import escape

import jax
import numpy as np

from dl.artifacts import Table
from dl.evaluation.filters import first_layer_filters
from dl.inspection import views
from dl.inspection.choices import Choices
from dl.inspection.network import Network
from dl.inspection.subjects import Subject
from dl.inspection.views import Shown
from dl.report import page

MOST_CLASSES = 10
FOOTER = "Each image has its own scale: full strength is the 99.5th percentile of its magnitudes."


def render(
    network: Network,
    choices: Choices,
    subjects: Sequence[Subject],
    attacked: Sequence[Subject] = (),
    targets: Sequence[int] = (),
    maximised: Sequence[int] = (),
    whose: str = "",
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> str:
    """The page as HTML.

    Args:
        network: that is looked into.
        choices: what to look at.
        subjects: the images.
        attacked: the images under attack; by default the `subjects`.
        targets: the class that is asked after in each of the `subjects`; by default the likeliest.
        maximised: classes to find the best images of; by default the likeliest ones, or all where they are few.
        whose: says what the accuracy against epsilon is of.
        seed: seed of what is drawn.
        tell: is told how far it is.
    """
    run = views.programs(network, choices)
    tell(f"{network.name}: scores")
    scores = run.scores(np.stack([subject.pixels for subject in subjects]))
    probabilities = np.asarray(jax.nn.softmax(scores))
    labels = list(targets) or probabilities.argmax(-1).tolist()
    sections = {"Network": about(network)}
    for subject, label, probability in zip(subjects, labels, probabilities, strict=True):
        shown: Shown = {"Top 5": (_right(network, subject), views.top(network, probability, subject.label))}
        shown["Evidence"] = f"for {network.named(label)}", views.evidence(network, run, choices, subject, label, tell)
        if "projections" in choices.methods:
            shown |= views.projected(run, choices, subject, tell)
        if "activations" in choices.methods and choices.layers:
            shown |= views.activations(run, choices, subject, tell)
        sections[subject.title] = blocks(shown)
    if "classes" in choices.methods:
        few = range(len(network.class_names)) if len(network.class_names) <= MOST_CLASSES else dict.fromkeys(labels)
        chosen = (list(maximised) or list(few))[:MOST_CLASSES]
        sections["Classes"] = blocks(views.classes(network, run, choices, chosen, jax.random.key(seed), tell))
    if "adversarial" in choices.methods:
        shown = views.attacks(network, run, choices, list(attacked or subjects), whose, jax.random.key(seed), tell)
        sections["Adversarial examples"] = blocks(shown)
    return page.document(f"Inside {escape(network.name)}", "", sections, f"inside {network.name}", FOOTER)


def about(network: Network) -> str:
    """What the network is: layers, sizes, its first filters."""
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(network.variables["params"]))
    height, width, channels = network.shape
    facts = {f"{count:,}": "parameters", f"{height} x {width} x {channels}": "pixels", str(len(network.class_names)): "classes"}
    cards = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for value, name in facts.items())
    shown: Shown = {}
    filters = first_layer_filters(network.variables["params"], network.shape)
    if filters is not None:
        shown["First-layer filters"] = "grey is zero", filters._replace(columns=10)
    layers = [(name, " x ".join(map(str, shape))) for name, shape in network.layers().items()]
    shown["Layers"] = "what each gives for an image", Table(("layer", "shape"), layers)
    return f'<div class="facts">{cards}</div>{blocks(shown)}'


def blocks(shown: Shown) -> str:
    """Artifacts as cards."""
    cards = "".join(page.artifact_section(title, subtitle, artifact) for title, (subtitle, artifact) in shown.items())
    return f'<div class="blocks">{cards}</div>'


def _right(network: Network, subject: Subject) -> str:
    return "" if subject.label is None else f"it is: {network.named(subject.label)}"
