"""The case `translation` of `experiments.benchmark`: an encoder-decoder with attention, and PyTorch's step of the same."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from dl.config import base

SYMBOLS, LENGTH, EMBEDDING, HIDDEN = 6000, 15, 256, 256


def translation_config() -> ConfigDict:
    """The net of configs/multi30k_attention.py without dropout: 64 pairs of 15 random symbols, Adam, clipped."""
    config = base()
    config.update(steps=10**6, batch_size=64, steps_per_dispatch=4, log_every=40)
    config.dataset.update(name="random_pairs", splits={"train": "train"}, vocabulary_size=SYMBOLS, length=LENGTH)
    config.task = ConfigDict({"name": "translation"})
    config.model = ConfigDict({"name": "bahdanau", "embedding": EMBEDDING, "hidden": HIDDEN, "maxout": EMBEDDING, "tied": True})
    config.optimizer.update(name="adam", learning_rate=1e-3, clip_norm=1.0)
    return config


def torch_translation(torch: Any, batch: int) -> Callable[[], Any]:
    """PyTorch's step of `translation_config`, as eager code is written: `nn.GRU` encodes, a Python loop decodes."""
    nn = torch.nn
    encoder = nn.GRU(EMBEDDING, HIDDEN, batch_first=True, bidirectional=True)
    cell = nn.GRUCell(EMBEDDING + 2 * HIDDEN, HIDDEN)
    embeddings = nn.Embedding(SYMBOLS, EMBEDDING), nn.Embedding(SYMBOLS, EMBEDDING)
    initial, query = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN, bias=False)
    key, score = nn.Linear(2 * HIDDEN, HIDDEN, bias=False), nn.Linear(HIDDEN, 1, bias=False)
    readout, output = nn.Linear(3 * HIDDEN + EMBEDDING, 2 * EMBEDDING), nn.Linear(EMBEDDING, SYMBOLS)
    output.weight = embeddings[1].weight
    modules = nn.ModuleList([encoder, cell, *embeddings, initial, query, key, score, readout, output])
    optimizer = torch.optim.Adam(modules.parameters(), 1e-3)
    source = torch.randint(SYMBOLS, (batch, LENGTH + 1))
    target = torch.randint(SYMBOLS, (batch, LENGTH + 2))

    def step() -> Any:
        optimizer.zero_grad()
        memory, last = encoder(embeddings[0](source))
        keys, s, given = key(memory), torch.tanh(initial(last[1])), embeddings[1](target[:, :-1])
        made = []
        for t in range(given.shape[1]):
            weights = score(torch.tanh(keys + query(s)[:, None])).softmax(1)
            context = (weights * memory).sum(1)
            s = cell(torch.cat([given[:, t], context], 1), s)
            made.append(torch.cat([s, given[:, t], context], 1))
        hidden = readout(torch.stack(made, 1)).unflatten(-1, (EMBEDDING, 2)).amax(-1)
        loss = nn.functional.cross_entropy(output(hidden).flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step
