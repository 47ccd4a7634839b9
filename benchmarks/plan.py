"""How much is measured, in the full run and in the quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Times are in seconds. A turn is one side of a round."""

    turn: float
    turns: int
    hash_rounds: int
    hashes: int
    latency_rounds: int
    idle: float
    start_rounds: int
    render_rounds: int


FULL = Plan(
    turn=0.5,
    turns=20,
    hash_rounds=4,
    hashes=48,
    latency_rounds=3,
    idle=4,
    start_rounds=5,
    render_rounds=5,
)
QUICK = Plan(
    turn=0.3,
    turns=10,
    hash_rounds=2,
    hashes=16,
    latency_rounds=2,
    idle=2,
    start_rounds=2,
    render_rounds=2,
)
