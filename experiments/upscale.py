"""Enlarges one's own images by a run of configs/set5_srcnn.py, set5_srresnet.py or set5_srgan.py.

    python -m experiments.upscale --workdir=runs/srgan --images=photo.jpg --out=enlarged
    python -m experiments.upscale --workdir=runs/srgan --images=photographs --out=enlarged --bicubic

`--images` is an image or a folder of them; --out a folder, where each becomes NAME_x4.png, and with --bicubic also
NAME_x4_bicubic.png, to compare. Images of any size; transparency becomes white.
"""

from collections.abc import Iterator
from pathlib import Path

from absl import flags

from dl.errors import UserError
from experiments import program

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Enlarges, and prints the files that it made."""
    if len(argv) > 1:
        raise UserError(f"what is {argv[1]!r}? Images are given by --images.")
    program.start_jax()
    where = {"data_dir": FLAGS.data_dir, "manual_dir": FLAGS.manual_dir}
    images, out = listed(Path(FLAGS.images)), Path(FLAGS.out)
    ways = ("made", "bicubic") if FLAGS.bicubic else ("made",)
    for line in upscale(Path(FLAGS.workdir).absolute(), images, out, ways, FLAGS.checkpoint, FLAGS.ema, FLAGS.replica, **where):
        print(line, flush=True)


def listed(path: Path) -> list[Path]:
    """The images that a path names: one, or all in a folder.

    Raises:
        UserError: there are none.
    """
    from dl.data.sources.own_files import images_below

    path = path.expanduser()
    if path.is_dir():
        return list(images_below(path).values())
    if not path.is_file():
        raise UserError(f"--images={path}: there is no such image or folder.")
    return [path]


def upscale(
    workdir: Path,
    images: list[Path],
    out: Path,
    ways: tuple[str, ...] = ("made",),
    which: str = "latest",
    ema: bool = True,
    replica: int = 0,
    data_dir: str | None = None,
    manual_dir: str | None = None,
) -> Iterator[str]:
    """Writes each image enlarged into the folder `out`; gives a line on each.

    Args:
        workdir: folder of the run.
        images: files.
        out: folder; made where there is none.
        ways: "made" by the run's net, "bicubic".
        which: checkpoint, "latest" or "best".
        ema: whether to take the moving average of the parameters, where there is one.
        replica: replica of the run.
        data_dir: folder of prepared datasets; by default where the training found them.
        manual_dir: folder of archives; likewise.

    Raises:
        UserError: no such run, a run of another task, an image that is too small or can't be read, a full disk.
    """
    import numpy as np
    from PIL import Image

    from dl.data import image_files
    from dl.generation.super_resolution import Enlarger, scale_of
    from dl.training.restored import restore
    from dl.training.workdir import read_config

    config = read_config(workdir)
    scale = scale_of(config)
    run = restore(config, workdir, which, data_dir, manual_dir)
    enlarge = Enlarger(run.experiment, *run.replica(replica, ema))
    for path in images:
        pixels = image_files.read(str(path))
        for way in ways:
            try:
                made = enlarge(pixels, way)
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
            target = out / f"{path.stem}_x{scale}{'' if way == 'made' else f'_{way}'}.png"
            try:
                out.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.round(255 * made).astype(np.uint8)).save(target)
            except OSError as error:
                raise UserError(f"{target} can't be written: {error.strerror or error}.") from error
            size, new = (f"{x.shape[1]}x{x.shape[0]}" for x in (pixels, made))
            yield f"{target}: {size} to {new} pixels"


if __name__ == "__main__":
    program.define_data()
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("images", None, "An image, or a folder of images.", required=True)
    flags.DEFINE_string("out", None, "Folder for the enlarged images.", required=True)
    flags.DEFINE_bool("bicubic", False, "Write bicubic enlargements beside them.")
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "Which checkpoint.")
    flags.DEFINE_bool("ema", True, "Take the moving average of the parameters, where the run kept one.")
    flags.DEFINE_integer("replica", 0, "Which replica of the run.", lower_bound=0)
    program.run(main)
