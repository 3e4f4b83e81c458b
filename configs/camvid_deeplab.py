"""DeepLab (Chen et al. 2018) on CamVid: atrous convolutions, spatial pyramid pooling, and a dense CRF after it.

    python -m experiments.train --config=configs/camvid_deeplab.py --manual_dir=archives --workdir=runs/camvid_deeplab
    python -m experiments.train --config=configs/camvid_deeplab.py:quick --manual_dir=archives --workdir=runs/deeplab_quick

480x360, 11 classes, void ignored. VGG-16 and the rates 6, 12, 18 and 24 as in the paper, from scratch, with BatchNorm; the
encoder's map of stride 4 refines the scores, as in the later DeepLabv3+ (--config.model.skip=0 is without). At the end of the
training, `crf_mean_iou` and its kin are what the CRF makes of it (--config.task.crf.iterations=0 is without). `squeezenet` is
the same on SqueezeNet with the weights of ImageNet, `scratch` without them. Reference and other settings: camvid_unet.py.

`quick` is a narrow net on half the size, with half the rates: under two hours on two cores.
"""

from ml_collections import ConfigDict

from configs import camvid_unet
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The setting for a GPU."""
    config = camvid_unet.camvid()
    config.model = ConfigDict({"name": "deeplab", "backbone": "vgg16_bn", "rates": (6, 12, 18, 24), "norm": True, "skip": 4})
    config.task.crf = ConfigDict({"iterations": 5, "window": 11, "colour": 3.0, "smooth": 1.0})
    config.optimizer.learning_rate = 5e-4
    return vary(config, VARIANTS, variant)


def scratch(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started at random."""
    config.model.update(backbone="squeezenet", hidden=256)


def squeezenet(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started from ImageNet's weights."""
    scratch(config)
    camvid_unet.pretrained(config)


def quick(config: ConfigDict) -> None:
    """A narrow net on half the size: under two hours on two cores."""
    camvid_unet.halved(config)
    config.model.update(rates=(1, 3, 6), hidden=64, skip=2, dropout=0.2)
    if config.model.backbone != "squeezenet":
        config.model.update(backbone="plain", widths=(16, 32, 64, 128, 128))
    config.task.crf.window = 7


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn shapes."""
    camvid_unet.small(config)
    if config.model.backbone != "squeezenet":
        config.model.update(backbone="plain", widths=(4, 8))
    config.model.update(rates=(2,), hidden=8, skip=2)
    config.task.crf.update(iterations=1, window=3)


VARIANTS = {"scratch": scratch, "squeezenet": squeezenet, "quick": quick, "smoke": smoke}
