"""Where one of several processes dies, the others end within seconds, with one line. Without experiments.launch."""

import signal
import socket
import subprocess
import sys
import time
from threading import Thread

import pytest

from dl.errors import UserError
from experiments import peers
from experiments.launch import free_port
from tests.experiments.programs import CONFIG, REPOSITORY, checkpoints, end, one_line, start, until

LIMIT = 10  # seconds
# A process without JAX: it joins, says so, then does what it reads.
SCRIPT = """
import sys, time
from experiments import peers
peers.join(sys.argv[1], int(sys.argv[2]))
print("joined", flush=True)
what = sys.stdin.readline().strip()
if not what:
    time.sleep(100)
if what == "fail":
    peers.leave("the disk is full.")
if what == "raise":
    raise ValueError("of this process")
"""


def joined(count):
    """Starts so many processes; returns them with their address once they are connected."""
    address = f"localhost:{free_port()}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", SCRIPT, address]
    started = [subprocess.Popen([*command, str(i)], cwd=REPOSITORY, text=True, **pipes) for i in range(count)]
    for process in started:
        assert process.stdout.readline() == "joined\n", process.communicate()[1]
    time.sleep(0.2)  # the first accepts in threads
    return started, address


def tell(process, what):
    process.stdin.write(what + "\n")
    process.stdin.flush()


@pytest.mark.parametrize("dying", [0, 1, 2])
def test_all_end_where_one_is_killed(dying):
    processes, _ = joined(3)
    processes[dying].kill()
    others = [process for i, process in enumerate(processes) if i != dying]
    begin = time.monotonic()
    for process in others:
        assert f"process {dying} of this run died" in one_line(end(process, LIMIT))
    assert time.monotonic() - begin < LIMIT


def test_all_are_told_why_one_failed():
    processes, _ = joined(3)
    tell(processes[1], "fail")
    assert end(processes[1], LIMIT).returncode == 1
    for i in (0, 2):
        assert "process 1 of this run failed: the disk is full. Started again" in one_line(end(processes[i], LIMIT))


def test_who_raises_says_so_itself_and_the_others_name_it():
    processes, _ = joined(2)
    tell(processes[0], "raise")
    raised = end(processes[0], LIMIT)
    assert raised.returncode == 1 and raised.stderr.endswith("ValueError: of this process\n")
    assert "process 0 of this run failed: ValueError: of this process" in one_line(end(processes[1], LIMIT))


def test_what_is_raised_because_another_died_is_not_shown():
    processes, _ = joined(2)
    processes[1].kill()
    tell(processes[0], "raise")
    assert "process 1 of this run died" in one_line(end(processes[0], LIMIT))


def test_a_good_end_ends_nobody_else():
    processes, _ = joined(3)
    tell(processes[0], "end")
    tell(processes[2], "end")
    assert [end(processes[i], LIMIT).returncode for i in (0, 2)] == [0, 0]
    time.sleep(3)
    assert processes[1].poll() is None
    tell(processes[1], "end")
    ended = end(processes[1], LIMIT)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_strangers_are_ignored():
    processes, address = joined(2)
    host, _, port = address.rpartition(":")
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"dl-can", b"\x16\x03\x01" * 9):
        with socket.create_connection((host, int(port))) as line:
            line.sendall(said)
    time.sleep(3)
    assert [process.poll() for process in processes] == [None, None]
    for process in processes:
        tell(process, "end")
        assert end(process, LIMIT).returncode == 0


def test_a_relay_holds_an_end_whose_other_end_is_gone():
    """Also where it is written to before that is noticed: JAX would abort the process."""
    jax, ours = socket.socketpair()
    upstream, service = socket.socketpair()
    Thread(target=peers._relay, args=(ours, upstream, True), daemon=True).start()
    jax.sendall(b"heartbeat")
    assert service.recv(9) == b"heartbeat"
    service.sendall(b"answer")
    assert jax.recv(6) == b"answer"
    service.close()
    jax.settimeout(1)
    for _ in range(3):
        jax.sendall(b"heartbeat")
        with pytest.raises(TimeoutError):
            jax.recv(1)


@pytest.mark.parametrize("address", ["nowhere", "localhost:", "localhost:99999", "localhost:x"])
def test_an_address_that_is_none(address):
    with pytest.raises(UserError, match=r"--coordinator=.* must be HOST:PORT\."):
        peers.join(address, 1)


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as server, pytest.raises(UserError, match="cannot listen on port"):
        peers.join(f"localhost:{server.getsockname()[1]}", 0)


@pytest.mark.parametrize("dying", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_training_ends_where_one_of_its_processes_is_killed(workdir, dying):
    """JAX's coordination service is in the first one: without it, JAX aborts with a dump."""
    place = [f"--coordinator=localhost:{free_port()}", "--num_processes=2"]
    flags = [f"--config={CONFIG}", f"--workdir={workdir}", "--config.steps=200000", "--config.checkpoint_every=20", *place]
    both = [start("train", *flags, f"--process_id={i}", fresh=True) for i in range(2)]
    until(lambda: bool(checkpoints(workdir)), both[0])
    both[dying].kill()
    begin = time.monotonic()
    line = one_line(end(both[1 - dying], LIMIT))
    assert time.monotonic() - begin < LIMIT
    assert f"process {dying} of this run died. Started again, all processes go on from the last checkpoint." in line
    assert end(both[dying]).returncode == -signal.SIGKILL
