"""SRResNet, enlarging four times (Ledig et al. 2017, table 2): 32.05 dB and an SSIM of 0.902 on Set5, 28.49 and 0.818 on Set14.

    python -m experiments.train --config=configs/set5_srresnet.py:quick --workdir=runs/srresnet --manual_dir=archives

`archives/super_resolution/T91_Set5_Set14_HR.zip`; other images as for configs/set5_srcnn.py. The paper trained on 350,000
images of ImageNet for 10^6 steps; here on the 91 of T91, turned and mirrored. Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """The paper's net and 10^6 steps of 16 windows of 96 pixels, for an accelerator."""
    config = base()
    config.update(steps=10**6, batch_size=16, log_every=500, eval_every=50_000, checkpoint_every=5000, eval_batch_size=1)
    splits = {"train": "train", "test": "test", "set14": "set14"}
    config.dataset.update(name="super_resolution", splits=splits, batches="patches", scale=4, patch=96, symmetries=True)
    config.model = ConfigDict({"name": "srresnet", "width": 64, "blocks": 16, "norm": True, "direct": False, "skip": False})
    config.task = ConfigDict({"name": "super_resolution", "colour": "rgb"})
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.reference.update(metric="test/psnr", value=32.05, source="Ledig et al. 2017, table 2")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """For two cores and two hours: 6 blocks without BatchNorm, on the luminance, added to the bicubic enlargement."""
    config.update(steps=20_000, batch_size=16, steps_per_dispatch=10, log_every=100, eval_every=4000, checkpoint_every=500)
    config.model.update(blocks=6, norm=False, direct=True, skip=True)
    config.task.colour = "luminance"
    config.optimizer.learning_rate = 5e-4
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.02, "final": 0.01})


def smoke(config: ConfigDict) -> None:
    """Seconds, on the two photographs of scikit-learn."""
    config.update(steps=8, batch_size=8, steps_per_dispatch=2, log_every=2, eval_every=4, checkpoint_every=2)
    config.dataset.update(name="photographs", shrink=4, patch=32)
    config.dataset.splits = ConfigDict({"train": "train", "test": "test"})
    config.model.update(width=4, blocks=1)


VARIANTS = {"quick": quick, "smoke": smoke}
