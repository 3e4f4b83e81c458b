"""FCN-8s (Long, Shelhamer & Darrell 2015) on CamVid: the encoder of a classifier, scored at three sizes.

    python -m experiments.train --config=configs/camvid_fcn.py --manual_dir=archives --workdir=runs/camvid_fcn
    python -m experiments.train --config=configs/camvid_fcn.py:quick --manual_dir=archives --workdir=runs/camvid_fcn_quick

480x360, 11 classes, void ignored. VGG-16 as in the paper, from scratch, with BatchNorm; --config.task.weights=vgg16_bn.pth
gives the encoder weights (and --config.dataset.mean, std those of torchvision), --config.model.stride=16 or 32 the other two
nets. `squeezenet` is FCN on SqueezeNet with the weights of ImageNet, which the paper's nets have of VGG; `scratch` is the same
without them. Reference and other settings: configs/camvid_unet.py. `quick` is under two hours on two cores.
"""

from ml_collections import ConfigDict

from configs import camvid_unet
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The setting for a GPU."""
    config = camvid_unet.camvid()
    config.model = ConfigDict({"name": "fcn", "backbone": "vgg16_bn", "stride": 8, "norm": True})
    config.optimizer.learning_rate = 5e-4
    return vary(config, VARIANTS, variant)


def scratch(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started at random."""
    config.model = ConfigDict({"name": "fcn", "backbone": "squeezenet", "stride": 4, "norm": True, "hidden": 512, "window": 3})


def squeezenet(config: ConfigDict) -> None:
    """The encoder is SqueezeNet, started from ImageNet's weights."""
    scratch(config)
    camvid_unet.pretrained(config)


def quick(config: ConfigDict) -> None:
    """A narrow net on half the size: under two hours on two cores."""
    camvid_unet.halved(config)
    if config.model.backbone == "squeezenet":
        config.model.update(stride=2, hidden=256)
    else:
        config.model.update(backbone="plain", widths=(16, 32, 64, 128, 256), stride=2, hidden=256, window=3, dropout=0.2)


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn shapes."""
    camvid_unet.small(config)
    if config.model.backbone != "squeezenet":
        config.model.update(backbone="plain", widths=(4, 8))
    config.model.update(stride=2 if config.model.backbone == "plain" else 8, hidden=8, window=1)


VARIANTS = {"scratch": scratch, "squeezenet": squeezenet, "quick": quick, "smoke": smoke}
