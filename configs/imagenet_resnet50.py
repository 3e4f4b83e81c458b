"""ResNet-50 on ImageNet: 76.37 % validation accuracy after 100 epochs of batches of 1,024 (google/flax, README of
examples/imagenet: TPU v3-8, 4.4 h; 76.27 % in mixed precision on 8 V100, 4.3 h).

    python -m experiments.train --config=configs/imagenet_resnet50.py --data_dir=PREPARED --workdir=runs/imagenet_resnet50
    python -m experiments.train --config=configs/imagenet_resnet50.py --manual_dir=archives --workdir=runs/imagenet_resnet50
    python -m experiments.train --config=configs/imagenet_resnet50.py:folder --config.dataset.path=FOLDER --workdir=runs/mine

Not trained here: it has been run for some steps on small datasets of the three forms. The first reads `imagenet2012` as TFDS
prepares it, the second the original archives, the third `FOLDER/train/CLASS/*.JPEG` and `FOLDER/validation/CLASS/*.JPEG`.

As published: the rate 0.1 for every 256 of the batch, 5 epochs of warm-up, then a cosine to 0; Nesterov's momentum 0.9; weight
decay 1e-4 on what has more than one axis; random crops of 8 to 100 % of the image with ratios of 3/4 to 4/3, flips; for
evaluation the centre of 224 of 256; no label smoothing. Set --config.dtype=bfloat16, --config.mesh.fsdp=8,
--config.microbatches=4 or --config.dataset.workers=16 as the machine wants it.

Of 90 epochs: `step` is Goyal et al. 2017 (23.60 % error with batches of 256, 23.74 % with 8,192: table 1): the
rate falls to a tenth at 30, 60 and 80 epochs, the last scale of each block starts at 0. `lars` (You, Gitman & Ginsburg 2017)
and `lamb` (You et al. 2020) take batches of 8,192, labels smoothed by 0.1; their rates are ours.

Deviations: bilinear for bicubic resizing; the centre of 0.875 of the shorter side.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPOCHS = 100.0
LARGE = 8192


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=EPOCHS, batch_size=1024, log_every=100, eval_every=1251, checkpoint_every=1251, eval_batch_size=1024)
    splits = {"train": "train", "validation": "validation"}
    config.dataset = ConfigDict({**config.dataset.to_dict(), "name": "imagenet2012", "splits": splits, "random_crop": {}})
    config.dataset.update(size=(224, 224), fit="crop", mean=MEAN, std=STD, workers=8)
    config.dataset.random_crop = ConfigDict({"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)})
    config.augmentation = ConfigDict({"flip": {}})
    config.model = ConfigDict({"name": "resnet50", "zero_last_scale": False})
    config.task = ConfigDict({"name": "classification", "smoothing": 0.0})
    config.optimizer.update(name="nesterov", learning_rate=0.1 * 1024 / 256, momentum=0.9, l2=1e-4)
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 5 / EPOCHS})
    config.reference.update(metric="validation/error", value=1 - 0.7637, source="google/flax, examples/imagenet, README")
    return vary(config, VARIANTS, variant)


def shorter(config: ConfigDict) -> None:
    """90 epochs, the last scale of each block started at 0."""
    config.epochs = 90.0
    config.model.zero_last_scale = True


def step(config: ConfigDict) -> None:
    """90 epochs, the rate cut to a tenth at 30, 60 and 80 (Goyal et al. 2017)."""
    shorter(config)
    config.optimizer.schedule = ConfigDict(
        {"name": "step", "boundaries": (30 / 90, 60 / 90, 80 / 90), "factor": 0.1, "warmup_steps": 5 / 90}
    )
    config.reference.update(value=0.236, source="Goyal et al. 2017, table 1 (batches of 256)")


def large(config: ConfigDict, **optimizer: object) -> None:
    """90 epochs of batches of 8,192, labels smoothed by 0.1."""
    shorter(config)
    config.update(batch_size=LARGE, log_every=20, eval_every=157, checkpoint_every=157)
    config.task.smoothing = 0.1
    schedule = {"name": "warmup_cosine", "warmup_steps": 5 / 90}
    config.optimizer = ConfigDict({**optimizer, "schedule": schedule, "clip_norm": 0.0, "l1": 0.0, "l2": 0.0, "rules": ()})


def lars(config: ConfigDict) -> None:
    """90 epochs of batches of 8,192 with LARS (You, Gitman & Ginsburg 2017)."""
    large(config, name="lars", learning_rate=10.0, weight_decay=5e-5, momentum=0.9)


def lamb(config: ConfigDict) -> None:
    """90 epochs of batches of 8,192 with LAMB (You et al. 2020)."""
    large(config, name="lamb", learning_rate=8e-3, weight_decay=0.02)


def folder(config: ConfigDict) -> None:
    """Images of one's own, --config.dataset.path=FOLDER."""
    config.dataset.name = "folder"
    config.reference.update(metric="", value=0.0, source="")


def smoke(config: ConfigDict) -> None:
    """Seconds: a small residual net on the embedded digits."""
    config.update(epochs=0.0, steps=6, batch_size=8, log_every=2, eval_every=3, checkpoint_every=3, eval_batch_size=64)
    config.dataset.update(name="digits", size=(32, 32), mean=(0.0,), std=(1.0,), workers=0)
    config.dataset.splits = ConfigDict({"train": "train", "validation": "test[:64]"})
    config.optimizer.learning_rate = 0.01
    config.optimizer.schedule.warmup_steps = 1
    config.model = ConfigDict({"name": "resnet_cifar", "depth": 8, "width": 4, "zero_last_scale": False})
    config.reference.update(metric="", value=0.0, source="")


VARIANTS = {"step": step, "lars": lars, "lamb": lamb, "folder": folder, "smoke": smoke}
