"""The authors' SqueezeNet as PyTorch computes it from their Caffe arrays as they are: BGR, padding of the last convolution."""

import os
from pathlib import Path

import numpy as np
import torch

from tests.pytorch import squeezenet
from tests.pytorch.draw import uniform

FOLDER = os.environ.get("DL_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data"
FILE = Path(FOLDER, "squeezenet_imagenet", "squeezenet_v1.0_oihw_float32.npz")
PARTS = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}


@torch.no_grad()
def scores():
    """Of one image of pixels in 0..1."""
    places = {"conv1": "features.0", "conv_final": "classifier.1"}
    for number, place in enumerate((3, 4, 5, 7, 8, 9, 10, 12), 2):
        places |= {f"fire{number}/{theirs}": f"features.{place}.{ours}" for theirs, ours in PARTS.items()}
    net = squeezenet.build(1000, "1.0", padding=1).eval()
    with np.load(FILE) as arrays:
        state = {f"{places[name.rpartition('/')[0]]}.{name.rpartition('/')[2]}": arrays[name] for name in arrays.files}
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=True)
    rgb = (uniform("pixels", (1, 99, 99, 3)) + 1) / 2
    bgr = 255 * rgb[..., ::-1] - np.float32([104, 117, 123])
    return {"scores": net(torch.from_numpy(bgr.transpose(0, 3, 1, 2).copy())).numpy()}


CASES = {"scores": scores}
