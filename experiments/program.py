"""What every program shares: flags, one-line errors, JAX set up before its first use."""

import importlib.util
import io
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from dl import config_file
from dl.config import cite, flatten
from dl.errors import UserError
from experiments import peers

FLAGS = flags.FLAGS
DETERMINISTIC = "xla_gpu_deterministic_ops"
FOLDERS = ("workdir", "data_dir", "manual_dir")  # an empty name would be the current folder


def run(main: Callable[[list[str]], None]) -> None:
    """Parses the flags and runs `main(arguments)`; a `UserError` becomes one line on stderr and exit code 1.

    What the flags make a program say first, such as settings that are dropped, goes to stdout; where `--json` wants that for
    itself, to stderr at the end.
    """
    logging.set_verbosity(logging.FATAL)  # Orbax tells of every folder that it makes, and of errors that it raises as well
    sys.unraisablehook = _tell
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names of files whose bytes are no UTF-8
    said: list[str] = []

    def parse(argv: list[str]) -> list[str]:
        return _parse(argv, said)

    def guarded(argv: list[str]) -> None:
        json = "json" in FLAGS and FLAGS.json
        try:
            if not json:
                tell(said)
            main(argv)
            if json:
                tell(said, sys.stderr)
        except UserError as error:
            fail(error)

    app.run(guarded, flags_parser=parse)


def tell(sentences: Iterable[str], file: TextIO | None = None) -> None:
    """Prints what is worth knowing and no mistake, a line each; on stdout, unless another file is given."""
    for sentence in sentences:
        print(f"note: {sentence}", file=file, flush=True)


def fail(error: object) -> None:
    """Prints one line on stderr and ends the process with code 1, other processes of the same run notwithstanding."""
    line = " ".join(str(error).split())
    print(f"error: {line}", file=sys.stderr, flush=True)
    peers.leave(line)
    sys.exit(1)


def _tell(unraisable: "sys.UnraisableHookArgs") -> None:
    """Prints an error that nobody could catch; but not that TensorStore, whose write failed, found Orbax's loop closed."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _parse(argv: list[str], said: list[str]) -> list[str]:
    """The flags; a mistake in a config's file, name, key or value is a line, not a traceback. What is to be said is added."""
    try:
        argv = FLAGS.read_flags_from_files(argv, force_gnu=True)
        if asks_for_help(argv[1:]):
            print(usage(argv))
            sys.exit(0)
        if _has_config():
            name, config, argv, sentences = _read_config(argv)
            said += sentences
            arguments = _set(config, argv)
            note_reference(FLAGS.config, name, config_flags.get_override_values(FLAGS["config"]))
        else:
            arguments = FLAGS(argv)
        for name in FOLDERS:
            if name in FLAGS and FLAGS[name].value == "":
                raise UserError(f"--{name} is empty: name a folder, or leave the flag out.")
        return arguments
    except flags.Error as error:
        fail(f"{error} See --help.")
    except UserError as error:
        fail(error)
    raise AssertionError("fail() does not return")


def _set(config: ConfigDict, argv: list[str]) -> list[str]:
    """Makes a flag of every key that the command line gives, and parses them all.

    Raises:
        UserError: a value that a key cannot have.
    """
    text = FLAGS["config"].help
    delattr(FLAGS, "config")
    try:
        config_flags.DEFINE_config_dict("config", config, text, sys_argv=argv)
        return FLAGS(argv)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"the configuration cannot be set so: {error}") from error


def note_reference(config: ConfigDict, name: str, overrides: Mapping[str, Any]) -> None:
    """Notes in `config.reference` what that was measured on, and how the configuration differs from the published setting.

    Args:
        config: as `FILE[:variant]` gave it and flags changed it.
        name: `FILE[:variant]`.
        overrides: key -> value of the flags that changed it.
    """
    path, _, variant = name.partition(":")
    if "metric" in config.get("reference", {}):
        cite(config, config_file.load(path), variant, overrides)


def _has_config() -> bool:
    """Whether the program takes one config, as `define_config` defines it."""
    return FLAGS.find_module_defining_flag("config") == __name__


def asks_for_help(arguments: list[str]) -> bool:
    """Whether `--help` is among the flags; `--helpfull` and others are left to absl."""
    flags_alone = itertools.takewhile(lambda argument: argument != "--", arguments)
    return any(argument in ("--help", "-help", "-h", "-?", "--helpshort") for argument in flags_alone)


def usage(argv: list[str]) -> str:
    """What the program does, its own flags, and the variants of the config that is named.

    Raises:
        UserError: a config is named that cannot be read.
    """
    lines = [(sys.modules["__main__"].__doc__ or "").strip(), "", "Flags:", ""]
    by_module = FLAGS.flags_by_module_dict()
    ours = [
        flag
        for module, found in by_module.items()
        if module.startswith("experiments.") or module == sys.argv[0]
        for flag in found
    ]
    for flag in sorted(ours, key=lambda flag: (flag.name != "config", flag.name)):
        default = "" if flag.default in (None, False, []) else f" (default {flag.default})"
        value = "" if flag.boolean else f"={_form(flag)}"
        lines += textwrap.wrap(f"--{flag.name}{value}", 118, initial_indent="  ")
        lines += textwrap.wrap(f"{_meaning(flag)}{default}", 118, initial_indent="      ", subsequent_indent="      ")
    if _has_config():
        named, _ = named_config(argv)
        lines += ["", *_variants((named or FLAGS["config"].default or "").partition(":")[0])]
    return "\n".join(lines)


