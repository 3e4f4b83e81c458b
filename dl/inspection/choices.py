"""What is shown where the user did not say: which layers, which squares, which epsilons."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dl.errors import UserError
from dl.inspection.class_maximisation import Ascent
from dl.inspection.network import Network, check_layers

METHODS = ("activations", "projections", "gradients", "grad_cam", "occlusion", "classes", "adversarial")
SHOWN = 12  # layers whose activations are shown
PROJECTED = (0.2, 0.55, 1.0)  # how deep, among the layers of maps, those are whose features are projected

Shapes = Mapping[str, tuple[int, ...]]


class Choices(NamedTuple):
    """What to look at.

    methods: names of `METHODS`.
    layers: layers whose activations are shown.
    projected: layers whose strongest features are shown.
    cam: layer of Grad-CAM; "" for none.
    square, stride: side and stride of the occluding square, in pixels.
    epsilons: sizes of the changes of adversarial examples.
    pgd_steps: number of steps of PGD.
    """

    methods: tuple[str, ...]
    layers: tuple[str, ...]
    projected: tuple[str, ...]
    cam: str
    square: int
    stride: int
    ascent: Ascent
    epsilons: tuple[float, ...]
    pgd_steps: int


def choose(
    network: Network,
    methods: Sequence[str] = METHODS,
    layers: Sequence[str] = (),
    projected: Sequence[str] = (),
    cam: str = "",
    square: int = 0,
    epsilons: Sequence[float] = (),
    pgd_steps: int = 10,
    ascent_steps: int = 60,
) -> Choices:
    """The choices; what is empty or 0 is chosen by the network.

    Raises:
        UserError: a layer that the network has not, one without maps for Grad-CAM, or an epsilon that is no change of a pixel.
    """
    check_layers(network, (*layers, *projected, *([cam] if cam else [])))
    shapes = network.layers()
    maps = _maps(shapes, len(network.class_names))
    if cam and len(shapes[cam]) != 3:
        raise UserError(f"Grad-CAM needs a layer that gives maps, and {cam} gives {shapes[cam][0]} numbers: name another.")
    if any(not 0 <= epsilon <= 1 for epsilon in epsilons):
        raise UserError(f"epsilons are changes of pixels in 0..1, such as 0.01 or 8/255 = 0.0314; got {_listed(epsilons)}.")
    side = min(network.shape[:2])
    square = square or max(side // 5, 1)
    if square > side:
        raise UserError(f"a square of {square} pixels does not fit images of {side}.")
    usual = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3) if network.shape[2] == 1 else tuple(n / 255 for n in (0, 0.25, 0.5, 1, 2, 4, 8))
    return Choices(
        tuple(methods),
        tuple(layers) or spread(tuple(shapes), SHOWN),
        tuple(projected) or tuple(dict.fromkeys(maps[round(part * (len(maps) - 1))] for part in PROJECTED if maps)),
        cam or (maps[-1] if maps else ""),
        square,
        max(square // 3, 1),
        Ascent(steps=ascent_steps, jitter=max(side // 28, 1)),
        tuple(sorted({0.0, *epsilons})) if epsilons else usual,
        pgd_steps,
    )


def spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` of the names, evenly over all, the first and the last among them."""
    if len(names) <= count:
        return tuple(names)
    return tuple(names[round(i * (len(names) - 1) / (count - 1))] for i in range(count))


def _maps(shapes: Shapes, classes: int) -> list[str]:
    """Layers that give maps of features: not those that only pool them, nor maps of the classes."""
    maps = [name for name, shape in shapes.items() if len(shape) == 3 and min(shape[:2]) > 1]
    return [name for name in maps if "pool" not in name and not (name == list(shapes)[-1] and shapes[name][2] == classes)]


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
