"""Accounts through HTTP, as a state machine: any order of verbs, time, crashes and a slow mail.

The fast set walks the same histories each time and shrinks none. `nox -s model` walks new ones,
as many as asked, on both databases; it names the seed that makes a failure come again.
"""

import os
import secrets

import pytest
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from starlette.testclient import TestClient

from model.machine import Machine
from model.world import World

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
SEED = int(os.environ.get("MODEL_SEED", "0")) or secrets.randbits(32)
ALWAYS = settings(
    stateful_step_count=60, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
FAST = settings(ALWAYS, max_examples=20, derandomize=True, phases=[Phase.generate])
LONG = settings(ALWAYS, max_examples=EXAMPLES or 1, phases=[Phase.generate, Phase.shrink])


@pytest.mark.usefixtures("auth_key")
def test_no_history_of_accounts_breaks_a_promise(
    core: Gatehouse, client: TestClient, create_user: CreateUser
) -> None:
    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(World(core, client), create_user)

    if EXAMPLES:
        print(f"-- --examples {EXAMPLES} --seed {SEED}")
        run_state_machine_as_test(seed(SEED)(Here), settings=LONG)
    else:
        run_state_machine_as_test(Here, settings=FAST)
    for what, times in sorted(Machine.happened.items()):
        print(f"{times:7} {what}")
