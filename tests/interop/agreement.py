"""Whether a network of ours and one of PyTorch's are the same: names, weights both ways, logits, statistics."""

from functools import partial

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from dl.interop import classifier, published, torchvision


def same_names(theirs, name, settings, side=64):
    """Every name and shape of PyTorch's state dict (perhaps on the device "meta") is a place of ours. Counts parameters."""
    model = published.build(name, settings, 1000)
    made = published.shapes(model, (side, side, 3))
    found = torchvision.places(published.published(name, {}).layout(model), made)
    ours = {place.name: place.shape for place in found.values()}
    wanted = {key: tuple(value.shape) for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert ours == wanted
    return sum(leaf.size for leaf in jax.tree.leaves(made["params"]))


def same_results(torch, theirs, name, settings, folder, side=64, batch=4, tolerance=1e-4, calm=None):
    """Random weights and statistics of PyTorch's go through a file into ours and back; both give the same logits.

    `calm` may change the random net before it is used.
    """
    x = np.random.default_rng(1).normal(size=(batch, side, side, 3)).astype(np.float32)
    y = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    randomise(torch, theirs)
    if calm:
        calm(theirs)
    settle(torch, theirs, y)
    path = folder / "theirs.pth"
    torch.save(theirs.state_dict(), path)
    ours = classifier.load(path, name, settings)
    same_state(torch, theirs, ours, folder)
    with torch.no_grad():
        wanted = theirs.eval()(y).numpy()
        trained = theirs.train()(y).numpy()
    rest = [key for key in ours.variables if key != "params"]
    assert min(wanted.std(), trained.std()) > 1e-2  # else they would agree for no reason
    assert np.abs(wanted - trained).max() > 1e-2 or not rest
    np.testing.assert_allclose(run(ours.model.apply, ours.variables, x), wanted, atol=tolerance, rtol=tolerance)
    train = partial(ours.model.apply, train=True, mutable=rest, rngs={"dropout": jax.random.key(0)})
    scores, new = run(train, ours.variables, x)
    np.testing.assert_allclose(scores, trained, atol=tolerance, rtol=tolerance)
    same_means(theirs, ours._replace(variables={**ours.variables, **new}))


def run(function, *arguments):
    """Compiled without optimisations: it runs once."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


def randomise(torch, net, seed=0):
    """Weights by He et al. 2015; scales, biases and statistics about their usual values; nothing is dropped."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            if value.ndim > 1:
                value.normal_(0, float(np.sqrt(2 / np.prod(value.shape[1:]))), generator=rng)
            elif key.endswith(("running_var", "weight")):
                value.uniform_(0.5, 1.5, generator=rng)
            else:
                value.normal_(0, 0.1, generator=rng)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def settle(torch, net, images, seed=1):
    """Makes the logits of a deep random net about 1 in both modes; they may be huge, where 1e-4 is beyond float32.

    The statistics become random ones near those of the images, and the last layer is divided by what it gives.
    """
    rng = torch.Generator().manual_seed(seed)
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        net.train()(images)
        for norm in norms:
            norm.momentum = 0.1
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4, generator=rng)
            norm.running_mean += torch.empty_like(norm.running_mean).normal_(0, 0.1, generator=rng) * norm.running_var.sqrt()
        largest = max(net.train()(images).std(), net.eval()(images).std())  # in this order: training moves the statistics
        for value in list(net.parameters())[-2:]:
            value /= largest


def same_state(torch, theirs, ours, folder):
    """What we write is what was read, bit for bit, and PyTorch takes it."""
    state = theirs.state_dict()
    for suffix in (".pth", ".safetensors"):
        file = classifier.save(ours, folder / f"ours{suffix}")
        if suffix == ".pth":
            written = torch.load(file, weights_only=True)
        else:
            from safetensors.torch import load_file

            written = load_file(file)
        theirs.load_state_dict(written, strict=True)
        assert set(written) == set(state)
        for key, value in state.items():
            assert written[key].dtype == value.dtype
            if not key.endswith("num_batches_tracked"):
                np.testing.assert_array_equal(written[key].numpy(), value.numpy())


def same_means(theirs, ours):
    """After a step of training; the variances differ, since PyTorch's running variance takes the unbiased one."""
    state = theirs.state_dict()
    layout = classifier.layout(ours)
    leaves = flatten_dict(ours.variables, sep="/")
    for path, place in torchvision.places(layout, ours.variables).items():
        if path.endswith("mean"):
            np.testing.assert_allclose(leaves[path], state[place.name].numpy(), atol=1e-4)
