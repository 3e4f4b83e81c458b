"""Captions found for images and images for captions, by one embedding: recall at 10 of 54.2 % and 44.7 % on Flickr8k (Karpathy
& Fei-Fei 2015, "Deep visual-semantic alignments": regions and words aligned), 55.0 % and 51.5 % of whole images and sentences
(Kiros, Salakhutdinov & Zemel 2014, VGG and an LSTM).

    python -m experiments.train --config=configs/flickr8k_retrieval.py --workdir=runs/retrieval --manual_dir=archives

The ranking loss of both, of whole images (SqueezeNet's features, images of 128 x 128) and whole sentences (GRU).
`recall_at_K` is of captions for an image (1,000 images, 5,000 captions), `search_recall_at_K` of images for a caption. Two
cores: the features 6 minutes, once, then 20 minutes.
"""

from ml_collections import ConfigDict

from configs.flickr8k_captions import WEIGHTS
from dl.config import base
from dl.variants import vary


def get_config(variant: str = "") -> ConfigDict:
    """All wrong ones of the batch count."""
    config = base()
    config.update(epochs=30.0, batch_size=128, steps_per_dispatch=4, intervals="epochs", log_every=1, eval_every=2)
    config.update(checkpoint_every=2, eval_batch_size=200)
    config.dataset.update(name="flickr8k", minimum_count=5, lengths=(24,), fit="resize", network="squeezenet")
    config.dataset.update(network_weights=WEIGHTS, network_layer="fire9", network_side=240, network_grid=7)
    config.dataset.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test"})
    config.task = ConfigDict({"name": "image_text_retrieval", "margin": 0.2, "hardest": False})
    config.model = ConfigDict({"name": "visual_semantic", "embedding": 256, "space": 512, "dropout": 0.3})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=2.0)
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.05})
    config.best.metric = "validation/recall_at_10"
    config.reference.update(metric="test/recall_at_10", value=0.542, source="Karpathy & Fei-Fei 2015")
    return vary(config, VARIANTS, variant)


def hardest(config: ConfigDict) -> None:
    """Only the nearest wrong one counts (Faghri et al. 2018, "VSE++")."""
    config.task.hardest = True


def quick(config: ConfigDict) -> None:
    """A third of the passes."""
    config.epochs = 10.0


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn scenes with captions made by rules, seen by an untrained network."""
    config.update(epochs=0.0, steps=24, batch_size=16, steps_per_dispatch=4, intervals="steps", log_every=4, eval_every=12)
    config.update(checkpoint_every=4, eval_batch_size=24)
    config.dataset.update(name="captioned_scenes", minimum_count=1, network_weights="", lengths=())
    config.dataset.update(network_layer="fire2", network_side=32, network_grid=3)
    config.dataset.splits = ConfigDict({"train": "train[:64]", "validation": "validation[:24]", "test": "test[:24]"})
    config.model.update(embedding=16, space=16)


VARIANTS = {"hardest": hardest, "quick": quick, "smoke": smoke}
