"""Accounts through HTTP, as a state machine: any order of verbs, time, crashes and a slow mail.

The fast set walks the same histories each time and shrinks none. `nox -s model` walks new ones,
as many as asked, on both databases; it names the seed that makes a failure come again.
"""

import os
import secrets

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import Machine
from starlette.testclient import TestClient
from world import World

from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
SEED = int(os.environ.get("MODEL_SEED", "0")) or secrets.randbits(32)
ALWAYS = settings(
    stateful_step_count=60, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
FAST = settings(ALWAYS, max_examples=25, derandomize=True, phases=[Phase.generate])
LONG = settings(ALWAYS, max_examples=EXAMPLES or 1, phases=[Phase.generate, Phase.shrink])


@pytest.mark.usefixtures("auth_key")
def test_no_history_of_accounts_breaks_a_promise(
    core: Gatehouse, client: TestClient, create_user: CreateUser
) -> None:
    def begin() -> Machine:
        return Machine(lambda: World(core, client), create_user)

    if EXAMPLES:
        print(f"--seed {SEED}")
        begin = seed(SEED)(begin)
    run_state_machine_as_test(begin, settings=LONG if EXAMPLES else FAST)  # type: ignore[no-untyped-call]
    for what, times in sorted(Machine.happened.items()):
        print(f"{times:7} {what}")
