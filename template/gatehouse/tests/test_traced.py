"""How much of the core a request walks through: whoever reads the flow has so many files to open.

Counted are calls of functions of the core, in whatever thread, as `sys.setprofile` sees them (to go
on after an `await` is a call too). A return is a step to a file that was entered before.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from fastapi.testclient import TestClient
from steps import PASSWORD, log_in

import gatehouse
from gatehouse import Caller
from gatehouse.testing import CreateUser, Factory, SignIn

pytestmark = pytest.mark.thorough

SOURCE = f"{Path(gatehouse.__file__).parent}/"


class Trace(list[str]):
    """The core's files in the order in which they were entered, one after the other."""

    def __init__(self) -> None:
        self.on = False

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if self.on and event == "call" and path.startswith(SOURCE):
            self.append(path.removeprefix(SOURCE))

    @property
    def steps(self) -> list[str]:
        return [*self[:1], *(after for before, after in pairwise(self) if after != before)]

    @property
    def returns(self) -> int:
        return len(self.steps) - len(set(self.steps))

    def __repr__(self) -> str:
        """What a test that fails shows."""
        return f"{len(set(self))} files, {self.returns} returns:\n" + "\n".join(self.steps)


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Follows what the threads do that are started from here on."""
    followed = Trace()
    before = threading.getprofile()
    threading.setprofile(followed.profile)
    yield followed
    threading.setprofile(before)


@pytest.fixture
def served(
    create_app: Factory, auth_key: str, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """An application of its own, whose threads are all followed."""
    monkeypatch.setenv("AUTH_REVOCATION_SECONDS", "60")  # the list is read once, before the trace
    application = create_app()

    @application.get("/traced")
    async def traced(caller: Caller) -> str:
        return str(caller.user_id)

    with TestClient(application) as client:
        yield client


@contextmanager
def followed(trace: Trace, act: Callable[[], None]) -> Iterator[Trace]:
    """The second time: at the first one something is built that stays."""
    act()
    trace.clear()
    trace.on = True
    act()
    trace.on = False
    yield trace


def test_a_login_walks_through_few_files(
    served: TestClient, create_user: CreateUser, trace: Trace
) -> None:
    create_user("traced@example.com", PASSWORD)

    def act() -> None:
        assert log_in(served, "traced@example.com").status_code == 200

    with followed(trace, act):
        assert "hashing/passwords.py" in trace
        assert len(set(trace)) <= 20, trace
        assert trace.returns <= 40, trace


def test_a_guarded_call_walks_through_few_files(
    served: TestClient, sign_in: SignIn, trace: Trace
) -> None:
    headers = {"Authorization": sign_in().headers["Authorization"]}

    def call() -> None:
        # A busy machine reads the list of what has ended for longer than a request waits for it.
        answers = (served.get("/traced", headers=headers).status_code for _ in range(30))
        assert next(status for status in answers if status != 503) == 200

    with followed(trace, call):
        assert "web/guards.py" in trace
        assert len(set(trace)) <= 7, trace
