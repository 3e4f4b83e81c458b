# %% [markdown]
# # The engine in one page
#
# `Objective`, `Phase`, `Task`: that is all the engine knows. Here on a toy, in which two players move two numbers of
# one landscape.

# %%
import dl
import jax.numpy as jnp
import optax

# %% [markdown]
# A loss takes `(params, variables, batch, key)` and gives a pair `(sum, count)`, the variables after the step, and
# metrics, which are pairs too. Pairs add up over batches, microbatches and devices, and are divided once: `dl.mean`
# makes one.

# %%


def low(params, variables, batch, key):
    """x wants f(x, y) = x^2 - y^2 + x y low."""
    x, y = params["x"], params["y"]
    value = dl.mean(x**2 - y**2 + x * y + 0 * batch["unused"])
    return value, (variables, {"f": value})


def high(params, variables, batch, key):
    """y wants it high."""
    (total, count), rest = low(params, variables, batch, key)
    return (-total, count), rest


# %% [markdown]
# Each objective moves some of the parameter groups, with an optimizer of its own; the others are constants to it. A GAN
# is two objectives. A phase says for how many steps which objectives are taken, in which order: here y waits at first.

# %%
task = dl.Task(
    init=lambda key: ({"x": jnp.float32(1.0), "y": jnp.float32(1.0)}, {}),
    objectives={
        "low": dl.Objective(low, groups=("x",), optimizer=optax.sgd(0.1)),
        "high": dl.Objective(high, groups=("y",), optimizer=optax.sgd(0.1)),
    },
    phases=(dl.Phase(steps=20, objectives=("low",)), dl.Phase(steps=80, objectives=("low", "high"))),
)

# %%
state = dl.initial_state(task)
batch = {"unused": jnp.zeros(1)}
for number, phase in enumerate(task.phases):
    step = dl.make_step(task, phase=number)
    for _ in range(phase.steps):
        state, metrics = step(state, batch)
    x, y, f = (float(value) for value in (state.params["x"], state.params["y"], metrics["f"]))
    print(f"after phase {number}: x {x:+.3f}, y {y:+.3f}, f {f:+.3f}")

# %% [markdown]
# With y at 1, x goes to -1/2, where f is lowest; then both go to the saddle at (0, 0). The engine adds metrics of its
# own:

# %%
print(sorted(metrics))

# %% [markdown]
# A task of a file in `dl/tasks/` is the same thing, made from a configuration ([CONTRIBUTING.md](../../CONTRIBUTING.md)
# has one in full). The loop gives it batches, checkpoints, replicas and the mesh; of all that it knows nothing.

# %%
experiment = dl.experiment("configs/digits_mlp.py:smoke")
print(experiment.task.objectives.keys(), experiment.task.phases)
