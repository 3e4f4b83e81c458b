"""The benchmark's case `crnn`: the published network on 32x100 images of words, CTC, Adam."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from dl.config import base

BATCH, SYMBOLS, LENGTH = 16, 36, 6


def crnn_config() -> ConfigDict:
    """CRNN of configs/iiit5k_crnn.py, 16 words, Adam, clipped; words of Pillow's own font, without augmentation."""
    config = base()
    config.update(steps=10**6, batch_size=BATCH, log_every=4)
    config.dataset.update(name="rendered_words", splits={"train": "train"}, fonts="embedded")
    config.model = ConfigDict({"name": "crnn"})
    config.task = ConfigDict({"name": "reading"})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    return config


def torch_crnn(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `crnn_config`."""
    nn = torch.nn

    def conv(inputs: int, features: int, *more: Any) -> tuple[Any, ...]:
        return nn.Conv2d(inputs, features, 3, padding=1, bias=not more), *more, nn.ReLU()

    low = nn.MaxPool2d((2, 1))
    convolutions = nn.Sequential(
        *(*conv(1, 64), nn.MaxPool2d(2), *conv(64, 128), nn.MaxPool2d(2), *conv(128, 256), *conv(256, 256), low),
        *(*conv(256, 512, nn.BatchNorm2d(512)), *conv(512, 512, nn.BatchNorm2d(512)), low, nn.Conv2d(512, 512, 2), nn.ReLU()),
    )
    first, between = nn.LSTM(512, 256, bidirectional=True), nn.Linear(512, 256)
    second, output = nn.LSTM(256, 256, bidirectional=True), nn.Linear(512, SYMBOLS + 1)
    modules = (convolutions, first, between, second, output)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    images, text = torch.rand(batch, 1, 32, 100), torch.randint(SYMBOLS, (batch, LENGTH))
    lengths = torch.full((batch,), LENGTH)

    def step() -> Any:
        optimizer.zero_grad()
        columns = convolutions(images)[:, :, 0].permute(2, 0, 1)
        scores = output(second(between(first(columns)[0]))[0]).log_softmax(-1)
        places = torch.full((batch,), len(scores))
        loss = nn.functional.ctc_loss(scores, text, places, lengths, blank=SYMBOLS, zero_infinity=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        return loss.item()

    return step
