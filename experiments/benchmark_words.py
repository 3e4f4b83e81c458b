"""The case `words` of `experiments.benchmark`: skip-gram beside gensim's, on the same text, taking turns.

Both thin out frequent words, draw windows and noise, and go once over the text; what is counted are words of the text as it
is, those that are thinned out included. gensim runs with as many threads as there are processors.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dl.errors import UserError


def configuration(text: str = "") -> Any:
    """Ours: that of configs/imdb_skipgram.py, on a file of lines, or on random words."""
    from dl import config_file

    config = config_file.load("configs/imdb_skipgram.py")
    with config.unlocked():
        if text:
            config.dataset.update(name="text", path=text, level="line")
        else:
            config.dataset.name = "random_words"
            del config.dataset["minimum"]
        config.dataset.splits = {"train": "train"}
        config.task.update(benchmarks=(), shown=())
        config.update(epochs=1.0, checkpoint_every=0, log_every=config.steps_per_dispatch)
    return config


def ours(config: Any) -> Callable[[], float]:
    """`() -> words a second` of a pass over the text by the real loop, without what comes before its second line."""
    from dl.training.assembly import assemble
    from dl.training.loop import train
    from dl.training.progress import Progress
    from dl.training.workdir import read_metrics

    experiment = assemble(config)

    def turn() -> float:
        with tempfile.TemporaryDirectory() as folder:
            train(experiment, Path(folder), Progress(0, enabled=False))
            lines = [line for line in read_metrics(Path(folder)) if line["split"] == "train"]
        first, last = lines[1], lines[-1]
        words = (last["step"] - first["step"]) * config.batch_size * config.dataset.length
        return words / (last["seconds"] - first["seconds"])

    return turn


def gensims(config: Any) -> Callable[[], float]:
    """The same of gensim's Word2Vec, once its vocabulary is built.

    Raises:
        UserError: gensim is not installed.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise UserError("the case 'words' needs gensim: ./dev install gensim") from error
    texts = texts_of(config)
    model = Word2Vec(
        vector_size=config.model.dimensions,
        window=config.dataset.window,
        negative=config.task.negatives,
        sample=config.dataset.sample,
        min_count=1,  # rare words are gone
        sg=1,
        workers=os.cpu_count() or 1,
    )
    model.build_vocab(texts)
    words = sum(map(len, texts))

    def turn() -> float:
        start = time.perf_counter()
        model.train(texts, total_examples=model.corpus_count, epochs=1)
        return words / (time.perf_counter() - start)

    return turn


def texts_of(config: Any) -> list[list[str]]:
    """The texts as words, those that are rare left out: what ours learns from."""
    from dl.data.load import load

    info, splits = load(config.dataset)
    vocabulary, train = info.features["token"].vocabulary, splits["train"].gather(np.arange(len(splits["train"])))
    assert vocabulary is not None
    parts = np.split(train["token"], np.flatnonzero(np.diff(train["text"])) + 1)
    return [[vocabulary.names[token] for token in part] for part in parts]


def measure(text: str, rounds: int) -> dict[str, Any]:
    """Words a second of both, medians over the rounds; `ratio` is ours over gensim's.

    Args:
        text: a text file, a text a line; "" is random words.
        rounds: how often they take turns.
    """
    we, they = ours(configuration(text)), gensims(configuration(text))
    we()  # compiles
    pairs = [(we(), they()) for _ in range(rounds)]
    return {
        "case": "words",
        "words_per_second": statistics.median(a for a, _ in pairs),
        "gensim_words_per_second": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "load": os.getloadavg()[0],
    }
