"""A guarded route against the bare one: requests a second, and CPU time for each request."""

from statistics import median

from benchmarks.load import Ring
from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.servers import Server
from benchmarks.service import Service
from benchmarks.signing_in import log_in

CONNECTIONS = 8
TARGET = 0.75


def measure(service: Service, plan: Plan) -> list[Row]:
    with service.serve() as ours, service.serve_bare(like=ours) as bare:
        token = log_in(ours.port, service.accounts[0])
        with (
            Ring(bare.port, "/bench", token, CONNECTIONS) as bare_ring,
            Ring(ours.port, "/bench", token, CONNECTIONS) as our_ring,
        ):
            sides = [(bare, bare_ring), (ours, our_ring)]
            for _, ring in sides:
                ring.run(plan.turn)  # warm up
            rounds = [_round(sides, plan.turn, number) for number in range(plan.turns)]
    rates = [(bare_rate, our_rate) for (bare_rate, _), (our_rate, _) in rounds]
    costs = [(bare_cost, our_cost) for (_, bare_cost), (_, our_cost) in rounds]
    rows = [
        compare(
            "guarded route, requests",
            rates,
            "/s",
            target=f"≥ {TARGET}",
            met=lambda ratio: ratio >= TARGET,
        )
    ]
    if median(cost for cost, _ in costs) > 0:
        rows.append(compare("guarded route, CPU time", costs, "µs"))
    return rows


def _round(
    sides: list[tuple[Server, Ring]], seconds: float, number: int
) -> list[tuple[float, float]]:
    """(requests a second, µs of CPU a request) of each side, each first in every other round."""
    measured: dict[int, tuple[float, float]] = {}
    for index in (0, 1) if number % 2 == 0 else (1, 0):
        server, ring = sides[index]
        before = server.cpu_seconds() or 0.0
        answers, taken = ring.run(seconds)
        spent = (server.cpu_seconds() or 0.0) - before
        measured[index] = (answers / taken, spent / answers * 1e6)
    return [measured[0], measured[1]]
