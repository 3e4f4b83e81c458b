# %% [markdown]
# # LeNet-5 in 20 lines
#
# The network in its modern form (convolution, ReLU, max-pooling; LeCun, Bottou, Bengio & Haffner 1998), the loss, the
# task: then steps. The data are the digits that come with scikit-learn.

# %%
import dl
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

# %%


class LeNet5(nn.Module):
    @nn.compact
    def __call__(self, x):
        for features in (6, 16):
            x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        for features in (120, 84):
            x = nn.relu(nn.Dense(features)(x))
        return nn.Dense(10)(x)


net = LeNet5()


def loss(params, variables, batch, key):
    scores = net.apply(params["net"], batch["image"])
    losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch["label"])
    wrong = scores.argmax(-1) != batch["label"]
    return dl.mean(losses), (variables, {"loss": dl.mean(losses), "error": dl.mean(wrong)})


task = dl.Task(
    init=lambda key: ({"net": net.init(key, jnp.zeros((1, 8, 8, 1)))}, {}),
    objectives={"classify": dl.Objective(loss, ("net",), optax.adam(2e-3))},
    phases=(dl.Phase(300, ("classify",)),),
)

# %% [markdown]
# A step is a pure function of a state and a batch; which examples a batch has is a function of the step.

# %%
digits = load_digits()
images = (digits.images[..., None] / 16).astype(np.float32)
labels = digits.target.astype(np.int32)
state, step = dl.initial_state(task, seed=0), dl.make_step(task)
for i in range(300):
    rows = np.random.default_rng(i).integers(0, 1500, 64)
    state, metrics = step(state, {"image": images[rows], "label": labels[rows]})
    if i % 100 == 99:
        print(i + 1, {name: round(float(metrics[name]), 3) for name in ("loss", "error")})

# %% [markdown]
# The digits that no step has seen:

# %%
wrong = np.asarray(net.apply(state.params["net"], images[1500:]).argmax(-1)) != labels[1500:]
print(f"test error {wrong.mean():.2%}")

# %% [markdown]
# LeNet-5 as it was published, with its subsampling, partial connections and Gaussian output layer, is a name, and so is
# its experiment: `dl.train("configs/digits_lenet5.py:quick", "runs/lenet5")`.

# %%
original = dl.create_model("lenet5", num_classes=10).init(np.zeros((1, 32, 32, 1), np.float32))
print(f"{original.parameters:,} parameters")
