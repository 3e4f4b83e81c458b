"""What an experiment is made of, without training it: layers, phases, and where each parameter lies.

    python -m experiments.explain --config=configs/mnist_lenet5.py
    python -m experiments.explain --config=configs/mnist_lenet5.py --config.mesh.fsdp=8 --json

The files of published data are not needed. Every number of a layer is its own, without the layers inside it, so each column
adds up to its total. Parameters are counted once, also where several layers share them. FLOPs are of the forward pass of one
example in training, a multiply-add being two (see `dl.training.flops`); activations are the bytes of the layers' outputs for
one example.
"""

import json
import sys
from typing import TYPE_CHECKING

from absl import flags

from dl.report.console import Columns
from experiments import program

if TYPE_CHECKING:
    from dl.training.explain import Explanation, Shape

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Traces the experiment and prints what was found."""
    program.start_jax()
    from dl.training.explain import assemble_known, explain

    experiment, without = assemble_known(FLAGS.config, FLAGS.data_dir, FLAGS.manual_dir)
    explanation = explain(experiment)
    if without:
        files = ", ".join(f"config.task.{key}" for key in without)
        program.tell([f"explained without the files of {files}, which are not there."], sys.stderr)
    if FLAGS.json:
        print(json.dumps(as_json(explanation)))
    else:
        show(explanation)


def as_json(explanation: "Explanation") -> dict[str, object]:
    """The fields of `Explanation`: `parameters`, `flops`, `layers`, `phases`, `mesh`, `sharding` and so on."""
    content = explanation._asdict()
    return content | {key: [item._asdict() for item in content[key]] for key in ("layers", "phases", "sharding")}


def show(explanation: "Explanation") -> None:
    """Prints the tables."""
    from dl.report import console

    console.show(_layers(explanation), _phases(explanation), _sharding(explanation))
    if any(phase.shapes > 1 for phase in explanation.phases):
        print("Examples differ in length: examples and FLOPs a step are averages, layers are those of the first step's length.")
    print("FLOPs: 2 a multiply-add, 1 any other operation. Each layer's numbers are its own, without the layers inside it.")
    memory = f"{_bytes(explanation.activation_bytes)} of activations, {_bytes(4 * explanation.parameters)} of parameters"
    print(f"Forward pass of one example: {memory}.")
    replicas = f"{explanation.replicas} replicas" if explanation.replicas > 1 else "1 replica"
    mesh = ", ".join(f"{axis}={size}" for axis, size in explanation.mesh.items())
    print(f"{replicas} on the mesh {mesh}.")
    sizes = f"{_bytes(explanation.state_bytes)} in all, {_bytes(explanation.state_bytes_per_device)} on a device"
    print(f"State (parameters, what the optimizers keep, statistics): {sizes}.")


def _layers(explanation: "Explanation") -> Columns:
    names = ("layer", "module", ">output", ">parameters", ">FLOPs", ">activations, bytes")
    rows = []
    for layer in explanation.layers:
        module = layer.module if layer.calls <= 1 else f"{layer.module}, {layer.calls:,} calls"
        output = ", ".join(map(_shape, layer.outputs))
        rows.append((layer.path, module, output, *_numbers(layer.parameters, layer.flops, layer.activation_bytes)))
    total = _numbers(explanation.parameters, explanation.flops, explanation.activation_bytes)
    return Columns("Layers: forward pass of one example in training", names, rows, ("total", "", "", *total))


def _phases(explanation: "Explanation") -> Columns:
    names = (">phase", ">steps", "objectives of a step", "stream", ">examples a step", ">FLOPs a step")
    rows = []
    for number, phase in enumerate(explanation.phases, 1):
        examples = f"{phase.examples:,.1f}".removesuffix(".0")
        objectives = ", ".join(phase.objectives)
        rows.append((str(number), f"{phase.steps:,}", objectives, phase.stream, examples, f"{phase.flops_per_step:,}"))
    return Columns("Phases: forward, backward and update", names, rows)


def _sharding(explanation: "Explanation") -> Columns:
    rows = []
    for leaf in explanation.sharding:
        axes = " x ".join(axis or "-" for axis in leaf.axes) if any(leaf.axes) else "not split"
        rows.append((leaf.path, _shape(leaf.shape), leaf.dtype, axes, f"{leaf.bytes_per_device:,}"))
    return Columns("Sharding over the mesh", ("parameter", ">shape", "type", "split over", ">bytes on a device"), rows)


def _numbers(*counts: int) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)


def _shape(shape: "Shape") -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


if __name__ == "__main__":
    program.define_config()
    program.define_data()
    flags.DEFINE_bool("json", False, "Print JSON.")
    program.run(main)
