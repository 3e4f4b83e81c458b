r"""A two-layer perceptron predicts how diabetes goes on: ReLU, then tanh, one output (Efron et al. 2004's 442 patients).

    python -m experiments.train --config=configs/diabetes_perceptron.py --workdir=runs/diabetes
    python -m experiments.train --config=configs/diabetes_perceptron.py:ridge --workdir=runs/diabetes_ridge
    python -m experiments.train --config=configs/diabetes_perceptron.py --workdir=runs/mine --config.dataset.name=numbers \
        --config.dataset.path=my.csv --config.dataset.target=price

f(x) = tanh(w2 . max(0, W1 x + b1) + b2), the target brought to -1..1 by the range of the training targets. Beside it, at the
end of the run: ridge regression and gradient boosting by scikit-learn (`ridge_rmse`, `boosting_rmse`; docs/regression.md).

Nothing published is claimed on these splits. The data come with scikit-learn. Two cores: half a minute.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The perceptron, the checkpoint of the best validation error kept, five replicas."""
    config = base()
    config.update(steps=2000, batch_size=64, replicas=5, steps_per_dispatch=50, log_every=100, eval_every=100)
    config.update(checkpoint_every=500, replicate="vmap")
    config.dataset.update(name="diabetes", splits={"train": "train", "validation": "validation", "test": "test"})
    config.dataset.update(holdout=20.0)
    config.model = ConfigDict({"name": "mlp", "hidden": (32,), "activation": "relu", "output": "tanh", "dropout": 0.0})
    config.task = ConfigDict({"name": "regression", "loss": "mse", "scale": "range", "baselines": ("ridge", "boosting")})
    config.optimizer.update(name="adam", learning_rate=1e-3, l2=0.02)
    config.early_stopping.update(metric="validation/rmse", patience=5)
    config.best.metric = "validation/rmse"
    return vary(config, VARIANTS, variant)


def linear(config: ConfigDict) -> None:
    """One hidden layer, and an output without tanh: the target in deviations."""
    config.model.output = "identity"
    config.task.scale = "deviation"


def ridge(config: ConfigDict) -> None:
    """No hidden layer, no tanh, an l2 penalty: ridge regression by gradients."""
    config.update(steps=1000, batch_size=264)
    config.model = ConfigDict({"name": "mlp", "hidden": (), "kernel_init": "zeros", "output": "identity"})
    config.task.scale = "deviation"
    config.optimizer.update(learning_rate=0.02, l2=0.1)


def absolute(config: ConfigDict) -> None:
    """Mean absolute error is minimised: the median is predicted."""
    config.task.loss = "mae"


def huber(config: ConfigDict) -> None:
    """Huber's loss: quadratic near 0, linear for what is far off."""
    config.task.update(loss="huber", delta=0.5)


def quick(config: ConfigDict) -> None:
    """One replica, ten seconds."""
    config.update(steps=600, replicas=1, checkpoint_every=200, replicate="unroll")


def smoke(config: ConfigDict) -> None:
    """Seconds; ridge regression alone beside it."""
    config.update(steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=10, replicas=2)
    config.task.baselines = ("ridge",)
    config.early_stopping.update(metric="", patience=0)


VARIANTS = {"linear": linear, "ridge": ridge, "absolute": absolute, "huber": huber, "quick": quick, "smoke": smoke}
