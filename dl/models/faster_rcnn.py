"""Faster R-CNN (Ren, He, Girshick & Sun 2015) on a feature pyramid (Lin et al. 2017), and Mask R-CNN (He et al. 2017).

    part                what it is                                              output, of an image H x W, with depth D
    backbone            SqueezeNet 1.0 to fire9 (`dl.models.squeezenet`)        maps of stride 4 (256), 8 (512), 16 (512)
                        or "plain": four 3x3 / 2 to D, ReLU                     maps of stride 4, 8, 16
    lateral, smooth     1x1 to D, plus the coarser map enlarged; 3x3            H/4 x W/4 x D, H/8, H/16; of the last, H/32
    rpn                 3x3 to D, ReLU; 1x1: an objectness and four numbers     of 3 anchors at every place
    box                 RoIAlign 7x7; two dense layers, ReLU                    scores of K + 1 classes, four numbers a class
    mask                RoIAlign 14x14; four 3x3 to D, transposed 2x2 / 2; 1x1  28 x 28 x K

Class 0 of the scores is the background. The heads are methods, because what they see is chosen between them: which regions are
classified is decided by the task (`dl.tasks.detection`), which knows the losses.

Deviations: SqueezeNet where the papers have VGG-16 and ResNets, with one map fewer; group normalisation (Wu & He 2018) after
the lateral and the mask's convolutions, since SqueezeNet has none and its activations are large; D and the dense layers are
smaller than 256 and 1,024. The image gets 5 pixels of its mean colour above and to the left, so that the unpadded first layers
give maps of H/4, H/8 and H/16 whose places lie where their anchors are, to less than half a place.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError, unknown
from dl.layers.anchors import level_of, of_level
from dl.layers.boxes import to_pixels
from dl.layers.convolution import Conv
from dl.layers.roi_align import pyramid_roi_align
from dl.layers.sequence import walk
from dl.layers.transposed_convolution import ConvTranspose
from dl.models.squeezenet import SqueezeNet

STRIDES = (4, 8, 16, 32)
BACKBONES = ("squeezenet", "plain")
TAPPED = {  # the last layer of each stride
    "squeezenet": {4: "fire4", 8: "fire8", 16: "fire9"},
    "plain": {4: "conv2", 8: "conv3", 16: "conv4"},
}
RIM = 5  # pixels above and to the left of the image
BOX_CELLS, MASK_CELLS, MASK_SIDE = 7, 14, 28
GROUP = 16  # channels that are normalised together


class Plain(nn.Module):
    """Four 3x3 convolutions of stride 2, each with ReLU."""

    depth: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def features(self, x: Float[Array, "b h w c"], wanted: Sequence[str]) -> dict[str, Float[Array, "b _ _ d"]]:
        """What the layers `wanted`, of conv1 to conv4, give."""
        he = nn.initializers.he_normal()

        def layer(name: str, x: jax.Array) -> jax.Array:
            return nn.relu(Conv(self.depth, (3, 3), 2, padding=1, dtype=self.dtype, kernel_init=he, name=name)(x))

        return walk("the plain backbone", ("conv1", "conv2", "conv3", "conv4"), wanted, x, layer)


class FasterRCNN(nn.Module):
    """The network, whose parts are called one after another; images are float [B, H, W, C].

    Attributes:
        num_classes: K, without the background.
        backbone: "squeezenet" or "plain", which is small and has no published weights.
        depth: channels of the pyramid.
        hidden: units of the dense layers.
        strides: of the maps: successive ones of 4, 8, 16, 32; the last map is every second place of the one before.
        sizes: the anchors' size on each map, in pixels.
        ratios: height / width of the anchors.
        masks: whether there is a mask head.
        mask_layers: how many 3x3 convolutions it has.

    Raises:
        UserError: an unknown backbone, strides that are none, or not as many sizes as strides.
    """

    num_classes: int
    backbone: str = "squeezenet"
    depth: int = 128
    hidden: int = 512
    strides: tuple[int, ...] = STRIDES
    sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    masks: bool = False
    mask_layers: int = 4
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if len(self.strides) < 2 or tuple(self.strides) not in [STRIDES[i : i + len(self.strides)] for i in range(3)]:
            raise UserError(f"model.strides={self.strides} must be successive ones of {STRIDES}, two at least.")
        if len(self.sizes) != len(self.strides) or min(self.sizes) <= 0 or not self.ratios or min(self.ratios) <= 0:
            raise UserError(
                f"model.sizes={self.sizes} must be positive and as many as model.strides={self.strides}, and model.ratios too."
            )
        if self.backbone not in BACKBONES:
            raise unknown("backbone of faster_rcnn", self.backbone, BACKBONES)
        small = nn.initializers.normal(0.01)
        plain = self.backbone == "plain"
        self.body = Plain(self.depth, self.dtype) if plain else SqueezeNet(num_classes=1, dtype=self.dtype)
        tapped = self.strides[:-1]
        self.lateral = [Conv(self.depth, (1, 1), use_bias=False, dtype=self.dtype) for _ in tapped]
        self.norm = [self._norm() for _ in tapped]
        self.smooth = [Conv(self.depth, (3, 3), dtype=self.dtype) for _ in tapped]
        self.rpn = Conv(self.depth, (3, 3), dtype=self.dtype, kernel_init=nn.initializers.he_normal())
        self.objectness = Conv(len(self.ratios), (1, 1), dtype=self.dtype, kernel_init=small)
        self.anchor_deltas = Conv(4 * len(self.ratios), (1, 1), dtype=self.dtype, kernel_init=small)
        self.dense1 = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=nn.initializers.he_normal())
        self.dense2 = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=nn.initializers.he_normal())
        self.scores = nn.Dense(self.num_classes + 1, dtype=self.dtype, kernel_init=small)
        self.box_deltas = nn.Dense(4 * self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.normal(0.001))
        if self.masks:
            count = self.mask_layers
            he = nn.initializers.he_normal()
            self.mask_conv = [Conv(self.depth, (3, 3), use_bias=False, dtype=self.dtype, kernel_init=he) for _ in range(count)]
            self.mask_norm = [self._norm() for _ in range(count)]
            self.mask_up = ConvTranspose(self.depth, (2, 2), dtype=self.dtype, kernel_init=he)
            self.mask_logits = Conv(self.num_classes, (1, 1), dtype=self.dtype, kernel_init=small)

    def _norm(self) -> nn.GroupNorm:
        groups = self.depth // GROUP if self.depth % GROUP == 0 else 1
        return nn.GroupNorm(num_groups=groups, dtype=self.dtype)

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b r k"]:
        """All parts, on one region that is the whole image: what initialises them and what `experiments.explain` counts."""
        maps = self.pyramid(x)
        self.propose(maps)
        whole = to_pixels(jnp.tile(jnp.array([0.0, 0, 1, 1]), (len(x), 1, 1)), *x.shape[1:3])
        if self.masks:
            self.mask(maps, whole)
        return self.classify(maps, whole)[0]

    def pyramid(self, x: Float[Array, "b h w c"]) -> list[Float[Array, "b _ _ d"]]:
        """The maps, the finest first."""
        wanted = [TAPPED[self.backbone][stride] for stride in self.strides[:-1]]
        if self.backbone == "squeezenet":
            x = jnp.pad(x, ((0, 0), (RIM, 0), (RIM, 0), (0, 0)))
        tapped = self.body.features(x, wanted)
        sides = [norm(conv(f)) for norm, conv, f in zip(self.norm, self.lateral, tapped.values(), strict=True)]
        for i in range(len(sides) - 2, -1, -1):
            above = sides[i + 1].repeat(2, 1).repeat(2, 2)
            sides[i] += above[:, : sides[i].shape[1], : sides[i].shape[2]]
        maps = [smooth(side) for smooth, side in zip(self.smooth, sides, strict=True)]
        return [*maps, maps[-1][:, ::2, ::2]]

    def propose(self, maps: list[Float[Array, "b _ _ d"]]) -> tuple[Float[Array, "b a"], Float[Array, "b a 4"]]:
        """The objectness of every anchor, before the sigmoid, and what makes it a proposal (`dl.layers.boxes.decode`)."""
        batch, seen = len(maps[0]), [nn.relu(self.rpn(features)) for features in maps]
        scores = [self.objectness(features).reshape(batch, -1) for features in seen]
        deltas = [self.anchor_deltas(features).reshape(batch, -1, 4) for features in seen]
        return jnp.concatenate(scores, 1).astype(jnp.float32), jnp.concatenate(deltas, 1).astype(jnp.float32)

    def classify(
        self, maps: list[Float[Array, "b _ _ d"]], boxes: Float[Array, "b r 4"]
    ) -> tuple[Float[Array, "b r classes"], Float[Array, "b r k 4"]]:
        """Scores of regions, class 0 being the background, and of every class what makes a region its box."""
        regions = self._regions(maps, boxes, BOX_CELLS)
        x = nn.relu(self.dense2(nn.relu(self.dense1(regions.reshape(*boxes.shape[:2], -1)))))
        deltas = self.box_deltas(x).reshape(*boxes.shape[:2], self.num_classes, 4)
        return self.scores(x).astype(jnp.float32), deltas.astype(jnp.float32)

    def mask(self, maps: list[Float[Array, "b _ _ d"]], boxes: Float[Array, "b r 4"]) -> Float[Array, "b r m m k"]:
        """The mask of every class within regions, 28 x 28 (`MASK_SIDE`), before the sigmoid."""
        x = self._regions(maps, boxes, MASK_CELLS).reshape(-1, MASK_CELLS, MASK_CELLS, self.depth)
        for conv, norm in zip(self.mask_conv, self.mask_norm, strict=True):
            x = nn.relu(norm(conv(x)))
        x = self.mask_logits(nn.relu(self.mask_up(x)))
        return x.reshape(*boxes.shape[:2], MASK_SIDE, MASK_SIDE, self.num_classes).astype(jnp.float32)

    def _regions(self, maps: list[Array], boxes: Array, cells: int) -> Array:
        level = level_of(boxes, len(self.strides), 2 * self.sizes[0])
        return pyramid_roi_align(maps, boxes, level, self.strides, cells)

    def anchors(self, maps: list[Float[Array, "b _ _ d"]]) -> list[np.ndarray]:
        """The anchors of each map [n, 4], in pixels of the image."""
        return [
            of_level((features.shape[1], features.shape[2]), stride, (size,), self.ratios)
            for features, stride, size in zip(maps, self.strides, self.sizes, strict=True)
        ]


PUBLIC = {"faster_rcnn": FasterRCNN}
