"""VGG-16 on ImageNet: 27.0 % top-1 and 8.8 % top-5 validation error
(Simonyan & Zisserman 2015, table 3, D, scale 256).

    python -m experiments.train --config=configs/imagenet_vgg16.py --data_dir=PREPARED --workdir=runs/imagenet_vgg16
    python -m experiments.explain --config=configs/imagenet_vgg16.py:random

Not trained here. As published: batches of 256, momentum 0.9, weight decay 5e-4, the rate 0.01 cut to a tenth three times, 74
epochs, flips, dropout of one half in fc6 and fc7. --config.model.name=vgg16_bn, vgg11, ... for the others.

`random` has random bytes of the same shape in place of the images, for `explain`, which prints the lectures' table of
memory and weights, and for trials of speed.

Deviations: started as He et al. 2015 have it, not from a trained VGG-11; windows of 77 % of the image (224 of 256 pixels,
squared); no shift of colours along principal components; the centre alone for evaluation; weight decay on weights, not biases;
the rate falls after 25, 50 and 65 epochs, where the paper's fell when the validation error stopped improving.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=74.0, batch_size=256, log_every=100, eval_every=5005, checkpoint_every=5005)
    splits = {"train": "train", "validation": "validation"}
    config.dataset = ConfigDict({**config.dataset.to_dict(), "name": "imagenet2012", "splits": splits, "random_crop": {}})
    config.dataset.update(size=(224, 224), fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), workers=8)
    config.dataset.random_crop = ConfigDict({"scale": (0.766, 0.766), "ratio": (1.0, 1.0)})
    config.augmentation = ConfigDict({"flip": {}})
    config.model = ConfigDict({"name": "vgg16", "dropout": 0.5})
    config.optimizer.update(name="momentum", learning_rate=0.01, momentum=0.9, l2=5e-4)
    config.optimizer.schedule = ConfigDict({"name": "step", "boundaries": (25 / 74, 50 / 74, 65 / 74), "factor": 0.1})
    config.reference.update(metric="validation/error", value=0.27, source="Simonyan & Zisserman 2015, table 3, D")
    return vary(config, VARIANTS, variant)


def as_they_are(config: ConfigDict) -> None:
    """Images that are not cropped; the published error is not of these."""
    config.reference.update(metric="", value=0.0, source="")
    config.dataset.random_crop = ConfigDict({})
    config.dataset.update(size=(0, 0), fit="pad", workers=0)


def random(config: ConfigDict) -> None:
    """Random bytes of the same shape in place of the images."""
    as_they_are(config)
    config.dataset.update(ConfigDict({"name": "random_images", "shape": (224, 224, 3), "examples": 256, "num_classes": 1000}))
    config.dataset.splits = ConfigDict({"train": "train", "validation": "test"})


def smoke(config: ConfigDict) -> None:
    """Seconds: VGG-11 with 32 hidden units on the embedded digits."""
    as_they_are(config)
    config.update(epochs=0.0, steps=6, batch_size=8, log_every=2, eval_every=3, checkpoint_every=3, eval_batch_size=64)
    config.dataset.update(name="digits", size=(32, 32), fit="resize", mean=(0.0,), std=(1.0,))
    config.dataset.splits = ConfigDict({"train": "train", "validation": "test[:64]"})
    config.optimizer.schedule.boundaries = (2, 4, 5)
    config.model.update(name="vgg11", hidden=32)


VARIANTS = {"smoke": smoke, "random": random}
