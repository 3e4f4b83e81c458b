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

KINDS, WORDS, LINE = 40_000, 2_000_000, 200  # of the text that is made where none is given: Zipf's law
SETTINGS = {"dimensions": 100, "window": 5, "negatives": 5, "sample": 1e-3, "minimum": 5}


def made(folder: Path, words: int = WORDS, kinds: int = KINDS) -> Path:
    """A text file of random words, as frequent as Zipf's law says."""
    share = 1 / np.arange(1, kinds + 1)
    drawn = np.random.default_rng(0).choice(kinds, words, p=share / share.sum())
    path = folder / "text.txt"
    lines = (" ".join(f"w{n}" for n in drawn[i : i + LINE]) for i in range(0, words, LINE))
    path.write_text("\n".join(lines))
    return path


def configuration(path: Path) -> Any:
    """Ours: that of configs/imdb_skipgram.py, on a file of lines."""
    from experiments import config_file

    config = config_file.load("configs/imdb_skipgram.py")
    with config.unlocked():
        config.dataset.update(name="text", path=str(path), level="line", minimum=SETTINGS["minimum"])
        config.dataset.splits = {"train": "train"}
        config.task.update(benchmarks=(), shown=())
        config.update(epochs=1.0, checkpoint_every=0, log_every=config.steps_per_dispatch)
    return config


def ours(path: Path) -> Callable[[], float]:
    """`() -> words a second` of a pass over the text by the real loop, without what comes before its second line."""
    from dl.training.assembly import assemble
    from dl.training.loop import train
    from dl.training.progress import Progress
    from dl.training.workdir import read_metrics

    config = configuration(path)
    experiment = assemble(config)

    def turn() -> float:
        with tempfile.TemporaryDirectory() as folder:
            train(experiment, Path(folder), Progress(0, enabled=False))
            lines = [line for line in read_metrics(Path(folder)) if line["split"] == "train"]
        first, last = lines[1], lines[-1]
        words = (last["step"] - first["step"]) * config.batch_size * config.dataset.length
        return words / (last["seconds"] - first["seconds"])

    return turn


def gensims(path: Path) -> Callable[[], float]:
    """The same of gensim's Word2Vec, once its vocabulary is built.

    Raises:
        UserError: gensim is not installed.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise UserError("the case 'words' needs gensim: ./dev install gensim") from error
    from dl.data.corpus import words_alone

    texts = [words_alone(line) for line in path.read_text("utf-8").split("\n")]
    model = Word2Vec(
        vector_size=SETTINGS["dimensions"],
        window=SETTINGS["window"],
        negative=SETTINGS["negatives"],
        sample=SETTINGS["sample"],
        min_count=SETTINGS["minimum"],
        sg=1,
        workers=os.cpu_count() or 1,
    )
    model.build_vocab(texts)
    words = sum(model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key)

    def turn() -> float:
        start = time.perf_counter()
        model.train(texts, total_examples=model.corpus_count, epochs=1)
        return words / (time.perf_counter() - start)

    return turn


def measure(text: str, rounds: int) -> dict[str, Any]:
    """Words a second of both, medians over the rounds; `ratio` is ours over gensim's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(text).expanduser() if text else made(Path(folder))
        if not path.is_file():
            raise UserError(f"--text: there is no file {path}.")
        we, they = ours(path), gensims(path)
        we()  # compiles
        pairs = [(we(), they()) for _ in range(rounds)]
    return {
        "case": "words",
        "words_per_second": statistics.median(a for a, _ in pairs),
        "gensim_words_per_second": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
        "load": os.getloadavg()[0],
    }
