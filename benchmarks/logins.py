"""Logins against a raw Argon2 loop, and what 64 of them at once do to the rest of the service."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from statistics import quantiles
from time import monotonic

from benchmarks.load import probe
from benchmarks.plan import Plan
from benchmarks.report import Row, compare, figure
from benchmarks.servers import Server, cores
from benchmarks.service import HERE, Command, Service, run, tuned
from benchmarks.signing_in import log_in, log_in_many

# Enough to keep each hash thread busy, each with an account of its own: two logins of one account
# wait for each other.
AT_ONCE = 8
STORM = 64
RATE = 200.0  # requests a second of the route that is watched
LEAST_RATIO = 0.95
MOST_SLOWER = 8
HASH_MEMORY = 64  # MiB of one Argon2 with the recommended parameters


def measure(service: Service, plan: Plan) -> list[Row]:
    with service.serve() as server:
        token = log_in(server.port, service.accounts[0])
        probe(server.port, "/bench", token, RATE, _after(1))
        idle = server.memory("VmRSS")
        rows = [_rate(service, server, plan)]
        # One that asks no database, and one that does so in a thread, as each login does.
        rows += [_slowdown(service, server, plan, path, token) for path in ("/bench", "/users/me")]
        return rows + _memory(server, idle)


def _rate(service: Service, server: Server, plan: Plan) -> Row:
    environment = tuned(service.environment, server)
    loop: Command = [service.python, "-P", HERE / "argon2_loop.py", "--checks", str(plan.hashes)]

    def raw() -> float:
        return float(run(loop, service.folder, environment))

    def ours() -> float:
        return log_in_many(server.port, service.accounts, plan.hashes, AT_ONCE)

    log_in_many(server.port, service.accounts, AT_ONCE, AT_ONCE)  # warm up
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


def _slowdown(service: Service, server: Server, plan: Plan, path: str, token: str) -> Row:
    """p99 in ms of a route, idle and while the logins of a storm are answered."""

    def p99(until: Callable[[], bool]) -> float:
        return quantiles(probe(server.port, path, token, RATE, until), n=100)[-1] * 1000

    pairs = []
    # The logins come from another process: here they would hold up the watching itself.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for _ in range(plan.latency_rounds):
            idle = p99(_after(plan.idle))
            pairs.append((idle, p99(_storm(process, service, server))))
    return compare(
        f"p99 of {path} during {STORM} logins",
        pairs,
        "ms",
        target=f"≤ {MOST_SLOWER}",
        met=lambda ratio: ratio <= MOST_SLOWER,
    )


def _storm(process: Executor, service: Service, server: Server) -> Callable[[], bool]:
    """Start all logins at once; the answer says whether all are done, and passes on a failure."""
    running = process.submit(log_in_many, server.port, service.accounts, STORM, STORM)

    def is_over() -> bool:
        return running.done() and running.result() > 0

    return is_over


def _after(seconds: float) -> Callable[[], bool]:
    deadline = monotonic() + seconds
    return lambda: monotonic() >= deadline


def _memory(server: Server, idle: float | None) -> list[Row]:
    peak = server.memory("VmHWM")
    if idle is None or peak is None:
        return []
    limit = idle + HASH_MEMORY * (cores() + 2)
    name = f"peak memory during {STORM} logins"
    target = f"≤ {figure(limit, 'MiB')}"
    return [Row(name, figure(idle, "MiB"), figure(peak, "MiB"), peak / idle, target, peak <= limit)]
