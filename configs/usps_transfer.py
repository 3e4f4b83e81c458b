"""From MNIST to a few hundred USPS digits: handcrafted features, scratch, frozen features and fine-tuning, one command a row.

    python -m experiments.train --config=configs/mnist_lenet5_modern.py:quick --workdir=runs/mnist_lenet5_modern_quick
    python -m experiments.train --config=configs/usps_transfer.py --workdir=runs/usps_finetune
    python -m experiments.train --config=configs/usps_transfer.py:scratch --workdir=runs/usps_scratch
    python -m experiments.visual_words --config=configs/usps_transfer.py:words --workdir=runs/usps_words

The first makes the LeNet to start from; --config.task.weights names another run. `--config.dataset.splits.train='train[:1000]'`
takes more of the 7,291 labelled digits than the 200 here. Both are padded to 32x32, which leaves the digits of one dataset at
20 pixels and those of the other at 16. No published figure: what is compared is the order of the rows, in docs/transfer.md. Two
cores: seconds a row.
"""

from ml_collections import ConfigDict

from configs.cifar10_transfer import transfer, visual_words, without_weights
from dl.variants import vary

HEAD = "model/dense3/.*"
BODY = {"pattern": "model/(?!dense3).*", "learning_rate_scale": 0.1}


def get_config(variant: str = "") -> ConfigDict:
    """All layers move, those before the new head at a tenth of its rate."""
    config = transfer("runs/mnist_lenet5_modern_quick", HEAD, replicas=5)
    config.update(steps=1000, steps_per_dispatch=20, log_every=100, eval_every=500, checkpoint_every=500)
    config.dataset.update(name="usps", splits={"train": "train[:200]", "test": "test"})
    config.dataset.update(size=(32, 32), mean=(0.1307,), std=(0.3081,))
    config.model = ConfigDict({"name": "lenet5_modern"})
    config.optimizer.rules = ({"pattern": HEAD}, BODY)
    return vary(config, VARIANTS, variant)


def last2(config: ConfigDict) -> None:
    """Fine-tuning of the dense layers alone."""
    dense = {**BODY, "pattern": "model/dense[12]/.*"}
    config.optimizer.rules = ({"pattern": HEAD}, dense, {"pattern": "model/conv.*", "frozen": True})


def linear(config: ConfigDict) -> None:
    """The head alone, on frozen features."""
    config.optimizer.rules = ({"pattern": HEAD}, {"pattern": BODY["pattern"], "frozen": True})


def scratch(config: ConfigDict) -> None:
    """All layers, reinitialised."""
    without_weights(config)


def words(config: ConfigDict) -> None:
    """Bags of visual words, for experiments.visual_words."""
    visual_words(config, 200, (1, 2), 1)


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits, from no other run's weights."""
    config.update(steps=20, batch_size=16, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10)
    config.dataset.update(name="digits")
    if config.task.name == "visual_words":
        config.dataset.update(size=(16, 16), fit="resize")
        config.task.update(words=100, sample=10_000)
    else:
        config.task.update(weights="", reinitialise="")


VARIANTS = {"last2": last2, "linear": linear, "scratch": scratch, "words": words, "smoke": smoke}
