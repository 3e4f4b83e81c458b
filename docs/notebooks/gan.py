# %% [markdown]
# # A GAN
#
# A generator and a discriminator (Goodfellow et al. 2014) on eight Gaussians in the plane, where one can see what they
# do. They are two objectives of one task; the discriminator is taken twice a step.

# %%
import dl
import numpy as np

config = dl.load_config(
    "configs/mixture_gan.py", {"steps": 400, "eval_every": 0, "checkpoint_every": 0, "eval_batch_size": 500}
)
run = dl.train(config, "runs/notebooks/gan")

# %%
for phase in run.task.phases:
    print(phase.steps, phase.objectives)

# %% [markdown]
# V(D, G) is -log 4 = -1.386 where the generator makes what the data are (theorem 1). 400 steps are far from enough; the
# published setting has 20,000.

# %%
print({name: round(value["mean"], 3) for name, value in run.metrics["test"].items()})

# %% [markdown]
# Points, the same for the same seed:

# %%
made = run.generate(seed=1, samples=200)
print({name: type(artifact).__name__ for name, artifact in made.items()})

# %% [markdown]
# The two players' losses over the training:

# %%
train = [line for line in run.history if line["split"] == "train"]
names = [name for name in train[-1] if name.startswith("objective/")]
print(names, [round(float(np.mean(train[-1][name]["values"])), 3) for name in names])
