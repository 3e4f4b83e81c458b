"""Losses of auxiliary classifiers: what is minimised."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.config import base
from dl.dataset import Info
from dl.errors import UserError
from dl.tasks.classification import classification, cross_entropy
from dl.training.assembly import assemble

INFO = Info("images", {"image": (2, 2, 1)}, 3)


class Net(nn.Module):
    """Two auxiliary classifiers on the way to the scores."""

    sows: bool = True

    @nn.compact
    def __call__(self, x, train=False):
        x = x.reshape(len(x), -1)
        for name in ("first", "second"):
            scores = nn.Dense(3, name=name)(x)
            if train and self.sows:
                self.sow("auxiliary", f"{name}_scores", scores)
        return nn.Dense(3, name="last")(x)


@pytest.fixture
def batch():
    image = jax.random.normal(jax.random.key(1), (4, 2, 2, 1))
    return {"image": image, "label": jnp.array([0, 1, 2, 0]), "label_mix": jnp.array([1, 1, 0, 2]), "mix": jnp.full(4, 0.7)}


@pytest.mark.parametrize("mixed", [False, True])
def test_the_losses_of_auxiliary_scores_are_added_by_their_weight(batch, mixed):
    task = classification(Net(), INFO, optax.sgd(0.1), 1, auxiliary=0.3)
    params, variables = task.init(jax.random.key(0))
    assert variables == {} and set(params["model"]) == {"first", "second", "last"}
    batch = batch if mixed else {key: batch[key] for key in ("image", "label")}

    def one(name):  # by hand: dense, softmax, cross-entropy, mixed
        layer = params["model"][name]
        scores = batch["image"].reshape(4, -1) @ layer["kernel"] + layer["bias"]
        losses = cross_entropy(scores, batch["label"])
        return (0.7 * losses + 0.3 * cross_entropy(scores, batch["label_mix"]) if mixed else losses).mean()

    value, (new, metrics) = task.objectives["classify"].value(params, variables, batch, jax.random.key(2))
    np.testing.assert_allclose(value, one("last") + 0.3 * (one("first") + one("second")), rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"][0] / 4, one("last"), rtol=1e-6)
    np.testing.assert_allclose(metrics["auxiliary"][0] / 4, one("first") + one("second"), rtol=1e-6)
    assert new == {}


def test_without_a_weight_they_are_not_asked_for(batch):
    tasks = [classification(Net(sows), INFO, optax.sgd(0.1), 1) for sows in (True, False)]
    params, _ = tasks[0].init(jax.random.key(0))
    values = [task.objectives["classify"].value(params, {}, batch, jax.random.key(2)) for task in tasks]
    assert values[0][0] == values[1][0] and values[0][1][0] == {} and "auxiliary" not in values[0][1][1]


def test_a_model_that_has_none_is_a_clear_error(batch):
    task = classification(Net(False), INFO, optax.sgd(0.1), 1, auxiliary=0.3)
    params, _ = task.init(jax.random.key(0))
    with pytest.raises(UserError, match="task.auxiliary=0.3, but Net gives no auxiliary scores: set it to 0"):
        task.objectives["classify"].value(params, {}, batch, jax.random.key(2))


def test_a_negative_weight_is_refused():
    settings = base()
    settings.update(steps=1, batch_size=8, task={"name": "classification", "auxiliary": -1.0})
    with pytest.raises(UserError, match="task.auxiliary must not be negative, got -1"):
        assemble(settings)
