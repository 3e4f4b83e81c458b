"""Whether a network of ours and PyTorch's form of it are the same: names, weights both ways, scores, running statistics.

PyTorch's form gave the fixtures of tests/pytorch; its weights are drawn again here, under its names.
"""

import jax
import numpy as np
from safetensors.numpy import load_file

from dl.interop import classifier, published, torchvision, weights
from tests.pytorch import draw, recorded
from tests.pytorch.cases import NETS
from tests.pytorch.draw import COUNTER


def same_names(group, case):
    """Every name and shape of PyTorch's state dict is a place of ours. Counts parameters."""
    net, theirs = NETS[group][case], recorded.shapes(group, case)
    settings = {**published.published(net.name, probe(theirs)).settings, **net.settings}
    model = published.build(net.name, settings, net.classes)
    made = published.shapes(model, (net.side, net.side, 3))
    found = torchvision.places(published.published(net.name, {}).layout(model), made)
    ours = {place.name: place.shape for place in found.values()}
    assert ours == {name: shape for name, shape in theirs.items() if not name.endswith(COUNTER)}
    return sum(leaf.size for leaf in jax.tree.leaves(made["params"]))


def probe(shapes):
    """A state dict that takes no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def drawn(group, case):
    """The state dict that PyTorch's form had when it gave the fixtures."""
    return draw.state(recorded.shapes(group, case), NETS[group][case].branches)


def given(group, case, folder):
    """Our network with the weights of PyTorch's form, which go through a file, and those weights."""
    net, state = NETS[group][case], drawn(group, case)
    path = folder / "theirs.safetensors"
    weights.write(path, state)
    return classifier.load(path, net.name, net.settings), state


def same_results(group, case, folder, modes=("evaluation", "training"), tolerance=1e-4):
    """PyTorch's weights and statistics go through a file into ours and back; both give the same scores."""
    net, wanted = NETS[group][case], recorded.arrays(group, case)
    ours, state = given(group, case, folder)
    same_state(state, ours, folder)
    x = draw.images(net.side, net.batch)
    if "evaluation" in modes:
        scores = run(ours.model.apply, ours.variables, x[: len(wanted["evaluation"])])
        close(scores, wanted["evaluation"], tolerance)
    if "training" not in wanted:  # it differs by dropout alone
        assert "batch_stats" not in ours.variables
    elif "training" in modes:
        same_training(wanted, ours, state, x, tolerance)


def same_training(wanted, ours, state, x, tolerance):
    """Scores, auxiliary ones too, and running statistics after a batch."""

    def train(variables, x):
        collections = ["batch_stats", "auxiliary"]
        return ours.model.apply(variables, x, train=True, mutable=collections, rngs={"dropout": jax.random.key(0)})

    scores, new = run(train, ours.variables, x)
    close(scores, wanted["training"], tolerance)
    auxiliary = [name for name in wanted if name.startswith("auxiliary")]
    assert {f"{name}_scores" for name in auxiliary} == set(new.get("auxiliary", {}))
    for name in auxiliary:
        close(new["auxiliary"][f"{name}_scores"][0], wanted[name], tolerance)
    if "batch_stats" in new:
        after = torchvision.to_state(classifier.layout(ours), {**ours.variables, "batch_stats": new["batch_stats"]})
        same_statistics(wanted, state, after, tolerance)


def same_statistics(wanted, before, after, tolerance):
    """PyTorch's running variance takes the unbiased variance of `counts` values, ours the biased one."""
    norms = [name.removesuffix(".running_mean") for name in before if name.endswith(".running_mean")]
    for place, (name, count) in enumerate(zip(norms, wanted["counts"], strict=True)):
        mean, variance = (f"{name}.{kind}" for kind in ("running_mean", "running_var"))
        kept = 0.9 * before[variance]
        unbiased = kept + (after[variance] - kept) * count / (count - 1)
        close(draw.summary(mean, after[mean]), wanted["running_mean"][place], tolerance, name)
        close(draw.summary(variance, unbiased), wanted["running_var"][place], tolerance, name)


def close(ours, theirs, tolerance, name=""):
    """To `tolerance` of each number, and of their usual size."""
    assert np.isfinite(theirs).all() and theirs.std() > 1e-3, "they would agree for no reason"
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1, theirs.std()), err_msg=name)


def run(function, *arguments):
    """Compiled without optimisations: it runs once."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


def same_state(state, ours, folder):
    """What we write is what was read, bit for bit, with PyTorch's names and types."""
    for suffix in (".npz", ".safetensors"):
        file = classifier.save(ours, folder / f"ours{suffix}")
        written = load_file(file) if suffix == ".safetensors" else dict(np.load(file))
        assert set(written) == set(state)
        for name, value in state.items():
            assert written[name].dtype == value.dtype
            np.testing.assert_array_equal(written[name], value)
