"""Logins against a raw Argon2 loop, and what 64 of them at once do to the rest of the service."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from statistics import quantiles
from time import monotonic

from benchmarks.load import Connection, log_in, log_in_many, probe
from benchmarks.plan import Plan
from benchmarks.report import Row, compare, figure
from benchmarks.servers import Server
from benchmarks.service import HERE, Command, Service, run, tuned

AT_ONCE = 8  # enough to keep each hash thread busy
STORM = 64
RATE = 200.0  # requests a second of the route that is watched
LEAST_RATIO = 0.90
MOST_SLOWER = 12
HASH_MEMORY = 64  # MiB of one Argon2 with the recommended parameters

Watched = tuple[str, str]  # the path and the token to ask it with


def measure(service: Service, plan: Plan) -> list[Row]:
    with service.serve() as server:
        token = log_in(server.port, service.accounts[0])
    # Started again, so that its idle memory is that of a process that has served no login.
    with service.serve() as server:
        probe(Connection(server.port, "/bench", token), rate=RATE, until=_after(1))
        idle = server.memory("VmRSS")
        rows = [_rate(service, server, plan)]
        rows.append(_slowdown(service, server, plan, ("/bench", token), MOST_SLOWER))
        rows.append(_slowdown(service, server, plan, ("/users/me", token), None))
        return rows + _memory(server, idle)


def _rate(service: Service, server: Server, plan: Plan) -> Row:
    environment = tuned(service.environment, server)
    loop: Command = [service.python, "-P", HERE / "argon2_loop.py", "--checks", str(plan.hashes)]

    def raw() -> float:
        return float(run(loop, service.folder, environment))

    def ours() -> float:
        return log_in_many(server.port, service.accounts, plan.hashes, AT_ONCE)

    ours()  # warm up
    pairs = []
    for number in range(plan.hash_rounds):
        if number % 2 == 0:
            reference = raw()
            pairs.append((reference, ours()))
        else:
            rate = ours()
            pairs.append((raw(), rate))
    target = f"≥ {LEAST_RATIO:.2f}"
    return compare("logins", pairs, "/s", target=target, met=lambda ratio: ratio >= LEAST_RATIO)


def _slowdown(
    service: Service, server: Server, plan: Plan, watched: Watched, limit: int | None
) -> Row:
    """p99 in ms of a route, idle and while the logins of a storm are answered."""
    pairs = []
    # The logins come from another process: here they would hold up the watching itself.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for _ in range(plan.latency_rounds):
            idle = _p99(server, watched, _after(plan.idle))
            pairs.append((idle, _p99(server, watched, _storm(process, service, server))))
    name = f"p99 of {watched[0]} during {STORM} logins"
    if limit is None:
        return compare(name, pairs, "ms")
    return compare(name, pairs, "ms", target=f"≤ {limit}", met=lambda ratio: ratio <= limit)


def _storm(process: Executor, service: Service, server: Server) -> Callable[[], bool]:
    """Start all logins at once; the answer says whether all are done, and passes on a failure."""
    running = process.submit(log_in_many, server.port, service.accounts, STORM, STORM)

    def is_over() -> bool:
        return running.done() and running.result() > 0

    return is_over


def _after(seconds: float) -> Callable[[], bool]:
    deadline = monotonic() + seconds
    return lambda: monotonic() >= deadline


def _p99(server: Server, watched: Watched, until: Callable[[], bool]) -> float:
    """In milliseconds."""
    with closing(Connection(server.port, *watched)) as connection:
        taken = probe(connection, rate=RATE, until=until)
    return quantiles(taken, n=100)[-1] * 1000


def _memory(server: Server, idle: float | None) -> list[Row]:
    peak = server.memory("VmHWM")
    if idle is None or peak is None:
        return []
    limit = idle + HASH_MEMORY * (server.cores + 2)
    name = f"peak memory during {STORM} logins"
    target = f"≤ {figure(limit, 'MiB')}"
    return [Row(name, figure(idle, "MiB"), figure(peak, "MiB"), peak / idle, target, peak <= limit)]
