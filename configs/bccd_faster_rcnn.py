"""Faster R-CNN with a feature pyramid finds red and white blood cells and platelets: mAP50 0.906 is YOLOv7's on these files.

    python -m experiments.train --config=configs/bccd_faster_rcnn.py --workdir=runs/bccd_faster_rcnn --manual_dir=archives

BCCD has 205 images for training, 87 for validation and 72 for the test, 640x480. The backbone starts from SqueezeNet's ImageNet
weights (`squeezenet_imagenet/` in --manual_dir); `:scratch` shows what they are worth. Your own images with boxes:

    python -m experiments.train --config=configs/bccd_faster_rcnn.py --workdir=runs/mine \
        --config.dataset.name=coco --config.dataset.path=boxes.json --config.dataset.images=cells
    python -m experiments.train --config=configs/bccd_faster_rcnn.py --workdir=runs/mine \
        --config.dataset.name=voc --config.dataset.path=my_voc

A GPU; on two cores `:quick`, at half the size, about an hour.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

WEIGHTS = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"
FIRST = "model/body/(conv1|fire2|fire3)/.*"  # general features that few images would not better; also half of the work


def get_config(variant: str = "") -> ConfigDict:
    """Images at their full size."""
    config = detector("faster_rcnn", steps=4000, batch_size=8)
    config.dataset.update(name="bccd", splits={"train": "train", "validation": "validation", "test": "test"}, size=(480, 640))
    config.model.sizes = (32.0, 64.0, 128.0, 256.0)
    config.augmentation = ConfigDict(
        {
            "affine": {"degrees": 0.0, "shear": 0.0, "shift": 40.0, "scale": (0.8, 1.25), "fill": "reflect"},
            "flip": {"horizontal": True, "vertical": True},
            "brightness": {"delta": 0.1},
            "contrast": {"factor": (0.8, 1.2)},
        }
    )
    config.best.metric = "validation/map50"
    source = "YOLOv7 on the same files, as its users report"
    config.reference.update(metric="test/map50", value=0.906, source=source)
    return vary(config, VARIANTS, variant)


def detector(name: str, steps: int, batch_size: int) -> ConfigDict:
    """What the experiments on detection share: the backbone's weights and Adam, its rate a tenth for the backbone."""
    config = base()
    config.update(steps=steps, batch_size=batch_size, eval_batch_size=8, log_every=20)
    config.update(eval_every=steps // 4, checkpoint_every=steps // 8)
    # What the published backbone takes: RGB in 0..255 less the mean colour.
    config.dataset.update(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255), fit="resize")
    config.model = ConfigDict({"name": name, "depth": 128, "hidden": 512})
    config.task = ConfigDict({"name": "detection", "weights": WEIGHTS})
    schedule = {"name": "cosine", "warmup_steps": 0.05, "final": 0.01}
    config.optimizer.update(name="adamw", learning_rate=5e-4, weight_decay=1e-4, clip_norm=5.0, schedule=schedule)
    body = {"pattern": "model/body/.*", "learning_rate_scale": 0.1}
    config.optimizer.rules = ({"pattern": FIRST, "frozen": True}, body, {"pattern": ".*"})
    return config


def scratch(config: ConfigDict) -> None:
    """No ImageNet weights: all layers move, at the full rate."""
    config.task.weights = ""
    config.optimizer.rules = ()


def quick(config: ConfigDict) -> None:
    """About an hour on two cores: half the size, a smaller pyramid without its finest map."""
    config.update(steps=2400, batch_size=4, log_every=40, eval_every=800, checkpoint_every=200)
    config.dataset.size = (240, 320)
    config.model.update(depth=64, hidden=256, strides=(8, 16, 32), sizes=(24.0, 48.0, 96.0))
    config.task.update(proposals_before=200, proposals=128, regions=64)
    config.augmentation.affine.shift = 20.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on shapes that are drawn for it, from no weights."""
    seconds(config)
    config.dataset.update(splits={"train": "train", "validation": "test[:4]", "test": "test[4:]"})
    config.augmentation.affine.shift = 4.0


def seconds(config: ConfigDict) -> None:
    """A tiny network on few small images."""
    config.update(steps=4, batch_size=8, log_every=2, eval_every=2, checkpoint_every=2, eval_batch_size=8)
    config.dataset.update(name="random_shapes", size=(64, 64), examples=16)
    config.model.update(backbone="plain", depth=8, hidden=16, strides=(8, 16), sizes=(12.0, 24.0))
    config.task.update(weights="", anchors=32, proposals_before=16, proposals=16, regions=16, most=8)
    config.optimizer.rules = ()


VARIANTS = {"scratch": scratch, "quick": quick, "smoke": smoke}
