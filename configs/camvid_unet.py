"""U-Net (Ronneberger, Fischer & Brox 2015) on CamVid: 84.4 % of the pixels, 49.8 % mean IoU, from scratch on these files.

    python -m experiments.train --config=configs/camvid_unet.py --manual_dir=archives --workdir=runs/camvid_unet
    python -m experiments.train --config=configs/camvid_unet.py:quick --manual_dir=archives --workdir=runs/camvid_unet_quick
    python -m experiments.train --config=configs/camvid_unet.py:squeezenet_quick --manual_dir=archives --workdir=runs/squeezenet

480x360, 11 classes, void ignored (dl/data/sources/camvid.py). The reference is a public PyTorch table on these files, which
also says 62.8 % class accuracy; SegNet from scratch has 42.5 % mean IoU there, and with VGG's weights 57.7 %. The paper is
about cells. Deviations from it: padded convolutions, BatchNorm, Adam, random windows, mirror images and colours; logarithmic
class weights (Paszke et al. 2016).

`quick` is a narrow net on half the size: under two hours on two cores. `squeezenet` is a decoder over SqueezeNet with the
weights of ImageNet, `scratch` the same net without them. With your own images, as docs/segmentation.md says:
--config.dataset.name=folder_masks --config.dataset.path=DIR.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

MEAN, STD = (0.42, 0.43, 0.44), (0.30, 0.31, 0.30)  # of CamVid's training images, roughly
TABLE = "U-Net from scratch, 480x360, public PyTorch table on these files"
WEIGHTS = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def camvid() -> ConfigDict:
    """What all experiments on CamVid share: batches of 8 random windows, AdamW with a falling rate, moving averages."""
    config = base()
    config.update(epochs=300.0, batch_size=8, eval_batch_size=8, intervals="epochs", ema=0.998)
    config.update(log_every=1, eval_every=10, checkpoint_every=10)
    splits = {"train": "train", "validation": "validation", "test": "test"}
    config.dataset.update(name="camvid", splits=splits, mean=MEAN, std=STD)
    window = {"size": (288, 384), "scale": (0.25, 1.0), "ratio": (1.2, 1.48), "antialias": False}
    colours = {"brightness": {"delta": 0.15}, "contrast": {"factor": (0.7, 1.3)}, "saturation": {"factor": (0.6, 1.4)}}
    config.augmentation = ConfigDict({"random_resized_crop": window, "flip": {}, **colours})
    config.task = ConfigDict({"name": "segmentation", "balance": "logarithmic", "mirrored": True})
    config.optimizer.update(name="adamw", learning_rate=1e-3, weight_decay=1e-4, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine", "warmup_steps": 0.02})
    config.reference.update(metric="test/mean_iou", value=0.498, source=TABLE)
    return config


def get_config(variant: str = "") -> ConfigDict:
    """The setting for a GPU."""
    config = camvid()
    config.model = ConfigDict({"name": "unet", "widths": (64, 128, 256, 512, 1024)})
    return vary(config, VARIANTS, variant)


def squeezenet(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started from ImageNet's weights."""
    config.model = ConfigDict({"name": "unet", "backbone": "squeezenet", "widths": (32, 64, 128, 256)})
    pretrained(config)


def scratch(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started at random."""
    config.model = ConfigDict({"name": "unet", "backbone": "squeezenet", "widths": (32, 64, 128, 256)})


def pretrained(config: ConfigDict) -> None:
    """SqueezeNet's weights, the encoder at a tenth of the decoder's rate, and the images as they were."""
    config.task.weights = WEIGHTS
    config.dataset.update(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255))
    config.optimizer.rules = (
        {"pattern": "model/encoder/.*", "learning_rate_scale": 0.1},
        {"pattern": "(?!model/encoder/).*"},
    )


def quick(config: ConfigDict) -> None:
    """A narrow net on half the size: under two hours on two cores."""
    halved(config)
    narrow = (16, 32, 64, 128, 256) if config.model.get("backbone", "plain") == "plain" else (16, 32, 64, 128)
    config.model.update(widths=narrow, dropout=0.2)


def halved(config: ConfigDict) -> None:
    """Half the size, and as many epochs as two cores take in two hours."""
    config.update(epochs=80.0, ema=0.995, eval_batch_size=4, eval_every=10, checkpoint_every=5)
    config.dataset.update(size=(180, 240), fit="resize")
    config.augmentation.random_resized_crop.update(size=(128, 176), scale=(0.2, 0.8))
    config.optimizer.learning_rate = 3e-3


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn shapes."""
    small(config)
    config.model.widths = (4, 8) if config.model.get("backbone", "plain") == "plain" else (4, 4, 8, 8)


def small(config: ConfigDict) -> None:
    """What the smoke variants share: 12 steps on drawn shapes."""
    config.update(epochs=0.0, steps=12, batch_size=4, eval_batch_size=8, intervals="steps", ema=0.9)
    config.update(log_every=4, eval_every=6, checkpoint_every=6)
    config.dataset.update(name="drawn_shapes", size=(0, 0), mean=MEAN, std=STD, shape=(24, 32), examples=16)
    config.augmentation = ConfigDict({"flip": {}})
    config.task.update(weights="", mirrored=False)
    config.optimizer.rules = ()
    config.reference.update(metric="", value=0.0, source="")


VARIANTS = {"squeezenet": squeezenet, "scratch": scratch, "quick": quick, "smoke": smoke}
