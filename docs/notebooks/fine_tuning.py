# %% [markdown]
# # Fine-tuning
#
# A net that was trained on one kind of images is a good start for another one of which there are few. Here: digits, and
# thirty-two negatives of digits with their labels.

# %%
import dl
import numpy as np
from sklearn.datasets import load_digits

short = {"epochs": 0.0, "steps": 200, "eval_every": 0, "checkpoint_every": 0, "log_every": 100, "steps_per_dispatch": 20}
source = dl.train(dl.load_config("configs/digits_mlp.py", short), "runs/notebooks/source")

# %% [markdown]
# The few: an `.npz` with arrays for training and test.

# %%
digits = load_digits()
inverted = (255 - digits.images * 255 / 16).astype(np.uint8)
np.savez(
    "runs/notebooks/negatives.npz",
    x_train=inverted[:32],
    y_train=digits.target[:32],
    x_test=inverted[1000:],
    y_test=digits.target[1000:],
)
few = {"dataset.name": "npz", "dataset.path": "runs/notebooks/negatives.npz", "batch_size": 32, **short}

# %% [markdown]
# From scratch, and from the source's parameters (`task.weights`: the folder of a run, or published weights).
# `--config.task.reinitialise` is a regular expression of what starts anew; here the first layer does, which saw dark
# where there is light now.

# %%
scratch = dl.train(dl.load_config("configs/digits_mlp.py", few), "runs/notebooks/scratch")
started = {"task.weights": str(source.workdir), "task.reinitialise": "model/dense1/.*"}
tuned = dl.train(dl.load_config("configs/digits_mlp.py", {**few, **started}), "runs/notebooks/tuned")
for name, run in (("scratch", scratch), ("fine-tuned", tuned)):
    print(f"{name}: test error {run.metrics['test']['error']['mean']:.2%}")

# %% [markdown]
# Which of them is better, a run of several seeds says (`replicas`), and for real photographs
# [docs/transfer.md](../transfer.md) has the table.
