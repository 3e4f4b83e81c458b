import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.inspection.grad_cam import grad_cam
from dl.inspection.programs import cut
from tests.inspection.nets import Deep, Pooled, images, network

LABELS = jnp.array([2, 0])


def test_grad_cam_is_cam_for_global_average_pooling():
    """Selvaraju et al. 2017, section 3.1: its weights are then those of Zhou et al. 2016, over the number of places."""
    net = network(Pooled())
    found = net.compiled(grad_cam, "conv")(images(), LABELS)
    maps = net.at(net.variables, "conv", images())[1]
    cam = jnp.einsum("byxd,db->byx", maps, net.variables["params"]["dense"]["kernel"][:, LABELS])
    assert found.max() > 0
    np.testing.assert_allclose(found, jnp.maximum(cam, 0) / 64, atol=1e-6)


def test_layers_that_a_network_does_not_name_itself_are_its_modules():
    net = network(Deep((jax.nn.relu,)))
    assert net.layers() == {"conv1": (8, 8, 4), "conv2": (8, 8, 5), "dense": (3,)}
    found = net.compiled(grad_cam, "conv2")(images(), LABELS)
    maps = net.at(net.variables, "conv2", images())[1]
    cam = jnp.einsum("byxd,db->byx", maps, net.variables["params"]["dense"]["kernel"][:, LABELS])
    np.testing.assert_allclose(found, jnp.maximum(cam, 0) / 64, atol=1e-6)


def test_a_layer_of_vectors_has_no_places():
    with pytest.raises(UserError, match="needs a layer that gives maps"):
        network(Pooled()).compiled(grad_cam, "scores")(images(), LABELS)


def test_the_rest_of_a_function_after_a_cut():
    def function(x):
        middle = jnp.sin(x)
        return middle * 2 + x, middle  # x also goes around the cut

    result, middle, rest = cut(function, jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(result, rest(middle))
    np.testing.assert_allclose(rest(jnp.zeros(2)), [1, 2])
    with pytest.raises(ValueError, match="does not depend"):
        cut(lambda x: (jnp.sin(x), jnp.sin(x)), jnp.ones(2))
