"""What all tests share: a machine of eight virtual devices, checked types and shapes, no network, a working directory each."""

import ctypes
import errno
import gc
import ipaddress
import os
import pathlib
import socket
import sys
import tempfile

import pytest

# Read when JAX is imported, so they stand before any import of it; programs that a test starts inherit them.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"dl-canon-tests-{os.getuid()}"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ["MPLBACKEND"] = "agg"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

from jaxtyping import install_import_hook

from tests import checking

# Annotations are checked at every call, jaxtyping's shapes too.
install_import_hook("dl", f"{checking.__name__}.checked")

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
# Tests compile far more than they compute: without the passes that take XLA longest, a program takes a third of the time.
QUICKLY_COMPILED = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
)
MEMORY = 1 << 30  # bytes in use from which on compiled programs are let go between two files of tests,
MUCH = 3 << 29  # and between any two tests


def pytest_configure(config: pytest.Config) -> None:
    """Read when the first program is compiled, and by the programs that a test starts; `-m slow` compiles as a user does."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault("XLA_FLAGS", QUICKLY_COMPILED)


def _memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A process of tests compiles thousands of programs and keeps them all: those of a file end with it, if they are many."""
    ends = nextitem is None or nextitem.path != item.path
    if "jax" in sys.modules and _memory() > (MEMORY if ends else MUCH):
        sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of public archives beside the repository, or the one that DL_SHARED_DATA names; skips where there is none."""
    folder = pathlib.Path(os.environ.get("DL_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the archives of public data: no folder {folder} (DL_SHARED_DATA names another)")
    return folder


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A path for one run's workdir; nothing is there yet."""
    return tmp_path / "run"


def _is_local(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    if name in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs as on a machine without a network: only this machine can be reached."""
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host, *args, **kwargs):
        if not _is_local(host):
            raise socket.gaierror(socket.EAI_AGAIN, f"tests have no network (asked for {host!r})")
        return resolve(host, *args, **kwargs)

    def connect_locally(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OSError(errno.ENETUNREACH, f"tests have no network (asked for {address[0]!r})")
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connect_locally)
