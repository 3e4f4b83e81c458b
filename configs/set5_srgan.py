"""SRGAN, enlarging four times (Ledig et al. 2017, table 2): 29.40 dB, SSIM 0.847 on Set5, less than SRResNet and sharper.

    python -m experiments.train --config=configs/set5_srgan.py:quick --workdir=runs/srgan --manual_dir=archives

`archives/super_resolution/T91_Set5_Set14_HR.zip`, and `archives/squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz` for the
features (the paper's are VGG-19's). One run, three phases: squared error, game, game at a tenth of the rate; the report
shows bicubic, the end of the first phase, the end, and the original side by side. Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

WEIGHTS = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def get_config(variant: str = "") -> ConfigDict:
    """The paper's nets and steps: 10^6, then 10^5 and 10^5; for an accelerator."""
    config = base()
    config.update(steps=1_200_000, batch_size=16, log_every=500, eval_every=50_000, checkpoint_every=5000, eval_batch_size=1)
    splits = {"train": "train", "test": "test", "set14": "set14"}
    config.dataset.update(name="super_resolution", splits=splits, batches="patches", scale=4, patch=96, symmetries=True)
    config.model = ConfigDict({"name": "srgan", "width": 64, "blocks": 16, "norm": True, "direct": False, "skip": False})
    config.model.update(discriminator_width=64, discriminator_stages=4, dense=1024)
    phases = (10 / 12, 1 / 12, 1 / 12)
    config.task = ConfigDict({"name": "super_resolution", "colour": "rgb", "phases": phases, "features": WEIGHTS})
    # SqueezeNet sees pixels in 0..255: squared differences of its features are 10^4, which this makes 10^-2.
    config.task.update(perceptual=5e-7, adversarial=1e-3, pixel=0.0, game_optimizer={"learning_rate": 1e-4})
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.reference.update(metric="test/psnr", value=29.40, source="Ledig et al. 2017, table 2")
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """For two cores: smaller nets, 8,000 steps of squared error and 4,000 of the game: about two hours."""
    config.update(steps=12_000, steps_per_dispatch=5, log_every=100, eval_every=4000, checkpoint_every=500)
    config.model.update(blocks=4, norm=False, direct=True, skip=True, discriminator_width=16, dense=128)
    config.task.update(phases=(8 / 12, 3 / 12, 1 / 12))
    config.optimizer.learning_rate = 5e-4
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.02, "final": 0.01})


def smoke(config: ConfigDict) -> None:
    """Seconds, on the two photographs of scikit-learn, with features that nobody trained."""
    config.update(steps=8, batch_size=8, steps_per_dispatch=2, log_every=2, eval_every=4, checkpoint_every=2)
    config.dataset.update(name="photographs", shrink=4, patch=32)
    config.dataset.splits = ConfigDict({"train": "train", "test": "test"})
    config.model.update(width=4, blocks=1, direct=True, discriminator_width=2, discriminator_stages=1, dense=8)
    config.task.update(phases=(0.5, 0.25, 0.25), features="", feature_layer="conv1", perceptual=1.0)


VARIANTS = {"quick": quick, "smoke": smoke}
