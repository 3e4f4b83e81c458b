"""A run of seconds for the tests: embedded digits, a small MLP with dropout, augmentation, a moving average."""

from ml_collections import ConfigDict

from dl.config import base


def get_config(variant: str = "") -> ConfigDict:
    config = base()
    config.update(steps=60, batch_size=32, steps_per_dispatch=5, log_every=5, eval_every=20, checkpoint_every=10, ema=0.9)
    config.augmentation = ConfigDict({"gaussian_noise": {"std": 0.1}})
    config.model = ConfigDict({"name": "mlp", "hidden": (64,), "activation": "relu", "dropout": 0.2})
    config.optimizer.update(name="adam", learning_rate=1e-3)
    return config
