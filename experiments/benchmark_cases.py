"""The cases of `experiments.benchmark`: a configuration of ours, and the PyTorch step that does the same.

Data are random: nothing is downloaded, and the time of a step does not depend on what is in the images.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.config import base
from experiments import benchmark_words
from experiments.benchmark_captions import captions_config, torch_captions
from experiments.benchmark_reading import crnn_config, torch_crnn
from experiments.benchmark_segmentation import torch_unet, unet_config
from experiments.benchmark_super_resolution import srresnet_config, torch_srresnet
from experiments.benchmark_translation import torch_translation, translation_config

Step = Callable[[], Any]


class Case(NamedTuple):
    """A configuration and the PyTorch step that does the same: `(torch, batch size) -> step()`."""

    config: Callable[[], ConfigDict]
    torch_step: Callable[[Any, int], Step]


def mlp_config() -> ConfigDict:
    """784-512-10, ReLU, batch 128, SGD, on random bytes."""
    config = base()
    config.update(steps=10**6, batch_size=128, steps_per_dispatch=20, log_every=100)
    config.model = ConfigDict({"name": "mlp", "hidden": (512,)})
    config.dataset.update(name="random_images", shape=(28, 28, 1))
    return config


def lenet5_config() -> ConfigDict:
    """LeNet-5 in its modern form, batch 128, Adam, on random bytes."""
    config = mlp_config()
    config.update(steps_per_dispatch=16, log_every=96)
    config.model = ConfigDict({"name": "lenet5_modern"})
    config.dataset.shape = (32, 32, 1)
    config.optimizer.update(name="adam", learning_rate=1e-3)
    return config


def dcgan_config() -> ConfigDict:
    """DCGAN of 28x28 images, width 64, batch 64, Adam, a step of each player, on random bytes."""
    config = mlp_config()
    config.update(batch_size=64, steps_per_dispatch=4, log_every=40)
    config.model = ConfigDict({"name": "dcgan", "width": 64})
    config.task = ConfigDict({"name": "adversarial"})
    config.optimizer.update(name="adam", learning_rate=2e-4, b1=0.5)
    return config


def char_lstm_config() -> ConfigDict:
    """The character LSTM of configs/tiny_shakespeare_lstm.py:quick: 2 layers of 256, windows of 64, 32 rows, Adam, clipped."""
    config = base()
    config.update(steps=10**6, batch_size=32, steps_per_dispatch=8, log_every=80)
    config.dataset.update(name="random_text", splits={"train": "train"}, batches="windows", window=64, shift=True)
    config.model = ConfigDict({"name": "recurrent_lm", "cell": "lstm", "hidden": 256, "layers": 2, "embedding": 256})
    config.task = ConfigDict({"name": "language_model"})
    config.optimizer.update(name="adam", learning_rate=4e-3, clip_norm=1.0)
    return config


def koch_config() -> ConfigDict:
    """The Siamese net of configs/omniglot_koch.py: 32 pairs of 105x105, 4,096 features, momentum, no distortions."""
    config = base()
    config.update(steps=10**6, batch_size=32, log_every=1)
    config.dataset.update(name="random_images", splits={"train": "train"}, shape=(105, 105, 1), examples=256, batches="pairs")
    config.model = ConfigDict({"name": "koch"})
    config.task = ConfigDict({"name": "similarity", "loss": "weighted_l1", "embedding": 4096})
    config.optimizer.update(name="momentum", learning_rate=1e-2, l2=1e-4)
    return config


def resnet20_config() -> ConfigDict:
    """ResNet-20 of configs/cifar10_resnet20.py: 64 images of 32x32x3, momentum, weight decay, no distortions."""
    config = base()
    config.update(steps=10**6, batch_size=64, steps_per_dispatch=4, log_every=20)
    config.dataset.update(name="random_images", splits={"train": "train"}, shape=(32, 32, 3))
    config.model = ConfigDict({"name": "resnet_cifar", "depth": 20})
    config.optimizer.update(name="momentum", learning_rate=0.1, l2=1e-4)
    return config


def skip_gram_config() -> ConfigDict:
    """configs/imdb_skipgram.py on random words: 8 rows of 4,096 words, 100 dimensions, windows of 5, AdaGrad."""
    config = benchmark_words.configuration()
    config.update(epochs=0.0, steps=10**6, log_every=40)
    return config


def torch_mlp(torch: Any, batch: int) -> Step:
    """PyTorch's step of `mlp_config`."""
    nn = torch.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    return _torch_step(torch, model, torch.optim.SGD(model.parameters(), 0.1), (batch, 1, 28, 28))


