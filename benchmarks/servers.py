"""Starts, watches and stops the two servers. Linux's /proc gives their memory and CPU time."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.load import HOST

START = 60  # seconds that a server may take to answer


class StartError(Exception):
    """A server ended, or did not answer in time. Holds the end of its log."""


def cores() -> int:
    """The cores that this and what it starts may use: the servers' hash threads, too."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Server:
    """A running server. `started` is the seconds from its start to its first 200."""

    port: int
    pid: int
    started: float

    def cpu_seconds(self) -> float | None:
        """CPU time of all its threads so far; None where there is no /proc."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str) -> float | None:
        """MiB by the kernel: VmRSS is now, VmHWM the most since the start."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        found = dict(line.split(":", 1) for line in status.splitlines())
        return int(found[field].split()[0]) / 1024

    def variable(self, name: str) -> str | None:
        """An environment variable that it runs with: `serve` starts itself again with another."""
        try:
            pairs = Path(f"/proc/{self.pid}/environ").read_text().split("\0")
        except OSError:
            return os.environ.get(name)
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair).get(name)


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], log: Path
) -> Iterator[Server]:
    """The server of a command, which gets `--port N` added; stopped at the end."""
    port = _free_port()
    began = time.perf_counter()
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*map(str, command), "--port", str(port)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        _wait(process, port, log)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _is_healthy(port):
            return
        time.sleep(0.002)
    raise StartError(log.read_text(errors="replace")[-2000:])


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
