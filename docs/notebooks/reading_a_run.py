# %% [markdown]
# # Reading a run
#
# All that a training leaves is in its folder, and can be read back.

# %%
import dl
import numpy as np

config = dl.load_config("configs/digits_mlp.py:smoke", {"replicas": 2})
dl.train(config, "runs/notebooks/read")
run = dl.load_run("runs/notebooks/read")

# %% [markdown]
# What was asked for, and what was reached: mean and deviation over the replicas, with the value of each.

# %%
print(run.config.model.to_dict(), run.config.optimizer.learning_rate)
print(run.metrics["test"]["error"])
print(run.result["commit"][:12], run.result["versions"]["jax"], run.result["params_sha256"][0][:12])

# %% [markdown]
# Curves are in `history`, a dictionary a line:

# %%
for line in run.history:
    print(line["step"], line["split"], round(line["loss"]["mean"], 3))

# %% [markdown]
# The parameters of replica 1, by name:

# %%
params, variables = dl.load_run("runs/notebooks/read", replica=1).parameters
print({name: {key: value.shape for key, value in layer.items()} for name, layer in params["model"].items()})

# %% [markdown]
# The test images with what the run says of them:

# %%
source = run.restored.experiment.dataset.splits["test"]
examples = source.gather(np.arange(8))
said = run.predict(examples["image"])
for label, top in zip(examples["label"], said.top(2), strict=True):
    print(label, ", ".join(f"{name} {probability:.0%}" for name, probability in top))
