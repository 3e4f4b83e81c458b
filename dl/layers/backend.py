"""Which implementation a layer takes: the only place where layers ask what they run on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_stock: ContextVar[bool] = ContextVar("stock_operations", default=False)


def prefers_matmul() -> bool:
    """True where a convolution is faster as patches and a matrix product, and a pooling as a maximum of slices.

    Asked while a function is traced. So it is on XLA's CPU backend, whose convolution gradients inside `lax.scan` are several
    times slower than outside (jax-ml/jax#12868); on GPU and TPU the stock operations are the fast ones.
    """
    return jax.default_backend() == "cpu" and not _stock.get()


def run_once() -> dict[str, int] | None:
    """XLA's options for a program that runs once, such as initial values: on the CPU compiled five times faster, with the same
    results. What `XLA_FLAGS` says of it counts.
    """
    flag = "xla_backend_optimization_level"
    return {flag: 1} if jax.default_backend() == "cpu" and flag not in os.environ.get("XLA_FLAGS", "") else None


@contextmanager
def stock_operations() -> Iterator[None]:
    """What is traced within uses the stock operations everywhere, so that counts of them are the same on every machine."""
    token = _stock.set(True)
    try:
        yield
    finally:
        _stock.reset(token)
