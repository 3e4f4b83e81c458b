r"""End-to-end memory network on the bAbI tasks, 1,000 questions a task: 13.9 % mean test error over the 20 tasks (Sukhbaatar,
Szlam, Weston & Fergus 2015, table 1: position encoding, linear start, random noise, 3 hops, a net for each task).

    python -m experiments.train --config=configs/babi_memory.py --workdir=runs/babi/task1 --manual_dir=archives
    python -m experiments.sweep --config=configs/babi_memory.py --workdir=runs/babi --manual_dir=archives --max_replicas=10 \
        --grid='dataset.task=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20'
    python -m experiments.babi_table runs/babi

The first trains for one task (--config.dataset.task=2), the second for all of them. The last shows the tasks trained so far
beside the published table, by the authors' rule: of 10 runs the test error of
that with the lowest training error. The 10 runs are the replicas of one program.

As published: 900 questions for training and 100 for validation; 20 epochs of linear start and 100 with the softmax, at a
learning rate of 0.005, halved every 25 epochs of the latter; batches of 32, whose losses are summed; a gradient of a norm above
40 is scaled down to it (all of it; the authors' code does so for each matrix); the last 50 sentences; N(0, 0.1^2).
Another number of hops: --config.model.hops=1. All tasks in one net: `joint`. An LSTM: `lstm`.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

BATCH, LINEAR, EPOCHS = 32, 20, 100


def get_config(variant: str = "") -> ConfigDict:
    """The published setting, of one task."""
    config = base()
    config.update(replicas=10, replicate="vmap", epochs=float(LINEAR + EPOCHS), batch_size=BATCH)
    config.update(steps_per_dispatch=100, log_every=300, checkpoint_every=1500)
    config.dataset.update(name="babi", task=1, memory=50)
    splits = {"train": "train[:90%]", "training": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    config.dataset.splits = ConfigDict(splits)  # `training`: the training error, without noise
    config.model = ConfigDict({"name": "memory_network", "width": 20, "hops": 3, "memory": 50})
    config.model.update(encoding="position", temporal=True, deviation=0.1)
    config.task = ConfigDict({"name": "question_answering", "linear_start": LINEAR / (LINEAR + EPOCHS), "time_noise": 0.1})
    # The published loss is the sum over a batch, ours the mean.
    config.optimizer.update(name="sgd", learning_rate=0.005 * BATCH, clip_norm=40 / BATCH)
    config.optimizer.schedule = ConfigDict({"name": "step", "boundaries": (0.25, 0.5, 0.75), "factor": 0.5})
    return vary(config, VARIANTS, variant)


def joint(config: ConfigDict) -> None:
    """One net for all tasks: 60 epochs, halving every 15, width 50, after a linear start of 20 epochs."""
    config.update(replicas=3, epochs=80.0, log_every=3000, checkpoint_every=5000)
    config.dataset.task = 0
    config.model.width = 50
    config.task.linear_start = 0.25


def lstm(config: ConfigDict) -> None:
    """An LSTM that reads story and question word by word: 51.3 % in Weston et al. 2015."""
    config.update(replicas=3, replicate="unroll", epochs=60.0, steps_per_dispatch=20)
    config.model = ConfigDict(
        {"name": "story_lstm", "cell": "lstm", "embedding": 32, "hidden": 64, "layers": 1, "dropout": 0.0}
    )
    config.task.update(linear_start=0.0, time_noise=0.0)
    config.optimizer.update(name="adam", learning_rate=2e-3, clip_norm=1.0)
    config.optimizer.schedule = ConfigDict({"name": "cosine"})


def quick(config: ConfigDict) -> None:
    """3 runs of half as many epochs."""
    config.update(replicas=3, epochs=config.epochs / 2)


def smoke(config: ConfigDict) -> None:
    """Seconds, on stories made here."""
    config.update(replicas=2, epochs=0.0, steps=40, steps_per_dispatch=5, log_every=10, eval_every=20, checkpoint_every=20)
    config.dataset = ConfigDict({k: v for k, v in config.dataset.to_dict().items() if k != "task"})
    config.dataset.update(name="moves", stories=20)


VARIANTS = {"joint": joint, "lstm": lstm, "quick": quick, "smoke": smoke}
