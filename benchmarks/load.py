"""The clients: blocking sockets, because an asynchronous client costs as much as the server.

Every client checks its answers: a fast refusal must not count as a fast answer.
"""

import itertools
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Self
from urllib.parse import urlencode

HOST = "127.0.0.1"
WAIT = 60  # seconds that any one answer may take


class WrongAnswer(Exception):
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
            raise WrongAnswer(answer[:200])
        missing = self._length - len(answer)
        while missing > 0:
            more = self._socket.recv(65_536)
            if not more:
                raise WrongAnswer("closed")
            missing -= len(more)
        if missing < 0:
            raise WrongAnswer("an answer of another length")

    def close(self) -> None:
        self._socket.close()

    def _measure(self) -> int:
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = self._socket.recv(65_536)
            if not more:
                raise WrongAnswer("closed")
            answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += self._socket.recv(65_536)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswer(answer[:200])
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


def probe(
    connection: Connection, *, rate: float, until: Callable[[], bool], most: int = 100_000
) -> list[float]:
    """Seconds that each answer took, at `rate` requests a second.

    A request that had to wait for the answer before it counts from when it was due. Otherwise
    one long answer would hide all that would have been slow behind it.
    """
    taken: list[float] = []
    due = time.perf_counter()
    while not until() and len(taken) < most:
        due += 1 / rate
        early = due - time.perf_counter()
        if early > 0:
            time.sleep(early)
            due = time.perf_counter()
        connection.send()
        connection.receive()
        taken.append(time.perf_counter() - due)
    return taken


Account = tuple[str, str]


def log_in(port: int, account: Account) -> str:
    """The access token of one login, on a connection of its own."""
    connection = HTTPConnection(HOST, port, timeout=WAIT)
    form = {"grant_type": "password", "username": account[0], "password": account[1]}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", "/auth/token", urlencode(form), kind)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswer(answer.status, body[:200])
    return str(json.loads(body)["access_token"])


def log_in_many(port: int, accounts: list[Account], logins: int, at_once: int) -> float:
    """Logins a second, with `at_once` of them under way."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        turns = itertools.islice(itertools.cycle(accounts), logins)
        list(threads.map(lambda account: log_in(port, account), turns))
    return logins / (time.perf_counter() - began)