def torch_lenet5(torch: Any, batch: int) -> Step:
    """PyTorch's step of `lenet5_config`."""
    nn = torch.nn
    convolutions = (nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU())
    dense = (nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    model = nn.Sequential(*convolutions, *dense)
    return _torch_step(torch, model, torch.optim.Adam(model.parameters(), 1e-3), (batch, 1, 32, 32))


def torch_dcgan(torch: Any, batch: int) -> Step:
    """PyTorch's step of `dcgan_config`."""
    nn, softplus = torch.nn, torch.nn.functional.softplus

    def down(inputs: int, features: int) -> Any:
        return nn.Conv2d(inputs, features, 4, 2, 1, bias=False)

    def up(inputs: int, features: int) -> Any:
        return nn.ConvTranspose2d(inputs, features, 4, 2, 1, bias=False)

    start = (nn.Linear(100, 7 * 7 * 128, bias=False), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU())
    generator = nn.Sequential(*start, up(128, 64), nn.BatchNorm2d(64), nn.ReLU(), up(64, 1), nn.Tanh())
    convolutions = (down(1, 64), nn.LeakyReLU(0.2), down(64, 128), nn.BatchNorm2d(128), nn.LeakyReLU(0.2))
    discriminator = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(7 * 7 * 128, 1, bias=False))
    of_g, of_d = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator))
    images = torch.rand((batch, 1, 28, 28))

    def step() -> Any:
        of_d.zero_grad()
        fake = generator(torch.randn(batch, 100)).detach()
        loss = softplus(-discriminator(images)).mean() + softplus(discriminator(fake)).mean()
        loss.backward()
        of_d.step()
        of_g.zero_grad()
        softplus(-discriminator(generator(torch.randn(batch, 100)))).mean().backward()
        of_g.step()
        return loss.item()

    return step


def torch_char_lstm(torch: Any, batch: int) -> Step:
    """PyTorch's step of `char_lstm_config`; the state goes from window to window."""
    nn, symbols = torch.nn, 65
    embedding, lstm, output = nn.Embedding(symbols, 256), nn.LSTM(256, 256, 2, batch_first=True), nn.Linear(256, symbols)
    parameters = [*embedding.parameters(), *lstm.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, 4e-3)
    tokens = torch.randint(symbols, (batch, 65))
    carry: Any = None

    def step() -> Any:
        nonlocal carry
        optimizer.zero_grad()
        h, carry = lstm(embedding(tokens[:, :-1]), carry)
        carry = tuple(state.detach() for state in carry)
        loss = nn.functional.cross_entropy(output(h).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def torch_koch(torch: Any, batch: int) -> Step:
    """PyTorch's step of `koch_config`: both sides of the pairs go through the tower together."""
    nn = torch.nn

    def block(inputs: int, maps: int, side: int) -> tuple[Any, ...]:
        return nn.Conv2d(inputs, maps, side), nn.MaxPool2d(2), nn.ReLU()

    convolutions = (*block(1, 64, 10), *block(64, 128, 7), *block(128, 128, 4), nn.Conv2d(128, 256, 4), nn.ReLU())
    tower = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(9216, 4096), nn.Sigmoid())
    head = nn.Linear(4096, 1)
    parameters = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, 1e-2, momentum=0.9, weight_decay=1e-4)
    sides, same = torch.rand((2 * batch, 1, 105, 105)), torch.randint(2, (batch,)).float()

    def step() -> Any:
        optimizer.zero_grad()
        left, right = tower(sides).chunk(2)
        logit = head((left - right).abs())[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logit, same)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_resnet20(torch: Any, batch: int) -> Step:
    """PyTorch's step of `resnet20_config`."""
    nn, relu = torch.nn, torch.nn.functional.relu

    class Block(nn.Module):  # type: ignore[name-defined]  # PyTorch need not be installed where types are checked
        def __init__(self, inputs: int, features: int):
            super().__init__()
            self.stride = features // inputs
            self.conv1 = nn.Conv2d(inputs, features, 3, self.stride, 1, bias=False)
            self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)

        def forward(self, x: Any) -> Any:
            y = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
            if self.stride > 1:
                x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))
            return relu(x + y)

    widths = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
    blocks = [Block(a, b) for a, b in itertools.pairwise(widths)]
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    return _torch_step(torch, model, optimizer, (batch, 3, 32, 32))


