"""Lists the experiments: what was claimed, on which data, with how many parameters, and what was reached here.

    python -m experiments.list                  all of them, in short
    python -m experiments.list mnist lstm       those whose name or description has these words
    python -m experiments.list --write          docs/experiments.md anew, after a config or a result was added

Parameters, and the files that a dataset needs, are kept in docs/experiments.json; `--write` counts again what has changed.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from dl import config_file
from dl.config import config_hash
from dl.provenance import ROOT
from dl.report import index
from experiments import program

FLAGS = flags.FLAGS
DOCS = ROOT / "docs"


def main(argv: list[str]) -> None:
    """Prints the table, or writes the page."""
    if FLAGS.write:
        program.start_jax()
        write(ROOT / "configs", DOCS)
        print(DOCS / index.PAGE)
        return
    from dl.report import console

    found = [entry for entry in entries(ROOT / "configs", index.counted(DOCS)) if matches(entry, argv[1:])]
    results = index.reached(DOCS)
    names = ("experiment", "what was claimed", "data", ">parameters", "published", "reached")
    rows = []
    for entry in found:
        here = "; ".join(f"{one.variant or 'published'} {one.text}" for one in sorted(results.get(entry.name, [])))
        cells = (entry.name, entry.title, entry.dataset, f"{entry.parameters:,}", index.published(entry), here)
        rows.append(cells)
    console.show(console.Columns(f"{len(found)} experiments; --config=configs/NAME.py", names, rows))


def matches(entry: index.Entry, words: list[str]) -> bool:
    """Whether an experiment has all the words, in any case."""
    text = " ".join((entry.name, entry.title, entry.dataset, *entry.variants)).lower()
    return all(word.lower() in text for word in words)


def entries(configs: Path, counted: dict[str, dict[str, Any]]) -> list[index.Entry]:
    """The experiments of a folder of configs, by name; of those that were not counted, 0 parameters and no files.

    Raises:
        UserError: a config that cannot be read.
    """
    found = []
    for path in sorted(configs.glob("*.py")):
        config, module = config_file.load(str(path)), config_file.read(str(path))
        known = counted.get(path.stem, {})
        numbers = (known.get("parameters", 0), known.get("files", ()), known.get("places", ()))
        said, reference = index.title(module.__doc__ or path.stem), config.reference.to_dict()
        variants = config_file.variants(str(path))
        found.append(index.Entry(path.stem, said, config.dataset.name, reference, variants, *numbers))
    return found


def stale(configs: Path, counted: dict[str, dict[str, Any]]) -> list[str]:
    """The configs that were not counted as they are now, and those that are there no more."""
    now = {path.stem: config_hash(config_file.load(str(path))) for path in sorted(configs.glob("*.py"))}
    changed = [name for name, digest in now.items() if counted.get(name, {}).get("config_hash") != digest]
    return changed + sorted(counted.keys() - now.keys())


def write(configs: Path, docs: Path) -> None:
    """Counts what is stale, and writes both files."""
    from dl.training.json_files import write_json

    counted = index.counted(docs)
    for name in stale(configs, counted):
        counted.pop(name, None)
        if (configs / f"{name}.py").exists():
            print(f"counting {name}", flush=True)
            counted[name] = count(str(configs / f"{name}.py"))
    write_json(docs / index.COUNTED, dict(sorted(counted.items())))
    (docs / index.PAGE).write_text(index.page(entries(configs, counted), docs))


def count(path: str) -> dict[str, Any]:
    """Parameters of the published setting, the files of its data and where they are published; no data are read.

    Raises:
        UserError: the experiment needs more than its data's description.
    """
    from math import prod

    import jax

    from dl.training.explain import assemble_known

    config = config_file.load(path)
    digest = config_hash(config)
    experiment, _ = assemble_known(config)
    params = experiment.target().params
    total = sum(prod(leaf.shape[1:]) for leaf in jax.tree.leaves(params))  # the first axis is that of the replicas
    files, places = needed(config)
    return {"config_hash": digest, "parameters": total, "files": files, "places": places}


def needed(config: Any) -> tuple[list[str], list[str]]:
    """The files that a configuration's data are made of, as paths in the folder of archives, and where they are published.

    They are what the line says that a user sees who has none of them.
    """
    from dl.data.load import load_unread
    from dl.errors import UserError

    parts = config.dataset.get("parts", {}) if config.dataset.name == "join" else {}
    files: list[str] = []
    places: list[str] = []
    for settings in [parts[name] for name in parts] or [config.dataset]:
        section = config.dataset.copy_and_resolve_references()
        section.update(settings)
        with section.unlocked():
            if parts:
                section.splits = {"train": "train"}
        with tempfile.TemporaryDirectory() as empty:
            try:
                load_unread(section, empty, empty)
            except UserError as error:
                files += re.findall(rf"{re.escape(empty)}/([\w./+-]*\w)(?=[,. ]|$)", str(error).partition(" Put ")[2])
                places += re.findall(r"https?://[^\s,)]+", str(error))
    return list(dict.fromkeys(files)), list(dict.fromkeys(places))


if __name__ == "__main__":
    flags.DEFINE_bool("write", False, "Write docs/experiments.md.")
    program.run(main)
