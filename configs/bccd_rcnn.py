"""R-CNN against histograms of gradients on blood cells: 58.5 against 34.3 mAP on VOC (Girshick et al. 2014, tables 1 and 2).

    python -m experiments.train --config=configs/bccd_rcnn.py --workdir=runs/bccd_rcnn --manual_dir=archives
    python -m experiments.train --config=configs/bccd_rcnn.py:hog --workdir=runs/bccd_hog --manual_dir=archives

Selective search, warped regions, features of SqueezeNet (ImageNet weights in `squeezenet_imagenet/` of --manual_dir),
fine-tuned here; a linear support vector machine for each class, box regression, non-maximum suppression. `:frozen` leaves the
features as ImageNet made them, `:unmoved` leaves out the regression, `:hog` puts histograms of gradients in their place. The
paper's numbers are of VOC 2007 and not to be compared with ours: what is compared is the order of the rows (docs/rcnn.md).

Two cores: 10 minutes of selective search, once, then 3 hours; `:quick` 40 minutes.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

WEIGHTS = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def get_config(variant: str = "") -> ConfigDict:
    """Images of 240x320, regions of 96x96."""
    config = base()
    config.update(steps=3000, batch_size=4, eval_batch_size=8, log_every=50, eval_every=500, checkpoint_every=250)
    # What the published backbone takes: RGB in 0..255 less the mean colour.
    config.dataset.update(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255))
    config.dataset.update(name="region_proposals", splits={"train": "train", "validation": "validation", "test": "test"})
    config.dataset.update(size=(240, 320), fit="resize", of={"name": "bccd"})
    config.dataset.proposals = {"scales": (20.0, 50.0, 100.0), "spaces": ("lab", "hsv"), "most": 1000}
    config.augmentation = ConfigDict({"flip": {"horizontal": True, "vertical": True}})
    config.model = ConfigDict({"name": "rcnn", "features": "squeezenet", "side": 96})
    config.task = ConfigDict({"name": "rcnn", "weights": WEIGHTS, "finetuned": 0.5, "regress": True})
    first = {"pattern": "model/backbone/(conv1|fire2|fire3)/.*", "frozen": True}
    body = {"pattern": "model/backbone/.*", "learning_rate_scale": 0.1}
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule={"name": "cosine"}, rules=(first, body, {"pattern": ".*"})
    )
    return vary(config, VARIANTS, variant)


def frozen(config: ConfigDict) -> None:
    """ImageNet's features, without fine-tuning."""
    config.task.finetuned = 0.0


def hog(config: ConfigDict) -> None:
    """Histograms of oriented gradients in place of the network."""
    config.model = ConfigDict({"name": "rcnn", "features": "hog", "side": 64})
    config.task.update(weights="", finetuned=0.0)
    config.optimizer.rules = ()


def unmoved(config: ConfigDict) -> None:
    """Boxes stay where selective search has found them."""
    config.task.regress = False


def quick(config: ConfigDict) -> None:
    """Fewer proposals, smaller regions."""
    config.update(steps=700, log_every=25, eval_every=0, checkpoint_every=100)
    config.dataset.proposals = {"scales": (20.0, 50.0, 100.0), "spaces": ("lab",), "most": 500}
    config.model.side = 64
    config.task.regions = 32


def smoke(config: ConfigDict) -> None:
    """Seconds, on shapes that are drawn for it, from no weights."""
    config.update(steps=4, batch_size=8, eval_batch_size=8, log_every=2, eval_every=2, checkpoint_every=2)
    config.dataset.splits = {"train": "train", "test": "test"}
    config.dataset.size = (48, 48)
    config.dataset.of = {"name": "random_shapes", "examples": 8}
    config.dataset.proposals = {"scales": (100.0,), "spaces": ("rgb",), "most": 12}
    config.model.update(side=32, features="hog" if config.model.features == "hog" else "plain")
    config.task.update(weights="", regions=4, most=8)
    config.optimizer.rules = ()


VARIANTS = {"frozen": frozen, "unmoved": unmoved, "hog": hog, "quick": quick, "smoke": smoke}
