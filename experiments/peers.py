"""The processes of one run know of each other's end: where one dies, the others end within seconds, with one line.

JAX alone misses the heartbeats of a dead process after a long time, or aborts with a dump where the first one died. But
whatever kills a process, its system closes its connections. So each process keeps one to the first, at the coordinator's
address, and says goodbye before it closes it; the first one tells the others of what it sees.

JAX's own connections to the coordination service, which is in the first process, go through relays in both processes. A relay
leaves JAX's end open when the other end is gone: else JAX would abort the process before it can say why.
"""

import atexit
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType

from dl.errors import UserError

GRACE = 2.0  # seconds for a process to end by an error of its own, which says more than that of another
PATIENCE = 300.0  # seconds to wait for the first process, as JAX does
HELLO = b"dl-canon"  # before the kind of a connection, so that strangers are told apart
WATCH, RELAY = b"W", b"R"
GOODBYE = "goodbye"
# Seconds until a machine that fell silent counts as gone: 3 + 3 * 2.
KEEPALIVE = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}

_joined: "list[Peers]" = []  # at most one: a process takes part in one run


class Peers:
    """The other processes. `lines`: the first one has a connection to each other, and they one to it."""

    def __init__(self, number: int):
        self.number = number
        self.lines: list[socket.socket] = []
        self.why = ""
        self.noticed, self.ending = Event(), Lock()

    def watch(self, line: socket.socket, who: int) -> None:
        """Waits for the end of process `who`."""
        self.lines.append(line)
        text = ""
        with suppress(OSError):
            text = line.makefile("r", encoding="utf-8", errors="replace").readline().strip()
        if text != GOODBYE:
            self.lost(text or f"process {who} of this run died")

    def lost(self, why: str) -> None:
        """Ends this process, and in the first one tells all others."""
        with self.ending:
            if self.why:
                return
            self.why = why
        self.noticed.set()
        if self.number == 0:
            self.tell(why)
        time.sleep(GRACE)
        self.end()

    def tell(self, text: str) -> None:
        """Writes a line to all connections."""
        for line in list(self.lines):
            with suppress(OSError):
                line.sendall(text.encode("utf-8", "replace") + b"\n")

    def end(self) -> None:
        """Ends the process with one line; only the first call prints it."""
        self.ending.acquire()  # and never releases it
        why = self.why.rstrip(".")
        print(f"error: {why}. Started again, all processes go on from the last checkpoint.", file=sys.stderr, flush=True)
        _exit(1)

    def hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """For `sys.excepthook`: what JAX raises where another process died says less than that it died."""
        if not self.noticed.wait(GRACE):
            sys.__excepthook__(kind, error, trace)
            leave(f"{kind.__name__}: {error}")
        self.end()


def tell_others(why: str) -> None:
    """Tells the other processes, if there are any, why this one ends."""
    for peers in _joined:
        peers.tell(f"process {peers.number} of this run failed: {' '.join(why.split())}")


def leave(why: str) -> None:
    """Ends this process of several with code 1 and tells the others why; does nothing where there is one.

    Nothing waits for the others, as an ordinary exit would: they may be waiting for this one.
    """
    tell_others(why)
    if _joined:
        _exit(1)


def join(coordinator: str, number: int) -> str:
    """Connects this process with the others, before JAX does.

    Args:
        coordinator: HOST:PORT of the first process.
        number: index of this process.

    Returns:
        The address that JAX is to take for its coordinator, in this process alone.

    Raises:
        UserError: no such address, or nobody answers there.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"--coordinator={coordinator} must be HOST:PORT.")
    peers = Peers(number)
    address = _first(peers, int(port)) if number == 0 else _other(peers, host.strip("[]"), int(port))
    _joined.append(peers)
    sys.excepthook = peers.hook
    atexit.register(peers.tell, GOODBYE)  # runs before JAX waits for the others: that was registered earlier
    return address


def _first(peers: Peers, port: int) -> str:
    """Listens at the coordinator's port, and passes on what is for JAX's service to another."""
    try:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        server = socket.create_server(("", port), family=family, backlog=1024, dualstack_ipv6=both)
    except OSError as error:
        raise UserError(f"--coordinator: cannot listen on port {port}: {error.strerror}. Give another port.") from error
    with socket.create_server(("localhost", 0)) as free:
        service = ("localhost", free.getsockname()[1])

    def receive(line: socket.socket) -> None:
        kind = _read(line, len(HELLO) + 1)
        if kind == HELLO + WATCH:
            _keep_alive(line)
            peers.watch(line, int.from_bytes(_read(line, 4)))
        elif kind == HELLO + RELAY:
            _relay(line, _connect(*service))
        else:
            line.close()

    _serve(server, receive)
    return "{}:{}".format(*service)


def _other(peers: Peers, host: str, port: int) -> str:
    """Connects to the first process, and listens for this process's JAX."""
    line = _connect(host, port)
    _keep_alive(line)
    line.sendall(HELLO + WATCH + peers.number.to_bytes(4))
    _start(peers.watch, line, 0)
    server = socket.create_server(("localhost", 0))

    def receive(local: socket.socket) -> None:
        upstream = _connect(host, port)
        upstream.sendall(HELLO + RELAY)
        _relay(local, upstream, hold=True)

    _serve(server, receive)
    return f"localhost:{server.getsockname()[1]}"


def _serve(server: socket.socket, receive: Callable[[socket.socket], None]) -> None:
    """Each connection in a thread of its own."""

    def accept() -> None:
        while True:
            line, _ = server.accept()
            _start(receive, line)

    _start(accept)


def _relay(a: socket.socket, b: socket.socket, hold: bool = False) -> None:
    """Passes bytes both ways until an end closes. `hold`: a stays open whatever becomes of b."""
    held = a if hold else None
    _start(_pump, a, b, held)
    _pump(b, a, held)


def _pump(source: socket.socket, sink: socket.socket, held: socket.socket | None) -> None:
    with suppress(OSError):  # of either end: a heartbeat may meet a closed connection before its end is read
        while data := source.recv(65536):
            sink.sendall(data)
    for line in (source, sink):
        if line is not held:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _connect(host: str, port: int) -> socket.socket:
    """A connection, waited for as long as nobody listens yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            line = socket.create_connection((host, port), timeout=10)
            line.settimeout(None)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(f"the first process does not answer at {host}:{port} ({error}): start it.") from error
            time.sleep(0.1)


def _read(line: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer where it ends."""
    data = b""
    with suppress(OSError):
        while len(data) < count and (more := line.recv(count - len(data))):
            data += more
    return data


def _keep_alive(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS lacks the first
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _start(target: Callable[..., None], *arguments: object) -> None:
    Thread(target=target, args=arguments, daemon=True).start()


def _exit(code: int) -> None:
    """At once: Python's own way out would wait for threads, and JAX's for the other processes."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
