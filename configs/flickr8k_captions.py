"""Captions of photographs, with attention: BLEU-1 to 4 of 67 / 44.8 / 29.9 / 19.5 on Flickr8k (Xu et al. 2015, "Show, Attend
and Tell", table 1, soft attention), and 61.1 / 36.5 / 22.6 / 14.2 by a public attempt on images like these.

    python -m experiments.train --config=configs/flickr8k_captions.py --workdir=runs/flickr8k --manual_dir=archives
    python -m experiments.generate --workdir=runs/flickr8k --images=photo.jpg,cat.png --out=captions.html

The images are 128 x 128 here. What the decoder looks at are 7 x 7 places of SqueezeNet (weights of ImageNet, 5 MB where the
paper has VGG's 550), computed once for all images: 6 minutes on two cores, kept for the next run. An epoch of the decoder
then takes 3 minutes. Captions come of a beam search; BLEU is sacreBLEU's against five references, in small letters and
without punctuation, as the published numbers; CIDEr-D stands beside it.

Reached: docs/results.md. Your own images: --config.dataset.name=captions --config.dataset.path=captions.tsv
--config.dataset.images=DIR --config.dataset.size=128,128 (docs/captions.md).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

WEIGHTS = "squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz"


def get_config(variant: str = "") -> ConfigDict:
    """Soft attention, the network of the images as it is."""
    config = base()
    config.update(epochs=16.0, batch_size=16, steps_per_dispatch=4, intervals="epochs", log_every=1, eval_every=1)
    config.update(checkpoint_every=1, eval_batch_size=64)
    config.dataset.update(name="flickr8k", minimum_count=5, batches="buckets", lengths=(16, 20, 26), bucket_by="captions")
    config.dataset.update(tokens_per_batch=0, network="squeezenet", network_weights=WEIGHTS, network_layer="fire9")
    config.dataset.update(network_side=240, network_grid=7, fit="resize")
    config.dataset.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test"})
    config.task = ConfigDict({"name": "captioning", "doubly": 1.0, "beam": 5, "alpha": 0.7, "longest": 22})
    config.model = ConfigDict({"name": "show_attend_tell", "embedding": 256, "hidden": 512, "attention_features": 256})
    config.model.dropout = 0.5
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.03})
    config.best.metric = "validation/loss"
    config.reference.update(metric="test/bleu1", value=67.0, source="Xu et al. 2015, table 1, soft attention, VGG")
    return vary(config, VARIANTS, variant)


def no_attention(config: ConfigDict) -> None:
    """The decoder is given the image once, before the first word (Vinyals et al. 2015, "Show and Tell")."""
    config.model = ConfigDict({"name": "show_and_tell", "embedding": 512, "hidden": 512, "dropout": 0.5})
    config.reference.update(value=63.0, source="Vinyals et al. 2015, as Xu et al. 2015, table 1, have it; GoogLeNet")


def hard(config: ConfigDict) -> None:
    """Each word looks at one place that is drawn: learned by REINFORCE (Xu et al. 2015, section 4.1)."""
    config.task.update(hard=True, doubly=0.0)
    config.reference.update(value=67.0, source="Xu et al. 2015, table 1, hard attention, VGG")


def finetuned(config: ConfigDict) -> None:
    """In the last quarter of the steps SqueezeNet learns too, at a tenth of the rate. For a GPU: images go through it."""
    config.dataset.network = ""
    config.task.update(finetune=0.25, finetune_rate=0.1)


def quick(config: ConfigDict) -> None:
    """A smaller decoder, 6 passes: a quarter of an hour on two cores."""
    config.epochs = 6.0
    config.model.hidden = 256


def smoke(config: ConfigDict) -> None:
    """Seconds, on drawn scenes with captions made by rules, seen by an untrained network."""
    config.update(epochs=0.0, steps=24, batch_size=8, steps_per_dispatch=4, intervals="steps", log_every=4, eval_every=12)
    config.update(checkpoint_every=4, eval_batch_size=24)
    config.dataset.update(name="captioned_scenes", minimum_count=1, batches="examples", network_weights="")
    config.dataset.update(network_layer="fire2", network_side=32, network_grid=3)
    del config.dataset.lengths, config.dataset.bucket_by, config.dataset.tokens_per_batch
    config.dataset.splits = ConfigDict({"train": "train[:64]", "validation": "validation[:24]", "test": "test[:24]"})
    config.task.update(beam=2, longest=12)
    config.model.update(embedding=16, hidden=16)
    if "attention_features" in config.model:
        config.model.attention_features = 16


VARIANTS = {"no_attention": no_attention, "hard": hard, "finetuned": finetuned, "quick": quick, "smoke": smoke}
