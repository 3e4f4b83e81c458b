"""What a trained run makes: text from a language model, translations, captions of images, images from a generator.

    python -m experiments.generate --workdir=runs/shakespeare --prompt="ROMEO:" --temperature=0.8 --samples=4 --seed=1
    python -m experiments.generate --workdir=runs/shakespeare --temperature=0 --out=samples.html
    python -m experiments.generate --workdir=runs/multi30k --prompt="A man sleeps on a bench." --samples=3 --attention
    python -m experiments.generate --workdir=runs/multi30k --file=captions.en --out=captions.txt
    python -m experiments.generate --workdir=runs/flickr8k --images=photo.jpg,cat.png --attention --out=captions.html
    python -m experiments.generate --workdir=runs/faces --samples=100 --out=faces.html
    python -m experiments.generate --workdir=runs/faces --interpolate=3-17,5-8 --out=between.png
    python -m experiments.generate --workdir=runs/faces --arithmetic="3,8,12 - 1,5,9 + 2,4,7" --out=arithmetic.png
    python -m experiments.generate --workdir=runs/faces --attributes=dark_hair,light_mouth --out=attributes.html

Text is printed. `--out` writes a page with all that was made (images with their numbers), or, where it ends in .txt, the
text alone, or, where it ends in .png, the grid of images alone. The same flags and seed make the same, so that a sample keeps
its number. Flags that the run's task has no use for are refused.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from dl.artifacts import Artifact, Images, Text
from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS
# Settings of the generators; those not given take their defaults.
TEXT = ("prompt", "length", "temperature", "top_k")
TRANSLATIONS = ("file", "beam", "attention")
CAPTIONS = ("images",)
IMAGES = ("labels", "interpolate", "way", "arithmetic", "attributes")
SETTINGS = ("samples", *TEXT, *TRANSLATIONS, *CAPTIONS, *IMAGES)


def main(argv: list[str]) -> None:
    """Restores, generates, prints or writes."""
    program.start_jax()
    settings = {name: FLAGS[name].value for name in SETTINGS if FLAGS[name].value is not None}
    where = {"data_dir": FLAGS.data_dir, "manual_dir": FLAGS.manual_dir}
    made = generate(Path(FLAGS.workdir).absolute(), settings, FLAGS.seed, FLAGS.checkpoint, FLAGS.ema, FLAGS.replica, **where)
    texts = {name: artifact.text for name, artifact in made.items() if isinstance(artifact, Text)}
    whole = "\n\n".join(text if len(texts) == 1 else f"--- {name} ---\n{text}" for name, text in texts.items())
    if texts:
        print(whole)
    if len(texts) < len(made) and not FLAGS.out:
        raise UserError("this run makes more than text: give --out=FILE.html (or FILE.png for images) to see it.")
    if FLAGS.out:
        print(write(Path(FLAGS.out), whole, made))


def generate(
    workdir: Path,
    settings: Mapping[str, Any],
    seed: int = 0,
    which: str = "latest",
    ema: bool = True,
    replica: int = 0,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> dict[str, Artifact]:
    """What the run in a workdir makes.

    Args:
        workdir: folder of the run.
        settings: settings of its generator (a name of `dl.generation`), e.g. `samples`.
        seed: seed of all that is drawn.
        which: checkpoint, "latest" or "best".
        ema: whether to take the moving average of the parameters, where there is one.
        replica: replica of the run.
        data_dir: folder of prepared datasets; by default where the training found them.
        manual_dir: folder of archives; likewise.

    Raises:
        UserError: no such run or checkpoint, a task that makes nothing, or a setting that its generator does not know.
    """
    import jax

    from dl import registry
    from dl.training.restored import folders, restore
    from dl.training.workdir import read_config

    config = read_config(workdir)
    generator = registry.find("dl.generation", "generator for the task", config.task.name)
    run = restore(config, workdir, which, data_dir, manual_dir)
    params, variables = run.replica(replica, ema)
    given = {"experiment": run.experiment, "params": params, "variables": variables, "key": jax.random.key(seed)}
    if "manual_dir" in inspect.signature(generator).parameters:  # it reads files of its own
        given["manual_dir"] = folders(workdir, data_dir, manual_dir)[1]
    return registry.call(generator, f"generation by {config.task.name}", settings, **given)


def write(path: Path, text: str, made: Mapping[str, Artifact]) -> Path:
    """A page with all artifacts, or the text alone in a file that ends in .txt, the images alone in .png; returns the file.

    Raises:
        UserError: it can't be written.
    """
    from html import escape

    from dl.report import montage, page

    if path.suffix == ".png":
        grids = [artifact for artifact in made.values() if isinstance(artifact, Images)]
        if len(grids) != 1:
            raise UserError(f"{path}: this run makes {len(grids)} grids of images; give --out=FILE.html.")
        return montage.save(path, grids[0])
    if path.suffix == ".txt":
        return page.save(path, text + "\n")
    blocks = {"Samples": "".join(page.artifact_section(name, "", artifact) for name, artifact in made.items())}
    return page.save(path, page.document("Generated", f"<p>{escape(str(FLAGS.workdir))}</p>", blocks, "generated"))


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_bool("ema", True, "Take the moving average of the parameters, where the run kept one.")
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    flags.DEFINE_string("out", "", "A page (.html), text (.txt) or images (.png) to write.")
    flags.DEFINE_integer("samples", None, "How many to make.")
    flags.DEFINE_string("prompt", None, "Text: where each sample begins; a sentence to translate.")
    flags.DEFINE_integer("length", None, "Text: characters or words after the prompt.")
    flags.DEFINE_float("temperature", None, "Text: divides the logits; 0 takes the likeliest symbol.")
    flags.DEFINE_integer("top_k", None, "Text: draw among the likeliest so many symbols; 0 is all.")
    flags.DEFINE_string("file", None, "Translation: sentences, one a line (also .gz), in place of --prompt.")
    flags.DEFINE_integer("beam", None, "Translations, captions: sequences that the search keeps.")
    flags.DEFINE_bool("attention", None, "Translations, captions: show where the attention goes.")
    flags.DEFINE_string("images", None, "Captions: files of images, with commas between them.")
    flags.DEFINE_string("labels", None, "Images: classes for a conditional generator, in turn, such as 0,1,2.")
    flags.DEFINE_string("interpolate", None, "Images: a row from one sample to another for each pair, such as 0-5,7-2.")
    flags.DEFINE_enum("way", None, ["slerp", "lerp"], "Images: --interpolate along the sphere (the default) or straight.")
    flags.DEFINE_string("arithmetic", None, "Images: groups of samples, such as '3,8,12 - 1,5,9 + 2,4,7'.")
    flags.DEFINE_string("attributes", None, "Images: an arithmetic of two that are measured, such as dark_hair,light_mouth.")
    program.run(main)
