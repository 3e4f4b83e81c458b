"""Images that show where a model looked."""

import numpy as np
from jaxtyping import Float


def lit_by(image: Float[np.ndarray, "h w c"], weights: Float[np.ndarray, "t y x"]) -> Float[np.ndarray, "n h w c"]:
    """The image, then once for each map of weights, dark where they are small."""
    from PIL import Image

    width, height, cubic = image.shape[1], image.shape[0], Image.Resampling.BICUBIC
    maps = [Image.fromarray(of_word.astype(np.float32)).resize((width, height), cubic) for of_word in weights]
    smooth = np.stack([np.asarray(one) for one in maps]).clip(0)
    light = 0.2 + 0.8 * smooth / np.maximum(smooth.max((1, 2), keepdims=True), 1e-9)
    return np.concatenate([image[None], image * light[..., None]]).astype(np.float32)
