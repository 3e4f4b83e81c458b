"""A score and a turned box at every place find words in rendered scenes (EAST, Zhou et al. 2017).

    python -m experiments.train --config=configs/scenes_east.py --workdir=runs/scenes_east
    python -m experiments.train --config=configs/scenes_east.py:quick --workdir=runs/scenes_quick

Reached: docs/results.md. The paper's numbers (f1 of 78.2 % with RBOX and PVANet2x on ICDAR 2015) are of photographs that are
not at hand; scenes of rendered words are easier, and nothing published is of them. Fonts are those of the machine, or of
--config.dataset.fonts=DIR; --config.dataset.backgrounds=DIR puts your own photographs behind the words.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """Scenes of 256 x 256, for a GPU."""
    config = base()
    config.update(steps=30_000, batch_size=32, steps_per_dispatch=4, eval_batch_size=50)
    config.update(log_every=100, eval_every=5_000, checkpoint_every=2_000)
    config.dataset.update(name="rendered_scenes", side=256, mean=(0.5,), std=(0.25,))
    config.model = ConfigDict({"name": "east", "width": 32})
    config.task = ConfigDict({"name": "text_detection"})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine"})
    return vary(config, VARIANTS, variant)


def quick(config: ConfigDict) -> None:
    """Scenes of 160 x 160, a network of half the width: less than an hour on two cores."""
    config.update(steps=4_000, batch_size=16, eval_every=1_000, checkpoint_every=500)
    config.dataset.side = 160
    config.model.width = 16


def smoke(config: ConfigDict) -> None:
    """Seconds, with Pillow's own font."""
    config.update(steps=8, batch_size=8, steps_per_dispatch=2, eval_batch_size=8, log_every=2, eval_every=4, checkpoint_every=4)
    config.dataset.update(fonts="embedded", side=32, examples=64, splits={"train": "train", "test": "test[:8]"})
    config.dataset.scenery = ConfigDict({"most": 2, "heights": (6, 12)})
    config.model.update(width=4, stages=1)
    config.task.candidates = 16


VARIANTS = {"quick": quick, "smoke": smoke}
