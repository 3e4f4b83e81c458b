"""The case `captions` of `experiments.benchmark`: soft attention over an image, and PyTorch's step of the same."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from dl.config import base

SYMBOLS, WORDS, CAPTIONS, PLACES, WIDTH = 2540, 14, 5, 49, 512
EMBEDDING, HIDDEN, ATTENTION = 256, 512, 256


def captions_config() -> ConfigDict:
    """The net of configs/flickr8k_captions.py without dropout: 16 images with 5 captions of 14 random words, Adam, clipped."""
    config = base()
    config.update(steps=10**6, batch_size=16, steps_per_dispatch=2, log_every=20)
    config.dataset.update(name="random_captions", splits={"train": "train"}, vocabulary_size=SYMBOLS, length=WORDS)
    config.dataset.update(places=(7, 7), width=WIDTH)
    config.task = ConfigDict({"name": "captioning"})
    config.model = ConfigDict({"name": "show_attend_tell", "embedding": EMBEDDING, "hidden": HIDDEN})
    config.model.update(attention_features=ATTENTION, dropout=0.0)
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=5.0)
    return config


def torch_captions(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `captions_config`, as eager code is written: a loop in Python over the words."""
    nn = torch.nn
    embedding, cell = nn.Embedding(SYMBOLS, EMBEDDING), nn.LSTMCell(EMBEDDING + WIDTH, HIDDEN)
    initial = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, HIDDEN)
    query, key = nn.Linear(HIDDEN, ATTENTION, bias=False), nn.Linear(WIDTH, ATTENTION, bias=False)
    score, gate = nn.Linear(ATTENTION, 1, bias=False), nn.Linear(HIDDEN, 1)
    from_h, from_z = nn.Linear(HIDDEN, EMBEDDING), nn.Linear(WIDTH, EMBEDDING, bias=False)
    output = nn.Linear(EMBEDDING, SYMBOLS)
    modules = nn.ModuleList([embedding, cell, *initial, query, key, score, gate, from_h, from_z, output])
    optimizer = torch.optim.Adam(modules.parameters(), 1e-3)
    features = torch.rand(batch, PLACES, WIDTH)
    symbols = torch.randint(SYMBOLS, (batch * CAPTIONS, WORDS + 2))

    def step() -> Any:
        optimizer.zero_grad()
        mean = features.mean(1)
        h, c, keys, memory = (
            x.repeat_interleave(CAPTIONS, 0)
            for x in (torch.tanh(initial[0](mean)), torch.tanh(initial[1](mean)), key(features), features)
        )
        given, made, looks = embedding(symbols[:, :-1]), [], []
        for t in range(given.shape[1]):
            weights = score(torch.tanh(keys + query(h)[:, None])).softmax(1)
            z = torch.sigmoid(gate(h)) * (weights * memory).sum(1)
            h, c = cell(torch.cat([given[:, t], z], 1), (h, c))
            made.append(torch.tanh(given[:, t] + from_h(h) + from_z(z)))
            looks.append(weights[:, :, 0])
        loss = nn.functional.cross_entropy(output(torch.stack(made, 1)).flatten(0, 1), symbols[:, 1:].flatten())
        seen = torch.stack(looks, 1).sum(1)
        loss = loss + ((1 - seen) ** 2).sum() / symbols[:, 1:].numel()
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 5.0)
        optimizer.step()
        return loss.item()

    return step