def _torch_step(torch: Any, model: Any, optimizer: Any, shape: tuple[int, ...]) -> Step:
    images, labels = torch.rand(shape), torch.randint(10, shape[:1])

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_skip_gram(torch: Any, batch: int) -> Step:
    """PyTorch's step of `skip_gram_config`: the same products of matrices, of the same words."""
    from dl.data.batches.contexts import contexts
    from dl.data.load import load

    config = skip_gram_config()
    data, size, window = load(config.dataset), config.dataset.block, config.dataset.window
    read = contexts(data.splits["train"], 0, batch, config.dataset.to_dict(), False)(0, 1, np.arange(batch))
    tokens, left, right, noise = (
        torch.from_numpy(read[name][0].astype(np.int64)) for name in ("tokens", "left", "right", "noise")
    )
    inputs, outputs = (torch.nn.Embedding(config.dataset.get("kinds", 40_000), config.model.dimensions) for _ in range(2))
    optimizer = torch.optim.Adagrad([*inputs.parameters(), *outputs.parameters()], config.optimizer.learning_rate)
    rows = len(tokens)
    offset = torch.arange(size + 2 * window) - window - torch.arange(size)[:, None]
    before, after = (reach.reshape(rows, -1, size, 1) for reach in (left, right))
    near = ((offset < 0) & (-offset <= before)) | ((offset > 0) & (offset <= after))
    weight = near.sum(-1, keepdim=True) * (config.task.negatives / noise.shape[2])

    def step() -> Any:
        optimizer.zero_grad()
        middle = inputs(tokens).reshape(rows, -1, size, config.model.dimensions)
        padded = torch.nn.functional.pad(outputs(tokens), (0, 0, window, window))
        spans = padded.unfold(1, size + 2 * window, size)  # [rows, blocks, dimensions, span]
        true, drawn = middle @ spans, middle @ outputs(noise).transpose(-1, -2)
        softplus = torch.nn.functional.softplus
        loss = ((softplus(-true) * near).sum() + (softplus(drawn) * weight).sum()) / near.sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


CASES = {
    "mlp": Case(mlp_config, torch_mlp),
    "lenet5": Case(lenet5_config, torch_lenet5),
    "dcgan": Case(dcgan_config, torch_dcgan),
    "char_lstm": Case(char_lstm_config, torch_char_lstm),
    "koch": Case(koch_config, torch_koch),
    "resnet20": Case(resnet20_config, torch_resnet20),
    "crnn": Case(crnn_config, torch_crnn),
    "translation": Case(translation_config, torch_translation),
    "captions": Case(captions_config, torch_captions),
    "srresnet": Case(srresnet_config, torch_srresnet),
    "skip_gram": Case(skip_gram_config, torch_skip_gram),
    "unet": Case(unet_config, torch_unet),
}
