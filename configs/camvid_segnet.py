"""SegNet (Badrinarayanan, Kendall & Cipolla 2017) on CamVid: 42.5 % mean IoU from scratch on these files.

    python -m experiments.train --config=configs/camvid_segnet.py --manual_dir=archives --workdir=runs/camvid_segnet
    python -m experiments.train --config=configs/camvid_segnet.py:quick --manual_dir=archives --workdir=runs/camvid_segnet_quick

480x360, 11 classes, void ignored, 29.45 million parameters, classes weighted by their median frequency (section 4). The
reference is a public PyTorch table on these files. Another one has 87.8 % of the pixels, 70.8 % class accuracy and 57.7 % mean
IoU with the weights of VGG with BatchNorm (--config.model.backbone=vgg16_bn --config.task.weights=vgg16_bn.pth, with
--config.dataset.mean and std of torchvision). Deviations: AdamW, windows, mirror images and colours as for camvid_unet.py.

`quick` is a narrow net on half the size: under two hours on two cores.
"""

from ml_collections import ConfigDict

from configs import camvid_unet
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The setting for a GPU."""
    config = camvid_unet.camvid()
    config.model = ConfigDict({"name": "segnet", "widths": (64, 128, 256, 512, 512), "depths": (2, 2, 3, 3, 3)})
    config.task.balance = "median_frequency"
    config.reference.update(value=0.425, source=camvid_unet.TABLE.replace("U-Net", "SegNet"))
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A narrow net on half the size: under two hours on two cores."""
    camvid_unet.halved(config)
    config.model.update(widths=(24, 48, 96, 128), depths=(2, 2, 2, 2), biased=False)


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn shapes."""
    camvid_unet.small(config)
    config.model.update(widths=(4, 8), depths=(1, 1))


VARIANTS = {"quick": quick, "smoke": smoke}
