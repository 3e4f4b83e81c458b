"""Mask R-CNN finds pedestrians and their pixels: box AP 0.80, mask AP 0.76 with COCO weights (torchvision's tutorial).

    python -m experiments.train --config=configs/penn_fudan_mask_rcnn.py --workdir=runs/penn_fudan --manual_dir=archives

Penn-Fudan, 170 images whose longer side is 320 pixels here; the last 50 are the test. The tutorial's network (ResNet-50 with a
pyramid) has seen 118,000 images with the masks of people before it sees these 120; ours starts from SqueezeNet's ImageNet
weights (`squeezenet_imagenet/` in --manual_dir), which have seen neither boxes nor masks.

A GPU; on two cores `:quick`, about an hour.
"""

from ml_collections import ConfigDict

from configs.bccd_faster_rcnn import detector, seconds
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Images as they are, padded to squares of 320 pixels."""
    config = detector("faster_rcnn", steps=3000, batch_size=8)
    config.dataset.update(name="penn_fudan", splits={"train": "train", "test": "test"}, size=(320, 320), fit="pad")
    config.model.update(masks=True, sizes=(32.0, 64.0, 128.0, 256.0), ratios=(1.0, 2.0, 3.0))
    config.augmentation = ConfigDict(
        {
            "affine": {"degrees": 0.0, "shear": 0.0, "shift": 30.0, "scale": (0.7, 1.4)},
            "flip": {"horizontal": True},
            "brightness": {"delta": 0.1},
            "contrast": {"factor": (0.8, 1.2)},
            "saturation": {"factor": (0.7, 1.3)},
        }
    )
    source = "torchvision's tutorial: Mask R-CNN, ResNet-50 with a pyramid, COCO weights, 10 epochs; the last 50 images"
    config.reference.update(metric="test/mask_map", value=0.76, source=source)
    return vary(config, VARIANTS, variant)


def scratch(config: ConfigDict) -> None:
    """No ImageNet weights: all layers move, at the full rate."""
    config.task.weights = ""
    config.optimizer.rules = ()


def quick(config: ConfigDict) -> None:
    """About an hour on two cores: a smaller pyramid without its finest map."""
    config.update(steps=1800, batch_size=4, log_every=40, eval_every=600, checkpoint_every=200)
    config.dataset.update(size=(256, 320), fit="resize")
    config.model.update(depth=64, hidden=256, mask_layers=2, strides=(8, 16, 32), sizes=(48.0, 96.0, 192.0))
    config.task.update(proposals_before=200, proposals=64, regions=32, most=30)


def smoke(config: ConfigDict) -> None:
    """Seconds, on shapes that are drawn for it, from no weights."""
    seconds(config)
    config.dataset.fit = "pad"
    config.augmentation.affine.shift = 4.0
    config.model.mask_layers = 1


VARIANTS = {"scratch": scratch, "quick": quick, "smoke": smoke}
