"""A GAN on eight Gaussians in the plane: does it find all modes, and does V(D, G) approach -log 4?

    python -m experiments.train --config=configs/mixture_gan.py --workdir=runs/mixture_gan

Where the generator's distribution is that of the data, V = -log 4 = -1.386 (Goodfellow et al. 2014, theorem 1). The report
shows a Gaussian mixture fitted by EM beside it. On a line, as in their figure 1: --config.dataset.layout=line. Reached:
docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Two minutes on two cores."""
    config = base()
    config.update(steps=20_000, batch_size=256, steps_per_dispatch=50, log_every=500, eval_every=2000, checkpoint_every=2000)
    config.update(ema=0.999, eval_batch_size=2000)
    config.dataset.update(name="gaussian_mixture", layout="ring", components=8, radius=2.0, deviation=0.1)
    config.model = ConfigDict(
        {
            "name": "gan_mlp",
            "latent": 16,
            "generator": (64, 64),
            "discriminator": (64, 64),
            "pieces": 1,
            "dropout": 0.0,
            "input_dropout": 0.0,
            "output": "identity",
            "generator_scale": 0.0,
            "discriminator_scale": 0.0,
        }
    )
    config.task = ConfigDict({"name": "adversarial", "loss": "non_saturating", "discriminator_steps": 2})
    config.optimizer.update(name="adam", learning_rate=5e-4, b1=0.5, schedule={"name": "cosine"})
    config.reference.update(metric="test/value", value=-1.3863, source="Goodfellow et al. 2014, theorem 1: -log 4")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Half a minute on two cores."""
    config.steps = 6000


def smoke(config: ConfigDict) -> None:
    """Seconds."""
    config.update(steps=40, batch_size=32, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.update(eval_batch_size=700, replicas=2)


VARIANTS = {"quick": quick, "smoke": smoke}
