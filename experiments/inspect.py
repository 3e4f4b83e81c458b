"""Looks inside a trained classifier: what it sees in images, what its features are, what deceives it.

    python -m experiments.inspect --workdir=runs/lenet5 digit.png
    python -m experiments.inspect --workdir=runs/lenet5 --split=test --examples=4
    python -m experiments.inspect --model=squeezenet --weights=squeezenet_v1.0_oihw_float32.npz --classes=synset_words.txt china
    python -m experiments.inspect --model=vgg16 --weights=vgg16.pth --cam=conv5_3 --projected=conv3_1,pool5 photo.jpg

Writes one page: first-layer filters; for each image the likeliest classes, input gradients, guided backpropagation, Grad-CAM,
an occlusion map, the strongest features projected to the pixels, and activations; class maximisation; adversarial examples with
the accuracy against epsilon, of a run over its test split. The methods are in `dl/inspection/`.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dl.errors import UserError, unknown
from experiments import program

if TYPE_CHECKING:
    from dl.inspection.network import Network
    from dl.inspection.subjects import Subject

FLAGS = flags.FLAGS
PAGE = "inspection.html"
FOLDER = Path("runs", "inspection")  # of the page where there is no run: git does not look there


def main(argv: list[str]) -> None:
    """Looks, and prints where the page is."""
    if bool(FLAGS.workdir) == bool(FLAGS.weights):
        raise UserError("give --workdir=DIR of a run, or --model=NAME --weights=FILE.")
    program.start_jax()
    from dl.inspection import choices, report
    from dl.report import page

    begin = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - begin:5.0f} s  {line}", file=sys.stderr, flush=True)

    methods = FLAGS.methods or choices.METHODS
    for method in methods:
        if method not in choices.METHODS:
            raise unknown("method", method, choices.METHODS)
    network, resize = loaded()
    given = {"square": FLAGS.square, "pgd_steps": FLAGS.pgd_steps, "ascent_steps": FLAGS.ascent_steps}
    chosen = choices.choose(
        network, methods, FLAGS.layers, FLAGS.projected, FLAGS.cam, epsilons=epsilons(FLAGS.epsilons), **given
    )
    subjects, attacked = looked_at(argv[1:], network, resize)
    targets = [class_number(network, FLAGS.target)] * len(subjects) if FLAGS.target else []
    maximised = [class_number(network, name) for name in FLAGS.maximised]
    whose = f"the first {len(attacked)} of {FLAGS.split}" if attacked else "the images of this page"
    html = report.render(network, chosen, subjects, attacked, targets, maximised, whose, FLAGS.seed, tell)
    default = (Path(FLAGS.workdir, "report") if FLAGS.workdir else FOLDER) / PAGE
    print(page.save(Path(FLAGS.out) if FLAGS.out else default, html))


def loaded() -> "tuple[Network, int]":
    """The network, and the shorter side that images are scaled to before their middle is cut out.

    Raises:
        UserError: it can't be loaded, or its class names are not as many as its classes.
    """
    import jax

    from dl.inspection.network import Network
    from experiments.convert import load, model_settings

    settings = model_settings(FLAGS.set)
    where = (FLAGS.data_dir, FLAGS.manual_dir)
    source = FLAGS.workdir or FLAGS.weights
    found = load(source, FLAGS.model, settings, FLAGS.checkpoint, FLAGS.replica, FLAGS.classes, *where)
    names = found.class_names or tuple(f"class {i}" for i in range(found.num_classes))
    shape, resize = found.shape, found.resize
    if FLAGS.side:
        shape, resize = (FLAGS.side, FLAGS.side, shape[2]), round(FLAGS.side * resize / min(shape[:2]))
    return Network(found.name, found.model, jax.device_put(found.variables), found.mean, found.std, shape, names), resize


def looked_at(names: list[str], network: "Network", resize: int) -> "tuple[list[Subject], list[Subject]]":
    """The images to look at, and, of a run, those to attack: the first of its test split.

    Raises:
        UserError: no image; one that can't be read.
    """
    from dl.inspection import subjects
    from dl.training.workdir import read_config

    found = [subjects.from_file(name, network, resize, FLAGS.manual_dir) for name in names]
    if not FLAGS.workdir:
        if not found:
            raise UserError("give the images to look at: python -m experiments.inspect ... IMAGE...")
        return found, []
    from dl.training.restored import folders

    workdir = Path(FLAGS.workdir).absolute()
    config = read_config(workdir)
    data_dir, manual_dir = folders(workdir, FLAGS.data_dir, FLAGS.manual_dir)
    attacked = subjects.from_split(config, FLAGS.split, max(FLAGS.attacked, FLAGS.examples), data_dir, manual_dir)
    return found or attacked[: FLAGS.examples], attacked[: FLAGS.attacked]


def class_number(network: "Network", name: str) -> int:
    """A class by its number or name, or a part of the name that only it has.

    Raises:
        UserError: none, or several.
    """
    if name.isdecimal() and name not in network.class_names:
        if int(name) >= len(network.class_names):
            raise UserError(f"there is no class {name}: the network has {len(network.class_names)}, counted from 0.")
        return int(name)
    exact = [i for i, known in enumerate(network.class_names) if name.lower() in (p.strip().lower() for p in known.split(","))]
    near = exact or [i for i, known in enumerate(network.class_names) if name.lower() in known.lower()]
    if not near:
        raise UserError(
            f"no class is named {name!r}: give a class's name, or its number from 0 to {len(network.class_names) - 1}."
        )
    if len(near) > 1:
        several = ", ".join(f"{i} {network.class_names[i]}" for i in near[:5])
        raise UserError(f"{name!r} may be any of {len(near)} classes ({several}): give its number.")
    return near[0]


def epsilons(given: list[str]) -> list[float]:
    """Numbers, or fractions such as 8/255.

    Raises:
        UserError: what is neither.
    """
    from fractions import Fraction

    try:
        return [float(Fraction(text.replace(" ", ""))) for text in given]
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"--epsilons={','.join(given)}: give numbers such as 0.01,0.03 or 2/255,8/255.") from error


if __name__ == "__main__":
    from experiments.convert import define_model

    define_model()
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of a run that trained a classifier.")
    flags.DEFINE_string("weights", None, "File of weights, or a folder of experiments.convert.")
    flags.DEFINE_string("out", None, f"The page to write; by default DIR/report/{PAGE} of a run, else {FOLDER / PAGE}.")
    flags.DEFINE_list("methods", [], "What to look at, by default all; see dl/inspection/choices.py.")
    flags.DEFINE_list("layers", [], "Layers whose activations are shown.")
    flags.DEFINE_list("projected", [], "Layers whose strongest features are projected to the pixels.")
    flags.DEFINE_string("cam", "", "Layer of Grad-CAM; by default the last one with maps of features.")
    flags.DEFINE_string("target", None, "Class (number or name) whose evidence is shown; by default each image's likeliest.")
    flags.DEFINE_list(
        "maximised", [], "Classes to find the best image of; by default the likeliest, or all where there are ten."
    )
    flags.DEFINE_integer("ascent_steps", 60, "Steps of class maximisation.", lower_bound=1)
    flags.DEFINE_integer("square", 0, "Side in pixels of the occluding square; 0 is a fifth of the image.", lower_bound=0)
    flags.DEFINE_list("epsilons", [], "Largest changes of a pixel in 0..1 by adversarial examples, such as 2/255,8/255.")
    flags.DEFINE_integer("pgd_steps", 10, "Steps of projected gradient descent.", lower_bound=1)
    flags.DEFINE_integer("side", None, "Of the square that is cut out of the middle, in pixels.", lower_bound=1)
    flags.DEFINE_string("split", "test", "Of a run: the split that examples and attacked images are of.")
    flags.DEFINE_integer("examples", 4, "Of a run: how many images of the split to show, where none are named.", lower_bound=1)
    flags.DEFINE_integer("attacked", 200, "Of a run: how many images of the split to attack.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
    program.run(main)
