"""What an image is painted from: a content, styles, and which style goes where."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dl.data import image_files
from dl.data.colour_transfer import luminance, match_colours, match_luminance
from dl.errors import UserError


class Subject(NamedTuple):
    """What is painted from: images of the luminance alone have one channel.

    content: [H, W, C], or None.
    styles: [h, w, C] each.
    shares: of the regions, at the size (h, w) asked for: [K, h, w]; the content's, and those of each style.
    region_weights: [S, K].
    shape: of the image to be painted.
    original: of the content, in its colours.
    """

    content: np.ndarray | None
    styles: list[np.ndarray]
    shares: Callable[[int, int], np.ndarray]
    style_shares: list[Callable[[int, int], np.ndarray]]
    region_weights: np.ndarray
    shape: tuple[int, int]
    original: np.ndarray | None


def read(settings: dict[str, Any], manual_dir: str | None) -> Subject:
    """Reads the images and the maps that the settings of `dl.tasks.style_transfer` name, and settles size and colours.

    Raises:
        UserError: one is missing or can't be decoded; weights or maps that do not go with the styles.
    """
    size = settings["size"]
    original = image_files.read(settings["content"], size, manual_dir) if settings["content"] else None
    styles: list[np.ndarray] = [image_files.read(s, settings["style_size"] or size, manual_dir) for s in settings["styles"]]
    content: np.ndarray | None = original
    if original is not None and settings["colour"] == "luminance":
        content = np.asarray(luminance(original))
        styles = [match_luminance(np.asarray(luminance(s)), content) for s in styles]
    elif original is not None and settings["colour"] == "match":
        styles = [match_colours(s, original) for s in styles]
    given = settings["style_weights"] or (1.0,) * len(styles)
    if len(given) != len(styles) or (styles and (min(given) < 0 or not sum(given))):
        raise UserError(f"task.style_weights must be {len(styles)} numbers, one a style, none negative, not {given}.")
    weights = np.asarray(given, np.float32) / max(sum(given), 1e-8)
    if settings["content_map"] or settings["style_maps"]:
        return _mapped(settings, original, content, styles, weights, manual_dir)
    shape = original.shape[:2] if original is not None else styles[0].shape[:2]
    return Subject(content, styles, _everywhere, [_everywhere] * len(styles), weights[:, None], shape, original)


def _everywhere(height: int, width: int) -> np.ndarray:
    return np.ones((1, height, width), np.float32)


def _mapped(
    settings: dict[str, Any],
    original: np.ndarray | None,
    content: np.ndarray | None,
    styles: list[np.ndarray],
    weights: np.ndarray,
    manual_dir: str | None,
) -> Subject:
    """A subject with regions: those of the content's map, each with the styles whose maps have its colour."""
    names = settings["style_maps"]
    if not settings["content_map"] or len(names) != len(styles) or not styles:
        raise UserError(
            f"maps go together: task.content_map and {len(styles)} in task.style_maps, one a style; got {len(names)}."
        )
    if original is not None:
        shape = original.shape[:2]
    else:
        shape = image_files.read(settings["content_map"], settings["size"], manual_dir).shape[:2]
    wanted = image_files.read_labels(settings["content_map"], shape, manual_dir)
    maps = [image_files.read_labels(n, s.shape[:2], manual_dir) for n, s in zip(names, styles, strict=True)]
    numbers = [wanted.matched(found) for found in maps]
    share = weights[:, None] * np.stack([number >= 0 for number in numbers])
    for k, colour in enumerate(wanted.colours):
        if not share[:, k].sum():
            raise UserError(
                f"the colour {tuple(map(int, colour))} of {settings['content_map']} is in no style's map: paint it there."
            )
    areas = np.bincount(wanted.labels.ravel(), minlength=len(wanted.colours)) / wanted.labels.size

    def shares_of(found: image_files.Labels, number: np.ndarray) -> Callable[[int, int], np.ndarray]:
        return lambda height, width: found.shares(height, width)[number] * (number >= 0)[:, None, None].astype(np.float32)

    chosen = [shares_of(found, number) for found, number in zip(maps, numbers, strict=True)]
    regions = (areas * share / share.sum(axis=0)).astype(np.float32)
    return Subject(content, styles, wanted.shares, chosen, regions, shape, original)
