"""A photograph in the style of a painting (Gatys, Ecker & Bethge 2016): the image is the parameter.

    python -m experiments.train --config=configs/style_transfer.py:quick --workdir=runs/night --manual_dir=archives
    python -m experiments.stylize --content=photo.jpg --style=painting.jpg --out=image.png           (for one's own images)

The published setting is VGG-19 at 512 pixels with L-BFGS, from noise, with their layers and their ratio of content to style,
1e-3. Its weights are torchvision's, put at `vgg19/vgg19.safetensors` in --manual_dir. Deviations: they rescaled the network, so
that every filter's mean activation is 1, which `relative` losses do by layers; with these their ratio may want another value.

`quick` is SqueezeNet with its published weights (`squeezenet_imagenet/` in --manual_dir) at 256 pixels, from the content.
`texture` makes the style alone, `inversion` the content alone, both from noise; with
--config.task.content_layers="('fire7',)" of another layer. `smoke`, with either, takes seconds, on scikit-learn's photographs
and an untrained SqueezeNet. Reached: docs/results.md.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

STYLE = "style_images/inputs.zip/starry_night.jpg"


def get_config(variant: str = "") -> ConfigDict:
    """As published."""
    config = base()
    # An image is one example; batches are empty.
    config.update(steps=500, batch_size=1, log_every=10, eval_every=100, checkpoint_every=100, eval_batch_size=1)
    config.mesh.data = 1
    config.dataset.update(name="nothing", splits={"train": "train", "test": "test"})
    config.model = ConfigDict({"name": "vgg19", "pooling": "average"})
    config.task = ConfigDict({"name": "style_transfer"})
    config.task.update(content="china", styles=(STYLE,), style_weights=(), size=512, style_size=0)
    config.task.update(weights="vgg19/vgg19.safetensors", content_layers=("conv4_2",), content_layer_weights=())
    config.task.update(
        style_layers=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        style_layer_weights=(),
        content_weight=1.0,
        style_weight=1e3,
        total_variation=0.0,
        relative=True,
        init="noise",
        noise=0.1,
        colour="style",
        content_map="",
        style_maps=(),
    )
    config.optimizer.update(name="lbfgs", learning_rate=1.0)
    return vary(config, VARIANTS, variant)


def squeezenet(config: ConfigDict) -> None:
    """The network whose weights are had at hand, and what suits it."""
    config.update(steps=100, eval_every=50, checkpoint_every=50)
    config.model = ConfigDict({"name": "squeezenet", "version": "1.0", "pooling": "max"})
    config.task.update(
        size=256,
        weights="squeezenet_imagenet/squeezenet_v1.0_oihw_float32.npz",
        content_layers=("fire4",),
        style_layers=("conv1", "fire2", "fire3", "fire4", "fire5", "fire7"),
        content_weight=1.0,
        style_weight=20.0,
        total_variation=0.5,
        init="content",
        noise=0.0,
    )


def quick(config: ConfigDict) -> None:
    """SqueezeNet at 256 pixels, from the content."""
    squeezenet(config)


def texture(config: ConfigDict) -> None:
    """The style alone, by SqueezeNet, from noise."""
    squeezenet(config)
    config.task.update(content="", init="noise", noise=0.1)


def inversion(config: ConfigDict) -> None:
    """The content alone, by SqueezeNet, from noise."""
    squeezenet(config)
    config.task.update(styles=(), init="noise", noise=0.1, total_variation=0.05)


def smoke(config: ConfigDict) -> None:
    """Seconds, on scikit-learn's photographs, by an untrained SqueezeNet."""
    if config.model.name != "squeezenet":
        squeezenet(config)
    config.update(steps=30, log_every=5, eval_every=15, checkpoint_every=15)
    config.task.update(size=64, weights="")
    if config.task.styles:
        config.task.styles = ("flower",)


VARIANTS = {"quick": quick, "texture": texture, "inversion": inversion, "smoke": smoke}
