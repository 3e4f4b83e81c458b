import jax
import jax.numpy as jnp
import numpy as np

from dl.models.faster_rcnn import FasterRCNN

SIZES = {  # parameters of the parts, with D = 128, 512 hidden units, three anchors and three classes
    "body": 735_424,  # of SqueezeNet 1.0, without conv10
    "lateral": (256 + 512 + 512) * 128,
    "norm": 3 * 2 * 128,
    "smooth": 3 * (9 * 128 * 128 + 128),
    "rpn": 9 * 128 * 128 + 128,
    "objectness": 128 * 3 + 3,
    "anchor_deltas": 128 * 12 + 12,
    "dense1": 49 * 128 * 512 + 512,
    "dense2": 512 * 512 + 512,
    "scores": 512 * 4 + 4,
    "box_deltas": 512 * 12 + 12,
    "mask_conv": 4 * 9 * 128 * 128,
    "mask_norm": 4 * 2 * 128,
    "mask_up": 4 * 128 * 128 + 128,
    "mask_logits": 128 * 3 + 3,
}


def test_the_parts_have_the_parameters_of_the_table():
    images = jnp.zeros((1, 96, 160, 3))
    found = jax.eval_shape(FasterRCNN(3, masks=True).init, jax.random.key(0), images)["params"]
    counts: dict[str, int] = {}
    for name, part in found.items():
        name = name.rstrip("_0123456789") if name.startswith(("lateral", "norm", "smooth", "mask_conv", "mask_norm")) else name
        counts[name] = counts.get(name, 0) + sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(part))
    assert counts == SIZES


def test_maps_and_anchors_fit_each_other():
    model, images = FasterRCNN(3), jax.ShapeDtypeStruct((2, 96, 160, 3), jnp.float32)
    made = jax.eval_shape(lambda key, x: model.init_with_output(key, x, method="pyramid")[0], jax.random.key(0), images)
    assert [m.shape for m in made] == [(2, 24, 40, 128), (2, 12, 20, 128), (2, 6, 10, 128), (2, 3, 5, 128)]
    anchors = model.anchors([jnp.zeros(m.shape) for m in made])
    assert [len(level) for level in anchors] == [3 * 24 * 40, 3 * 12 * 20, 3 * 6 * 10, 3 * 3 * 5]
    for level, stride in zip(anchors, model.strides, strict=True):
        middle = (level[:, :2] + level[:, 2:]) / 2
        np.testing.assert_allclose(middle[0], stride / 2)  # the first is around the first place of its map
        np.testing.assert_allclose(middle[-1], np.array([96, 160]) - stride / 2)
