"""SRCNN, enlarging four times (Dong, Loy, He & Tang 2014, table 1): 30.08 dB, SSIM 0.853 on Set5; bicubic 28.42 and 0.810.

    python -m experiments.train --config=configs/set5_srcnn.py:quick --workdir=runs/srcnn --manual_dir=archives

`archives/super_resolution/T91_Set5_Set14_HR.zip`; one's own images beside T91 with --config.dataset.images=DIR, or alone with
--config.dataset.name=folder_super_resolution --config.dataset.path=DIR. Trained on T91, measured on Set5 (`test`) and Set14
(`set14`): luminance, a rim of 4 left out. An image of one's own: experiments.upscale. Reached: docs/results.md.

Deviations: Adam in place of SGD with 10^-4 and 10^-5, whose 8 * 10^8 backpropagations nobody waits for; larger windows.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """9-5-5 on windows of 64 pixels, 400,000 steps."""
    config = base()
    config.update(steps=400_000, batch_size=32, log_every=500, eval_every=20_000, checkpoint_every=5000, eval_batch_size=1)
    splits = {"train": "train", "test": "test", "set14": "set14"}
    config.dataset.update(name="super_resolution", splits=splits, batches="patches", scale=4, patch=64, symmetries=True)
    config.model = ConfigDict({"name": "srcnn", "kernels": (9, 5, 5)})
    config.task = ConfigDict({"name": "super_resolution", "colour": "luminance"})
    config.optimizer.update(name="adam", learning_rate=1e-3)
    config.optimizer.schedule = ConfigDict({"name": "cosine", "final": 0.01})
    config.reference.update(metric="test/psnr", value=30.08, source="Dong et al. 2014, table 1")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """40,000 steps of 16 windows of 40 pixels: an hour and a half on two cores."""
    config.update(steps=40_000, batch_size=16, steps_per_dispatch=20, log_every=200, eval_every=10_000, checkpoint_every=1000)
    config.dataset.patch = 40


def smoke(config: ConfigDict) -> None:
    """Seconds, on the two photographs of scikit-learn."""
    config.update(steps=8, batch_size=8, steps_per_dispatch=2, log_every=2, eval_every=4, checkpoint_every=2)
    config.dataset.update(name="photographs", shrink=4, patch=32)
    config.dataset.splits = ConfigDict({"train": "train", "test": "test"})
    config.model.update(kernels=(5, 1, 3), features=(8, 4))


VARIANTS = {"quick": quick, "smoke": smoke}
