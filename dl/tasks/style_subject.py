"""What an image is painted from: a content, styles, and which style goes where."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dl.data import image_files
from dl.data.colour_transfer import luminance, match_colours, match_luminance
from dl.errors import UserError


class Settings(NamedTuple):
    """`config.task` of the task `style_transfer`. Images are named as in `dl.data.image_files`.

    content: image whose content is painted; "" for none.
    styles: images whose style is painted; () for none.
    style_weights: weights of the styles among each other; () for equal ones.
    size: longer side of the content in pixels.
    style_size: longer side of the styles in pixels; 0 is as `size`.
    weights: file of the weights of the network `config.model`, from here or in the folder of archives; "" leaves it untrained.
    content_layers: names of the layers whose features are the content.
    content_layer_weights: their weights; () for equal ones. They are divided by their sum.
    style_layers: names of the layers whose Gram matrices are the style.
    style_layer_weights: as for the content.
    content_weight: weight of the content loss.
    style_weight: weight of the style loss.
    total_variation: weight of the total variation.
    relative: whether losses are relative to their targets, or the paper's.
    init: "content", "style" or "noise" (grey), from which the image starts.
    noise: deviation of the Gaussian noise added at the start, of pixels in 0..1.
    colour: "style", or the content's kept: "luminance" (only that is painted), "match" (the styles are recoloured).
    content_map: image of flat colours: where a colour is on the content, its style is that of the same colour.
    style_maps: such images of the styles.
    """

    content: str = ""
    styles: tuple[str, ...] = ()
    style_weights: tuple[float, ...] = ()
    size: int = 512
    style_size: int = 0
    weights: str = ""
    content_layers: tuple[str, ...] = ()
    content_layer_weights: tuple[float, ...] = ()
    style_layers: tuple[str, ...] = ()
    style_layer_weights: tuple[float, ...] = ()
    content_weight: float = 1.0
    style_weight: float = 1.0
    total_variation: float = 0.0
    relative: bool = True
    init: str = "content"
    noise: float = 0.0
    colour: str = "style"
    content_map: str = ""
    style_maps: tuple[str, ...] = ()

    def weight_of(self, loss: str) -> float:
        """The weight of the loss `content`, `style` or `total_variation`."""
        weights = {"content": self.content_weight, "style": self.style_weight, "total_variation": self.total_variation}
        return weights[loss]

    def layer_weights(self, kind: str) -> dict[str, float]:
        """Layer -> weight of the loss `kind`; they add up to 1. None where it has no target.

        Raises:
            UserError: not one for each layer, or a negative one.
        """
        names, given = getattr(self, f"{kind}_layers"), getattr(self, f"{kind}_layer_weights")
        if not (self.content if kind == "content" else self.styles):
            return {}
        if given and (len(given) != len(names) or min(given) < 0 or not sum(given)):
            raise UserError(f"task.{kind}_layer_weights must be {len(names)} numbers, one a layer, none negative, not {given}.")
        weights = given or (1.0,) * len(names)
        return {name: float(weight) / sum(weights) for name, weight in zip(names, weights, strict=True)}


class Subject(NamedTuple):
    """What is painted from: images of the luminance alone have one channel.

    content: [H, W, C], or None.
    styles: [h, w, C] each.
    shares: share of each region in the cells of a grid, (h, w) -> [K, h, w]; the content's, and those of each style.
    region_weights: [S, K].
    shape: shape of the image to be painted.
    original: content in its own colours.
    """

    content: np.ndarray | None
    styles: list[np.ndarray]
    shares: Callable[[int, int], np.ndarray]
    style_shares: list[Callable[[int, int], np.ndarray]]
    region_weights: np.ndarray
    shape: tuple[int, int]
    original: np.ndarray | None


def read(settings: Settings, manual_dir: str | None) -> Subject:
    """Reads the images and the maps that the settings of `dl.tasks.style_transfer` name, and settles size and colours.

    Raises:
        UserError: one is missing or can't be decoded; weights or maps that do not go with the styles.
    """
    size = settings.size
    original = image_files.read(settings.content, size, manual_dir) if settings.content else None
    styles: list[np.ndarray] = [image_files.read(s, settings.style_size or size, manual_dir) for s in settings.styles]
    content: np.ndarray | None = original
    if original is not None and settings.colour == "luminance":
        content = np.asarray(luminance(original))
        styles = [match_luminance(np.asarray(luminance(s)), content) for s in styles]
    elif original is not None and settings.colour == "match":
        styles = [match_colours(s, original) for s in styles]
    given = settings.style_weights or (1.0,) * len(styles)
    if len(given) != len(styles) or (styles and (min(given) < 0 or not sum(given))):
        raise UserError(f"task.style_weights must be {len(styles)} numbers, one a style, none negative, not {given}.")
    weights = np.asarray(given, np.float32) / max(sum(given), 1e-8)
    if settings.content_map or settings.style_maps:
        return _mapped(settings, original, content, styles, weights, manual_dir)
    shape = original.shape[:2] if original is not None else styles[0].shape[:2]
    return Subject(content, styles, _everywhere, [_everywhere] * len(styles), weights[:, None], shape, original)


def _everywhere(height: int, width: int) -> np.ndarray:
    return np.ones((1, height, width), np.float32)


def _mapped(
    settings: Settings,
    original: np.ndarray | None,
    content: np.ndarray | None,
    styles: list[np.ndarray],
    weights: np.ndarray,
    manual_dir: str | None,
) -> Subject:
    """A subject with regions: those of the content's map, each with the styles whose maps have its colour."""
    names = settings.style_maps
    if not settings.content_map or len(names) != len(styles) or not styles:
        raise UserError(
            f"maps go together: task.content_map and {len(styles)} in task.style_maps, one a style; got {len(names)}."
        )
    if original is not None:
        shape = original.shape[:2]
    else:
        shape = image_files.read(settings.content_map, settings.size, manual_dir).shape[:2]
    wanted = image_files.read_labels(settings.content_map, shape, manual_dir)
    maps = [image_files.read_labels(n, s.shape[:2], manual_dir) for n, s in zip(names, styles, strict=True)]
    numbers = [wanted.matched(found) for found in maps]
    share = weights[:, None] * np.stack([number >= 0 for number in numbers])
    for k, colour in enumerate(wanted.colours):
        if not share[:, k].sum():
            raise UserError(
                f"the colour {tuple(map(int, colour))} of {settings.content_map} is in no style's map: paint it there."
            )
    areas = np.bincount(wanted.labels.ravel(), minlength=len(wanted.colours)) / wanted.labels.size

    def shares_of(found: image_files.Labels, number: np.ndarray) -> Callable[[int, int], np.ndarray]:
        return lambda height, width: found.shares(height, width)[number] * (number >= 0)[:, None, None].astype(np.float32)

    chosen = [shares_of(found, number) for found, number in zip(maps, numbers, strict=True)]
    regions = (areas * share / share.sum(axis=0)).astype(np.float32)
    return Subject(content, styles, wanted.shares, chosen, regions, shape, original)
