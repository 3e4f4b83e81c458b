"""Translation of Multi30k by an encoder-decoder with attention: BLEU 33.5 to 38.5 German to English, where 18.8 is reached
without attention, and 16.1 English to German without (PyTorch tutorials on these data).

    python -m experiments.train --config=configs/multi30k_attention.py --workdir=runs/multi30k --manual_dir=archives
    python -m experiments.train --config=configs/multi30k_attention.py:de_en --workdir=runs/multi30k_de_en --manual_dir=archives
    python -m experiments.generate --workdir=runs/multi30k --prompt="A man sleeps on a bench." --attention

The model of Bahdanau, Cho & Bengio (2015), smaller, for 29,000 sentences: GRUs of 256 units in both directions and in the
decoder, embeddings of 256, 6,000 subwords a language, dropout, label smoothing, Adam. BLEU is sacreBLEU's on the test set
`test_2016_flickr`, cased and detokenised, after a beam search of 5; its signature is in `result.json`.

Reached: docs/results.md. Your own languages: --config.dataset.name=parallel_text --config.dataset.path=DIR
--config.dataset.source=en --config.dataset.target=fr --config.dataset.splits.test=test (docs/translation.md).
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

TUTORIAL = "bentrevett/pytorch-seq2seq and others on these data, German to English"


def get_config(variant: str = "") -> ConfigDict:
    """English to German, with attention."""
    config = base()
    config.update(epochs=24.0, batch_size=64, steps_per_dispatch=4, intervals="epochs", log_every=1, eval_every=2)
    config.update(checkpoint_every=1, eval_batch_size=128)
    config.dataset.update(name="multi30k", level="subword", vocabulary_size=6000, source="en", target="de", minimum_count=1)
    config.dataset.update(lower=False, subwords="bpe", batches="buckets", lengths=(14, 18, 24, 32, 58), bucket_by="")
    config.dataset.update(tokens_per_batch=0)
    config.dataset.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test_2016_flickr"})
    config.task = ConfigDict({"name": "translation", "smoothing": 0.1, "beam": 5, "alpha": 1.0})
    config.model = ConfigDict({"name": "bahdanau", "embedding": 256, "hidden": 256, "attention": "additive"})
    config.model.update(attention_features=256, window=10, maxout=256, tied=True, dropout=0.4)
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=1.0)
    config.optimizer.schedule = ConfigDict({"name": "warmup_cosine", "warmup_steps": 0.03})
    config.best.metric = "validation/perplexity"
    config.reference.update(metric="test/bleu", value=33.0, source="aim; no published number of this direction")
    return vary(config, VARIANTS, variant)


def de_en(config: ConfigDict) -> None:
    """German to English."""
    config.dataset.update(source="de", target="en")
    config.reference.update(value=36.0, source=f"{TUTORIAL}: 33.5 to 38.5")


def no_attention(config: ConfigDict) -> None:
    """The decoder is given the sentence as one vector (Cho et al. 2014)."""
    hidden = config.model.hidden
    config.model = ConfigDict({"name": "cho", "embedding": 256, "hidden": 2 * hidden, "maxout": 256, "tied": True})
    config.model.dropout = 0.3
    backwards = config.dataset.source == "de"
    config.reference.update(value=18.8 if backwards else 16.1, source="PyTorch tutorials on these data, without attention")


def luong(config: ConfigDict) -> None:
    """Attention after the recurrence, with input feeding (Luong et al. 2015)."""
    config.model = ConfigDict({"name": "luong", "embedding": 256, "hidden": 384, "layers": 1, "attention": "general"})
    config.model.update(window=10, reverse=False, dropout=0.3)


def sutskever(config: ConfigDict) -> None:
    """Deep LSTMs without attention that read the source from its end (Sutskever et al. 2014)."""
    config.model = ConfigDict({"name": "sutskever", "embedding": 256, "hidden": 512, "layers": 2, "reverse": True})
    config.model.dropout = 0.3
    config.reference.update(value=16.1, source="PyTorch tutorials on these data, without attention")


def words(config: ConfigDict) -> None:
    """Words that occur twice in place of subwords; others are `<unk>`."""
    config.dataset.update(level="word", vocabulary_size=0, minimum_count=2)


def quick(config: ConfigDict) -> None:
    """A smaller net, 6 passes: minutes on two cores."""
    config.epochs = 6.0
    config.model.hidden = config.model.hidden // 2


def smoke(config: ConfigDict) -> None:
    """Seconds, on 480 sentences made by a few rules."""
    config.update(epochs=0.0, steps=24, batch_size=16, steps_per_dispatch=4, intervals="steps", log_every=4, eval_every=12)
    config.update(checkpoint_every=4, eval_batch_size=48)
    config.dataset.update(name="phrases", vocabulary_size=120, lengths=(28,))
    config.dataset.splits = ConfigDict({"train": "train[:64]", "validation": "validation[:24]", "test": "test[:24]"})
    config.task.beam = 2
    config.model.update(embedding=16, hidden=16)
    if "maxout" in config.model:
        config.model.maxout = 16
    if "attention_features" in config.model:
        config.model.attention_features = 16


VARIANTS = {
    "de_en": de_en,
    "no_attention": no_attention,
    "luong": luong,
    "sutskever": sutskever,
    "words": words,
    "quick": quick,
    "smoke": smoke,
}
