"""What every program shares: flags, one-line errors, JAX set up before its first use."""

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from dl.errors import UserError, unknown
from experiments import peers

FLAGS = flags.FLAGS


def run(main: Callable[[list[str]], None]) -> None:
    """Parses the flags and runs `main(arguments)`; a `UserError` becomes one line on stderr and exit code 1."""
    logging.set_verbosity(logging.FATAL)  # Orbax tells of every folder that it makes, and of errors that it raises as well
    sys.unraisablehook = _tell

    def guarded(argv: list[str]) -> None:
        try:
            main(argv)
        except UserError as error:
            fail(error)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on from the last checkpoint.", file=sys.stderr)
            peers.leave("interrupted", 130)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


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


def _parse(argv: list[str]) -> list[str]:
    """The flags; a mistake in a config's name, key or value is a line, not a traceback."""
    try:
        arguments = FLAGS(argv)
        # ml_collections raises what it met while it loaded the file only when something is asked of the configuration.
        if "config" in FLAGS and hasattr(FLAGS.config, "lock"):
            _check_variant(config_flags.get_config_filename(FLAGS["config"]))
        return arguments
    except flags.Error as error:
        fail(f"{error} See --help.")
    except UserError as error:
        fail(error)
    except OSError:
        path = config_flags.get_config_filename(FLAGS["config"])
        fail(unknown("config file", path.partition(":")[0], map(str, Path("configs").glob("*.py"))))
    except AttributeError as error:  # an unknown key; ml_collections names the nearest one
        inner = error.args[0] if error.args else error  # a KeyError, whose own text is quoted twice
        fail(f"the configuration has no such key: {inner.args[0] if isinstance(inner, KeyError) else inner}")
    except (KeyError, TypeError, ValueError) as error:
        fail(f"the configuration cannot be set so: {error}")
    raise AssertionError("fail() does not return")


def _check_variant(name: str) -> None:
    """Refuses a variant that the config's file does not speak of: it would quietly train the published setting.

    Raises:
        UserError: no part of the file has the variant's words (several are joined by "_").
    """
    path, _, variant = name.partition(":")
    words = set(re.findall(r"[a-zA-Z0-9]+", Path(path).read_text()))
    for part in filter(None, variant.split("_")):
        if part not in words:
            raise UserError(f"{path} has no variant {variant!r}: see the text on top of it for those there are.")


def define_config() -> None:
    """`--config=configs/NAME.py[:variant]` and the flags that override its keys."""
    config_flags.DEFINE_config_file(
        "config", None, "The experiment: configs/NAME.py[:variant]; --config.KEY=VALUE overrides a key."
    )
    flags.mark_flag_as_required("config")


def define_data() -> None:
    """Where datasets lie."""
    flags.DEFINE_string("data_dir", None, "Folder of the sets that TFDS prepared, or will prepare.")
    flags.DEFINE_string("manual_dir", None, "Folder of original archives, one sub-folder a dataset.")


def define_processes() -> None:
    """Several processes. SLURM, TPU pods and Kubernetes are found out by JAX itself."""
    flags.DEFINE_string("coordinator", None, "HOST:PORT of the first of several processes.")
    flags.DEFINE_integer("num_processes", None, "How many processes take part.", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.", lower_bound=0)


def start_jax() -> None:
    """Sets up compilation cache, determinism and, where there are several, the processes; before the first JAX operation."""
    on_gpu = any(importlib.util.find_spec(f"jax_{cuda}_plugin") for cuda in ("cuda12", "cuda13"))
    if on_gpu and "xla_gpu_deterministic_ops" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"  # for exact resume

    import jax

    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dl-canon" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if "coordinator" in FLAGS:
        _join(jax)


def _join(jax: object) -> None:
    from jax import distributed

    given = (FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id)
    if all(value is not None for value in given):
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
