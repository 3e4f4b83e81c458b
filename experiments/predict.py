"""Says what images show: the likeliest classes of each, with their probabilities; or where objects are, drawn over the image.

    python -m experiments.predict --model=resnet50 --weights=resnet50.pth --classes=synset_words.txt photo.jpg scan.png
    python -m experiments.predict --weights=weights/resnet50 photo.jpg          a folder of experiments.convert
    python -m experiments.predict --workdir=runs/cifar10_resnet20 cat.png       a run
    python -m experiments.predict --workdir=runs/bccd --out=found cells.jpg          a run of detection
    python -m experiments.predict --workdir=runs/camvid_unet --out=seen street.jpg          a run of segmentation

Images are JPEG, PNG, PNM or BMP of any kind: 16 bits, CMYK, palettes, greys, transparency (over white), turned by their EXIF;
`china` and `flower` are scikit-learn's photographs. As in the published evaluations, the shorter side becomes 256 pixels and a
square of 224 (227 for Caffe's SqueezeNet) is cut out of the middle; --side=N cuts out another.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Prints a table for each image."""
    if not argv[1:]:
        raise UserError("which images? Give their paths after the flags; `china` is a photograph that is always there.")
    if bool(FLAGS.weights) == bool(FLAGS.workdir):
        raise UserError("give --weights=FILE, with its --model, or --workdir=DIR of a run.")
    program.start_jax()
    from dl import registry
    from dl.training.workdir import read_config
    from experiments.convert import load, model_settings

    if FLAGS.workdir:
        config = read_config(Path(FLAGS.workdir).absolute())  # its message says what is missing
        if show := registry.public("dl.generation", "PICTURES").get(config.task.name):
            draw(show, config, Path(FLAGS.workdir).absolute(), argv[1:])
            return
    found = load(
        FLAGS.weights or FLAGS.workdir,
        FLAGS.model,
        model_settings(FLAGS.set),
        FLAGS.checkpoint,
        FLAGS.replica,
        FLAGS.classes,
        FLAGS.data_dir,
        FLAGS.manual_dir,
    )
    for name, ranked in zip(argv[1:], predict(found, argv[1:], FLAGS.top, FLAGS.side, FLAGS.manual_dir), strict=True):
        if FLAGS.json:
            print(json.dumps({"image": name, "classes": [{"name": n, "probability": p} for n, p in ranked]}))
            continue
        print(name)
        for label, probability in ranked:
            print(f"  {probability:7.2%}  {label}")


def draw(show: Any, config: Any, workdir: Path, names: list[str]) -> None:
    """Prints what a run finds on each image, and writes the images with it, as PNG, into `--out` or the workdir's `predicted`.

    Args:
        show: of the table `PICTURES` of `dl.generation`.
        config: configuration of the run.
        workdir: its folder.
        names: names of the images.

    Raises:
        UserError: an image is missing or can't be decoded, no checkpoint, or a folder that can't be written.
    """
    from dl.artifacts import Images
    from dl.data import image_files
    from dl.generation import segmentation as label_maps
    from dl.report import montage
    from dl.training.restored import restore

    images = [image_files.read(name, manual_dir=FLAGS.manual_dir) for name in names]
    run = restore(config, workdir, FLAGS.checkpoint, FLAGS.data_dir, FLAGS.manual_dir)
    folder = Path(FLAGS.out).expanduser() if FLAGS.out else workdir / "predicted"
    for name, shown in zip(names, show(run.experiment, *run.replica(FLAGS.replica), images), strict=True):
        file = montage.save(folder / f"{Path(name).stem}.png", Images(shown.picture[None], columns=1))
        print(f"{name}: {file}")
        if (labels := getattr(shown, "labels", None)) is not None:
            print(f"  label map: {label_maps.save(folder / f'{Path(name).stem}_labels.png', labels)}")
        for line in shown.lines or ["  nothing"]:
            print(line)


def predict(
    found: Any, names: list[str], top: int = 5, side: int | None = None, manual_dir: str | None = None
) -> list[list[tuple[str, float]]]:
    """For each image, its `top` likeliest classes, (name, probability), the likeliest first.

    Args:
        found: a `dl.interop.classifier.Classifier`.
        names: names of the images, see `dl.data.image_files`.
        top: number of classes shown.
        side: side of the square to look at in pixels; None for the network's own.
        manual_dir: a folder to look for images in, too.

    Raises:
        UserError: an image is missing or can't be decoded, or the network can't take images of that size.
    """
    import jax
    import numpy as np
    from flax.errors import ScopeParamShapeError

    from dl.data import image_files

    shape, resize = found.shape, found.resize
    if side:
        shape, resize = (side, side, shape[2]), round(side * resize / min(shape[:2]))
    chosen = [image_files.central(image_files.read(name, manual_dir=manual_dir), shape, resize) for name in names]
    variables = jax.device_put(found.variables)

    @jax.jit
    def probabilities(variables: Any, pixels: jax.Array) -> jax.Array:
        return jax.nn.softmax(found.model.apply(variables, (pixels - found.mean) / found.std))

    try:
        jax.eval_shape(probabilities, variables, jax.ShapeDtypeStruct((1, *shape), np.float32))
    except ScopeParamShapeError as error:  # of a dense layer that reads the whole image
        usual = "x".join(map(str, found.shape[:2]))
        raise UserError(f"{found.name} takes images of {usual} alone: leave out --side={side}.") from error
    labels = found.class_names or tuple(f"class {i}" for i in range(found.num_classes))
    out = []
    for pixels in chosen:  # one after the other: a long list needs no more memory than a short one
        values = np.asarray(probabilities(variables, pixels[None]))[0]
        out.append([(labels[i], float(values[i])) for i in np.argsort(-values, kind="stable")[:top]])
    return out


if __name__ == "__main__":
    from experiments import convert

    convert.define_model()
    program.define_data()
    for module in (convert, program):  # so that --help tells of their flags, too
        flags.adopt_module_key_flags(module)
    flags.DEFINE_string("weights", None, "File of weights, or a folder of experiments.convert.")
    flags.DEFINE_string("workdir", None, "Folder of a run of a classifier, a detector or a segmentation.")
    flags.DEFINE_string("out", "", "Folder for images with what is on them; by default `predicted` in --workdir.")
    flags.DEFINE_integer("top", 5, "How many classes to print.", lower_bound=1)
    flags.DEFINE_integer("side", None, "Of the square that is cut out of the middle, in pixels.", lower_bound=1)
    flags.DEFINE_bool("json", False, "Print JSON, one line per image.")
    program.run(main)
