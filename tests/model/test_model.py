"""Accounts through HTTP, as a state machine: any order of verbs, time, crashes and a slow mail.

The fast set runs the same histories each time. `nox -s model` runs new ones, for as long as asked,
on both databases; it prints the line that makes a failure come again.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import Machine
from starlette.testclient import TestClient
from world import World

from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))


@pytest.mark.usefixtures("auth_key")
def test_no_history_of_accounts_breaks_a_promise(
    core: Gatehouse, client: TestClient, create_user: CreateUser
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Machine(lambda: World(core, client), create_user),
        settings=settings(
            max_examples=EXAMPLES or 20,
            stateful_step_count=50,
            derandomize=not EXAMPLES,
            print_blob=bool(EXAMPLES),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
