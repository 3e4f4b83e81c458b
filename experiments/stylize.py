"""Paints an image in the style of others (see dl/tasks/style_transfer.py).

    python -m experiments.stylize --content=photo.jpg --style=painting.jpg --out=image.png --manual_dir=archives
    python -m experiments.stylize --content=photo.jpg --style=a.jpg --style=b.jpg --style_weight=2 --style_weight=1 --out=c.png
    python -m experiments.stylize --style=painting.jpg --out=texture.png                    the style alone
    python -m experiments.stylize --style=portrait.jpg --style_map=portrait_map.png --content_map=doodle.png --out=image.png

`--content=china` and `flower` are scikit-learn's photographs. The network is SqueezeNet, its weights are in --manual_dir;
another one by --config=configs/style_transfer.py --config.task.weights=FILE. With --workdir, a stopped run goes on, and
leaves a report.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from dl.errors import UserError
from dl.signals import EXIT_CODES
from experiments import program

FLAGS = flags.FLAGS
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "style_transfer.py:quick"
DEFAULT_NOISE = 0.1  # of a start from noise


def main(argv: list[str]) -> None:
    """Paints, and prints the loss of each layer."""
    if len(argv) > 1:
        raise UserError(f"what is {argv[1]!r}? Images are given by --content and --style.")
    program.start_jax()
    config = configured(FLAGS.config, {name: FLAGS[name].value for name in SETTINGS if FLAGS[name].present})
    out = checked(Path(FLAGS.out))
    if FLAGS.workdir:
        stopped = paint(config, out, Path(FLAGS.workdir).absolute(), FLAGS.manual_dir)
    else:
        with tempfile.TemporaryDirectory(prefix="stylize-") as folder:
            stopped = paint(config, out, Path(folder) / "run", FLAGS.manual_dir)
    if stopped and not FLAGS.workdir:
        print("nothing was kept: with --workdir the same command would go on.", file=sys.stderr)
    if stopped:
        sys.exit(EXIT_CODES[stopped])


def configured(config: ConfigDict, given: Mapping[str, Any]) -> ConfigDict:
    """The configuration with the flags that were given put in.

    Raises:
        UserError: flags that do not go together.
    """
    config = config.copy_and_resolve_references()
    task = config.task
    styles = tuple(given.get("style", ()))
    task.update(content=given.get("content", ""), styles=styles, style_weights=tuple(given.get("style_weight", ())))
    task.update(content_map=given.get("content_map", ""), style_maps=tuple(given.get("style_map", ())))
    if not task.content and not styles:
        raise UserError("give --content=IMAGE, --style=IMAGE, or both.")
    task.init = given.get("init", "content" if task.content and styles else "noise")
    task.noise = given.get("noise", DEFAULT_NOISE if task.init == "noise" else 0.0)
    task.colour = given.get("keep_colour", "style") if given.get("keep_colour") != "none" else "style"
    for flag, key in (("size", "size"), ("style_strength", "style_weight"), ("smoothness", "total_variation")):
        if flag in given:
            task[key] = given[flag]
    config.update({key: given[key] for key in ("steps", "seed") if key in given})
    if given.get("optimizer") == "adam":
        config.optimizer.update(name="adam", learning_rate=0.03, schedule={"name": "cosine"})
    return config


def checked(out: Path) -> Path:
    """The path of the image, before anything is computed for it.

    Raises:
        UserError: its folder is missing, or it is of no kind of image that can be written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out={out} must end in one of {', '.join(SUFFIXES)}.")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out={out}: there is no folder {out.parent}.")
    return out


def paint(config: ConfigDict, out: Path, workdir: Path, manual_dir: str | None) -> str:
    """Trains in a workdir and writes the image; returns what stopped it (see `dl.training.run.begin`), or "".

    Raises:
        UserError: an image or weights are missing or do not fit, or the image can't be written.
    """
    import numpy as np
    from PIL import Image

    from dl.report import artifacts
    from dl.training.run import begin

    stopped, result = begin(config, workdir, None, manual_dir)
    if result is None:
        return stopped
    made: Any = artifacts.load(workdir)
    pixels = np.round(255 * made["test", "result"].pixels[0]).astype(np.uint8)
    try:
        Image.fromarray(pixels).save(out)
    except OSError as error:
        raise UserError(f"--out={out} can't be written: {error.strerror or error}.") from error
    for row in made["test", "losses"].rows:
        print("  ".join(f"{cell!s:>15}" for cell in row))
    print(f"{out}: {pixels.shape[1]}x{pixels.shape[0]} pixels, {result['steps']} steps in {result['wall_seconds']:.0f} s")
    return ""


SETTINGS = (
    "content",
    "style",
    "style_weight",
    "content_map",
    "style_map",
    "size",
    "steps",
    "optimizer",
    "keep_colour",
    "init",
    "noise",
    "seed",
    "style_strength",
    "smoothness",
)

if __name__ == "__main__":
    program.define_config(str(CONFIG))
    flags.DEFINE_string("content", None, "The photograph; none: the style alone.")
    flags.DEFINE_multi_string("style", None, "A painting; may be given several times.")
    flags.DEFINE_multi_float("style_weight", None, "Of each style, in their order; alike by default.", lower_bound=0.0)
    flags.DEFINE_string("content_map", None, "Where which style goes: an image of flat colours in the content's proportions.")
    flags.DEFINE_multi_string("style_map", None, "For each style: which part is meant by which colour of --content_map.")
    flags.DEFINE_string("out", None, "The image to write.", required=True)
    flags.DEFINE_integer("size", None, "Longer side, in pixels.", lower_bound=16)
    flags.DEFINE_integer("steps", None, "Steps of the optimizer.", lower_bound=1)
    flags.DEFINE_enum("optimizer", "lbfgs", ["lbfgs", "adam"], "Which one.")
    flags.DEFINE_enum("keep_colour", "none", ["none", "luminance", "match"], "Keep the content's colours, and how.")
    flags.DEFINE_enum("init", None, ["content", "style", "noise"], "What is painted over.")
    flags.DEFINE_float("noise", None, "Deviation of the noise at the start, of pixels in 0..1.", lower_bound=0.0)
    flags.DEFINE_integer("seed", None, "Of the noise.", lower_bound=0)
    flags.DEFINE_float("style_strength", None, "Weight of the style, beside the content's 1.", lower_bound=0.0)
    flags.DEFINE_float("smoothness", None, "Weight of the total variation.", lower_bound=0.0)
    flags.DEFINE_string("manual_dir", None, "Folder of archives, for the network's weights.")
    flags.DEFINE_string("workdir", None, "Folder of the run, to go on in or to look at; by default a temporary one.")
    program.run(main)
