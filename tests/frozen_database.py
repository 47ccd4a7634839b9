"""A PostgreSQL that is frozen: it takes connections and answers nothing, as a host does that swaps
or a disk that hangs. No socket closes, so nothing tells a client. Called by `check_sessions.py`.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import httpx2 as httpx
from check_service import expect

SECONDS = 20
PER_SECOND = 15
MOST = 0.3  # seconds; p99 of routes without a query
NO_LIMITS = httpx.Limits(max_connections=None)
BACK = 2.0  # seconds until everything answers again
WITHOUT_A_QUERY = ("/healthz", "/plain", "/stateless")
PATHS = (*WITHOUT_A_QUERY, "/notes", "/users/me")


@dataclass(frozen=True)
class Answer:
    """When it was asked for, seconds after the freeze, and how long it took."""

    path: str
    at: float
    took: float
    status: int


@contextlib.contextmanager
def frozen(data: Path) -> Iterator[None]:
    """The server of a data folder and its children, stopped. What happens, they go on after it."""
    parent = int((data / "postmaster.pid").read_text().splitlines()[0])
    # The parent first: then no child comes that would not be stopped.
    os.kill(parent, signal.SIGSTOP)
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat")]
    processes = [parent, *(process for process in children if _parent_of(process) == parent)]
    try:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _parent_of(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def routes_without_a_query_go_on(
    address: str, data: Path, token: str, interval: int, limit: int
) -> None:
    """They answer as ever; a stateless guard does until its list is too old, then 503 at once."""
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=address,
        headers=bearer,
        timeout=2 * SECONDS,
        limits=httpx.Limits(max_connections=None),
    ) as client:

        def ask(path: str, began: float) -> Answer:
            asked = time.monotonic()
            answer = client.get(path)
            if answer.status_code == 503:
                expect(answer.headers["retry-after"].isdigit(), True)
            now = time.monotonic()
            return Answer(path, asked - began, now - asked, answer.status_code)

        expect({ask(path, 0).status for path in PATHS}, {200})
        asked: list[Future[Answer]] = []
        with ThreadPoolExecutor(SECONDS * PER_SECOND) as threads:
            with frozen(data):
                began = time.monotonic()
                for number in range(SECONDS * PER_SECOND):
                    path = PATHS[number % len(PATHS)]
                    asked.append(threads.submit(ask, path, began))
                    time.sleep(max(0.0, began + (number + 1) / PER_SECOND - time.monotonic()))
            ended = time.monotonic()
            while {ask(path, began).status for path in PATHS} != {200}:
                if time.monotonic() - ended > 10 * BACK:
                    raise SystemExit("it did not come back")
            back = time.monotonic() - ended
        answers = [one.result() for one in asked]
    _judge([answer for answer in answers if answer.path in WITHOUT_A_QUERY], interval, limit, back)


def _judge(answers: list[Answer], interval: int, limit: int, back: float) -> None:
    p99 = quantiles([answer.took for answer in answers], n=100)[-1]
    open_ones = [answer for answer in answers if answer.path != "/stateless"]
    guarded = [answer for answer in answers if answer.path == "/stateless"]
    expect({answer.status for answer in open_ones}, {200})
    expect({answer.status for answer in guarded if answer.at < limit - interval}, {200})
    expect({answer.status for answer in guarded if answer.at > limit + 0.5}, {503})
    print(
        f"{SECONDS} s of a frozen database, {PER_SECOND} requests/s: p99 without a query "
        f"{1000 * p99:.0f} ms; back after {back:.1f} s"
    )
    if p99 >= MOST or back > BACK:
        raise SystemExit(f"p99 is to be under {MOST} s, and all back within {BACK} s")
