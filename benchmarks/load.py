"""The clients: blocking sockets, because an asynchronous client costs as much as the server.

Every client checks its answers: a fast refusal must not count as a fast answer.
"""

import itertools
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from selectors import EVENT_READ, DefaultSelector
from typing import Self, cast

HOST = "127.0.0.1"
WAIT = 60  # seconds that any one answer may take
WATCHING = 16  # connections that a probe takes turns with
STEP = 0.005  # seconds between two looks at whether a probe is over


class AnswerError(Exception):
    """The server answered something else than 200."""


class Connection:
    """A keep-alive connection that sends one GET again and again.

    The answers' length is read once: nothing in them changes length from one to the next.
    """

    def __init__(self, port: int, path: str, token: str) -> None:
        self._socket = socket.create_connection((HOST, port), WAIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: */*\r\n"
            f"User-Agent: benchmark\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        self._length = 0
        self.send()
        self._length = self._measure()

    def send(self) -> None:
        self._socket.sendall(self._request)

    def receive(self) -> None:
        answer = self._socket.recv(65_536)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise AnswerError(answer[:200])
        missing = self._length - len(answer)
        while missing > 0:
            more = self._socket.recv(65_536)
            if not more:
                raise AnswerError("closed")
            missing -= len(more)
        if missing < 0:
            raise AnswerError("an answer of another length")

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _measure(self) -> int:
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = self._socket.recv(65_536)
            if not more:
                raise AnswerError("closed")
            answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += self._socket.recv(65_536)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise AnswerError(answer[:200])
        return len(head) + 4 + length


class Ring:
    """Connections that each have a request under way, read in turn: the server never waits."""

    def __init__(self, port: int, path: str, token: str, size: int) -> None:
        self._connections = [Connection(port, path, token) for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def run(self, seconds: float) -> tuple[int, float]:
        """Answers got, and the seconds that they took."""
        for connection in self._connections:
            connection.send()
        began = time.perf_counter()
        deadline = began + seconds
        answers = 0
        for connection in itertools.cycle(self._connections):
            connection.receive()
            answers += 1
            now = time.perf_counter()
            if now >= deadline:
                break
            connection.send()
        taken = now - began
        self._drain(answers)
        return answers, taken

    def _drain(self, answers: int) -> None:
        """Receive what is still under way: from the one after the last to the one before it."""
        size = len(self._connections)
        for step in range(size - 1):
            self._connections[(answers + step) % size].receive()


def probe(port: int, path: str, token: str, rate: float, until: Callable[[], bool]) -> list[float]:
    """Seconds that each answer took, asked for at `rate` a second whatever the server does.

    A request goes out on whichever connection is free. Only if none is, it counts from when it
    was due: otherwise a server that holds up all of them would seem to be asked less.
    """
    with ExitStack() as stack, DefaultSelector() as selector:
        free = [Connection(port, path, token) for _ in range(WATCHING)]
        for connection in free:
            stack.callback(connection.close)
            selector.register(connection, EVENT_READ)
        sent: dict[Connection, float] = {}
        taken: list[float] = []
        due = time.perf_counter()
        held_up = False
        while not until():
            now = time.perf_counter()
            if now >= due and free:
                connection = free.pop(0)
                sent[connection] = due if held_up else now
                connection.send()
                due, held_up = (due if held_up else now) + 1 / rate, False
            held_up = not free and now >= due
            for key, _ in selector.select(max(0.0, due - now) if free else STEP):
                connection = cast(Connection, key.fileobj)
                connection.receive()
                taken.append(time.perf_counter() - sent.pop(connection))
                free.append(connection)
    return taken
