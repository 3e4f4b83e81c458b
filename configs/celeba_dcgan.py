"""DCGAN of 64x64 faces (Radford, Metz & Chintala 2016, figure 1) on 10,000 images of CelebA.

    python -m experiments.train --config=configs/celeba_dcgan.py --workdir=runs/celeba_dcgan --manual_dir=archives

`archives/celeba_10k/celebA_10000_jpg.zip`, or the whole dataset, `archives/celeb_a/img_align_celeba.zip`; a folder of
one's own images with --config.dataset.name=folder --config.dataset.path=... --config.dataset.fit=resize. The paper's faces were
other ones (350,000 of 10,000 people), so there is no number to reach. Arithmetic on hand-picked samples: experiments.generate.
Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The paper's width and 25 passes, for an accelerator."""
    config = base()
    config.update(epochs=25.0, batch_size=128, steps_per_dispatch=1, log_every=20, eval_every=500, checkpoint_every=250)
    splits = {"train": "train", "test": "test", "seen": "train[:500]"}
    config.dataset.update(name="celeba", splits=splits, size=(64, 64), mean=(0.5,), std=(0.5,))
    config.update(eval_batch_size=250)
    config.model = ConfigDict({"name": "dcgan", "width": 128, "latent": 100, "prior": "uniform", "spectral_norm": False})
    config.task = ConfigDict({"name": "adversarial", "label_smoothing": 0.0, "discriminator_steps": 1})
    config.optimizer.update(name="adam", learning_rate=2e-4, b1=0.5)
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """A narrow net, 10 passes: 20 minutes on two cores."""
    config.update(epochs=10.0, batch_size=64, eval_every=0)
    config.model.width = 24


def smoke(config: ConfigDict) -> None:
    """Seconds, on the embedded digits."""
    config.update(epochs=0.0, steps=30, batch_size=16, steps_per_dispatch=5, log_every=5, eval_every=15, checkpoint_every=15)
    config.update(microbatches=2)
    config.dataset.update(name="digits", size=(32, 32), fit="resize")
    config.dataset.splits = ConfigDict({"train": "train", "test": "test[:100]"})
    config.model.update(width=4, latent=8, spectral_norm=True)


VARIANTS = {"quick": quick, "smoke": smoke}