def _meaning(flag: flags.Flag[Any]) -> str:
    """Without what absl adds about choices and repetition, which the form of the flag says."""
    text, several, _ = (flag.help or "").partition(";\n    repeat this option")
    return re.sub(r"^<[^>]*>: ", "", text) + (" May be given several times." if several else "")


def _form(flag: flags.Flag[Any]) -> str:
    if flag.name == "config":
        return "FILE[:VARIANT]"
    choices = getattr(flag.parser, "enum_values", None)
    return "|".join(choices) if choices else "N" if flag.flag_type() in ("int", "multi int", "float", "multi float") else "..."


def _variants(path: str) -> list[str]:
    """The lines about the variants of a config."""
    if not path:
        files = ", ".join(file.stem for file in sorted(Path("configs").glob("*.py")))
        return ["With --config=configs/NAME.py, its variants are shown here.", *textwrap.wrap(f"Configs: {files}.", 120)]
    table = config_file.variants(path)
    lines = [f"  :{name:16s} {line}" for name, line in table.items()]
    return [f"Variants of {path} (none is the published setting; several are joined by _):", "", *lines]


def _read_config(argv: list[str]) -> tuple[str, ConfigDict, list[str], list[str]]:
    """What `--config` says; its configuration, with every key that is given; the rest of the flags; what is to be said."""
    named, argv = named_config(argv)
    named = named if named is not None else FLAGS["config"].default
    if not named:
        raise UserError("give the experiment: --config=configs/NAME.py[:variant]. See --help.")
    config, said = config_file.load(named), []
    given = overrides(argv)
    there = flatten(config)
    if any(key not in there or key.rpartition(".")[2] in ("name", "batches") for key in given):
        from dl.training.settings import prepare  # knows every model, task and source, and so imports them

        said = prepare(config, given)
    return named, config, argv, said


def named_config(argv: list[str]) -> tuple[str | None, list[str]]:
    """The value of the last `--config`, and the command line without it."""
    named, rest, arguments = None, argv[:1], iter(argv[1:])
    for argument in arguments:
        if argument == "--":
            rest += [argument, *arguments]
        elif argument in ("--config", "-config"):
            named = next(arguments, "")
        elif argument.startswith(("--config=", "-config=")):
            named = argument.partition("=")[2]
        else:
            rest.append(argument)
    return named, rest


def overrides(argv: list[str]) -> dict[str, str]:
    """Key -> value of each `--config.KEY=VALUE` or `--config.KEY VALUE`; the last one of a key counts."""
    found = {}
    for argument, following in itertools.zip_longest(argv[1:], argv[2:], fillvalue=""):
        if match := re.fullmatch(r"--?(?:no)?config\.([^=]+)(?:=(.*))?", argument, re.DOTALL):
            found[match[1]] = following if match[2] is None else match[2]
    return found


def define_config(default: str | None = None) -> None:
    """`--config=configs/NAME.py[:variant]` and the flags that override its keys."""
    flags.DEFINE_string("config", default, "The experiment; --config.KEY=VALUE overrides a key.")


def define_data() -> None:
    """Where datasets lie."""
    flags.DEFINE_string("data_dir", None, "Folder of the datasets that TFDS prepared, or will prepare.")
    flags.DEFINE_string("manual_dir", None, "Folder of original archives, one sub-folder a dataset.")


def define_processes() -> None:
    """Several processes. SLURM, TPU pods and Kubernetes are found out by JAX itself."""
    flags.DEFINE_string("coordinator", None, "HOST:PORT of the first of several processes.")
    flags.DEFINE_integer("num_processes", None, "How many processes take part.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.", lower_bound=0)


def start_jax() -> None:
    """Sets up compilation cache, determinism and, where there are several, the processes; before the first JAX operation."""
    if any(importlib.util.find_spec(f"jax_{cuda}_plugin") for cuda in ("cuda12", "cuda13")):
        deterministic = FLAGS.config.deterministic if _has_config() else True
        os.environ["XLA_FLAGS"] = xla_flags(os.environ.get("XLA_FLAGS", ""), deterministic)

    import jax

    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dl-canon" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if "coordinator" in FLAGS:
        _join(jax)


def xla_flags(given: str, deterministic: bool) -> str:
    """XLA's flags for a GPU: those of the environment, and, unless they say otherwise, whether results may differ between runs.

    Args:
        given: the variable XLA_FLAGS.
        deterministic: `config.deterministic`, without which resuming is not exact.
    """
    return given if DETERMINISTIC in given else f"{given} --{DETERMINISTIC}={str(deterministic).lower()}".strip()


def _join(jax: object) -> None:
    from jax import distributed

    given = (FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id)
    if all(value is not None for value in given):
        if FLAGS.process_id >= FLAGS.num_processes:
            raise UserError(f"--process_id={FLAGS.process_id} must be below --num_processes={FLAGS.num_processes}.")
        address = peers.join(FLAGS.coordinator, FLAGS.process_id)  # so that all know when one dies
        distributed.initialize(address, *given[1:], coordinator_bind_address=address)
    elif any(value is not None for value in given):
        raise UserError("several processes need all of --coordinator, --num_processes and --process_id.")
    elif _in_cluster():
        distributed.initialize()


def _in_cluster() -> bool:
    """Whether a cluster's own variables say that this process is one of several."""
    several = int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ
    pod = len(os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")) > 1 or "MEGASCALE_COORDINATOR_ADDRESS" in os.environ
    kubernetes = "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ
    return several or pod or kubernetes
