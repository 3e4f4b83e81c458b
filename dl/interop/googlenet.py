"""GoogLeNet's weights as torchvision publishes them, for its form.

`conv1.conv.weight`, `conv1.bn.weight`, `inception3a.branch1.conv.weight`, `inception3a.branch2.0.conv.weight`, ...,
`fc.weight`, and of the auxiliary classifiers `aux1.conv.conv.weight`, `aux1.fc1.weight` [1024, 2048], ... The weights were made
with pixels in -1..1, (rgb - 0.5) / 0.5: what torchvision's `transform_input` makes of its usual mean and deviation.
"""

from typing import Any

from dl.interop.published import Published
from dl.interop.torchvision import Arrays, Layout

PARTS = {
    "norm": "bn",
    "conv1x1": "branch1",
    "reduce3x3": "branch2.0",
    "conv3x3": "branch2.1",
    "reduce5x5": "branch3.0",
    "conv5x5": "branch3.1",
    "projection": "branch4.1",
    "auxiliary1": "aux1",
    "auxiliary2": "aux2",
}
GRIDS = {"auxiliary1/fc1": (4, 4), "auxiliary2/fc1": (4, 4)}


def layout(model: Any) -> Layout:
    """The same with and without the auxiliary classifiers, which files may have and a model may do without."""
    optional = () if model.auxiliary else ("aux1.", "aux2.")
    return Layout(lambda path: ".".join(PARTS.get(part, part) for part in path.split("/")), GRIDS, optional)


def published(arrays: Arrays) -> Published:
    """Torchvision's, with the auxiliary classifiers unless a file is without them."""
    auxiliary = not arrays or any(name.startswith("aux1.") for name in arrays)
    return Published(layout, (0.5,) * 3, (0.5,) * 3, {"form": "torchvision", "auxiliary": auxiliary})


WEIGHTS = {"googlenet": published}
