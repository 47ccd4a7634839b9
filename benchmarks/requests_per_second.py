"""A guarded route against the bare one: requests a second, and CPU time for each request."""

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks.load import Ring
from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.servers import Server
from benchmarks.service import Service
from benchmarks.signing_in import log_in

CONNECTIONS = 8
GUARDED = 0.90
WITH_A_QUERY = 0.17

Side = tuple[Server, Ring]
Measured = tuple[float, float]  # requests a second, µs of CPU a request


def measure(service: Service, plan: Plan) -> list[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(service.serve())
        token = log_in(ours.port, service.accounts[0])

        def side(server: Server, path: str) -> Side:
            ring = stack.enter_context(Ring(server.port, path, token, CONNECTIONS))
            ring.run(plan.turn)  # warm up
            return server, ring

        bare = side(stack.enter_context(service.serve_bare(like=ours)), "/bench")
        without = stack.enter_context(service.serve_bare(like=ours, access_log=False))
        sides = [bare, side(without, "/bench"), side(ours, "/bench"), side(ours, "/users/me")]
        rounds = [_round(sides, plan.turn, number) for number in range(plan.turns)]
    logged, silent, guarded, account = (list(one) for one in zip(*rounds, strict=True))
    rows = [
        _rates("guarded route, requests", logged, guarded, GUARDED),
        _rates("…, against one without any log", silent, guarded),
        _rates("/users/me, requests", logged, account, WITH_A_QUERY),
    ]
    if median(cost for _, cost in logged) > 0:
        costs = [(one[1], other[1]) for one, other in zip(logged, guarded, strict=True)]
        rows.append(compare("guarded route, CPU time", costs, "µs"))
    return rows


def _rates(
    name: str, reference: Sequence[Measured], ours: Sequence[Measured], least: float | None = None
) -> Row:
    pairs = [(one[0], other[0]) for one, other in zip(reference, ours, strict=True)]
    if least is None:
        return compare(name, pairs, "/s")
    return compare(name, pairs, "/s", target=f"≥ {least}", met=lambda ratio: ratio >= least)


def _round(sides: Sequence[Side], seconds: float, number: int) -> list[Measured]:
    """Each side in turn, the next one first in each round."""
    measured: dict[int, Measured] = {}
    for step in range(len(sides)):
        index = (number + step) % len(sides)
        server, ring = sides[index]
        before = server.cpu_seconds() or 0.0
        answers, taken = ring.run(seconds)
        spent = (server.cpu_seconds() or 0.0) - before
        measured[index] = (answers / taken, spent / answers * 1e6)
    return [measured[index] for index in range(len(sides))]
