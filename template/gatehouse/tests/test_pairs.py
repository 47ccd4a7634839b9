"""Every pair of acts on one account, the second at each boundary of the first.

A boundary is the moment before a transaction of the first act begins, and, where it writes, the
moment before it commits. At each of them the second act is done whole; if it would wait for what
the first one holds, that is counted, and both go on. Then the invariants are looked at.

A part of the pairs is run by default; all with PAIRS=all in the environment.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Any

import pytest
from acts import PREPARED, VERBS, finish
from fastapi import FastAPI
from invariants import INVARIANTS, failures
from sqlmodel import Session
from starlette.testclient import TestClient
from world import (
    World,
    an_account,
    an_unproved_account,
    no_account,
    somebody_waits,
    watch_mail,
)

from gatehouse.state import Gatehouse
from gatehouse.store.database import DatabasePool
from gatehouse.testing import CreateUser, SignIn, empty

pytestmark = pytest.mark.thorough

ABOUT_NO_SESSION = (
    *("register", "confirm", "confirm_with_password", "resend", "log_in", "guess", "forgot"),
    *("mail_register", "mail_resend", "mail_forgot", "clean", "create", "import_"),
)
SCENES: dict[Callable[[World], None], tuple[str, ...]] = {
    an_account: tuple(name for name in VERBS if not name.startswith("confirm_with")),
    an_unproved_account: (*ABOUT_NO_SESSION, "reset", "disable", "enable", "promote", "end_all"),
    no_account: ABOUT_NO_SESSION,
}
PAIRS = [
    (scene, first, second)
    for scene, verbs in SCENES.items()
    for first in verbs
    for second in verbs
    if not (scene is an_account and "confirm" in (first, second))
]
ALWAYS = (  # the holes that proved this kind of test to be wanted
    ("log_in", "demote"),
    ("log_in", "reset"),
    ("log_in", "delete"),
    ("delete", "log_in"),
    ("change_email", "reset"),
    ("change_email", "revoke"),
    ("mail_change_email", "reset"),
    ("reset", "mail_change_email"),
    ("enable", "confirm_email"),
    ("confirm_email", "enable"),
    ("reset", "promote"),
)
PARTS = 16  # of which one is run by default, another one each day
FIRST: ContextVar[bool] = ContextVar("FIRST", default=False)
PATIENCE = 30  # seconds
ASKED_ANEW = ("reset_password", "verify_email", "registration")


class Gate:
    """Counts the boundaries of the first act, and lets the second one in at one of them."""

    def __init__(self, at: int, core: Gatehouse, second: Callable[[], None]) -> None:
        self.at, self.seen, self.passed, self.waited = at, 0, False, False
        self.writes = self.before = 0  # that the first act did; those before it let the second in
        self.wanting = 0  # transactions of the second act that would write and have not begun
        self._core, self._second = core, second
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._error: list[BaseException] = []

    def boundary(self, *, holds: bool = False) -> None:
        if self.passed or not FIRST.get():
            return
        self.seen += 1
        if self.seen <= self.at:
            return
        self.passed, self.before = True, self.writes
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._over.wait(0.002):
            if holds and self._waits():
                self.waited = True
                return
            assert time.monotonic() < deadline, "the second act waits for what nobody holds"

    def _waits(self) -> bool:
        """Whether the second act waits for what the first one holds."""
        if self._core.database.engine.dialect.name == "sqlite":
            return self.wanting > 0
        return somebody_waits(self._core)

    def _run(self) -> None:
        try:
            self._second()
        except BaseException as error:  # told by the test's own thread
            self._error.append(error)
        finally:
            self._over.set()

    def end(self) -> None:
        if self._thread:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive(), "the second act did not come to an end"
        if self._error:
            raise self._error[0]


@contextmanager
def watched(gate: Gate) -> Iterator[None]:
    """Every transaction of the first act passes the gate, and each commit of one that writes."""
    read, write = DatabasePool.read, DatabasePool.write

    @contextmanager
    def reading(self: DatabasePool) -> Iterator[Session]:
        gate.boundary()
        with read(self) as session:
            yield session

    @contextmanager
    def writing(self: DatabasePool) -> Iterator[Session]:
        gate.boundary()
        gate.wanting += not FIRST.get()
        with write(self) as session:
            session.connection()  # else it would begin, and wait, with its first statement
            gate.wanting -= not FIRST.get()
            yield session
            session.flush()
            gate.boundary(holds=True)
        gate.writes += FIRST.get()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabasePool, "read", reading)
        patch.setattr(DatabasePool, "write", writing)
        yield


def run_pair(world: World, scene: Callable[[World], None], names: tuple[str, str], at: int) -> Gate:
    """Do both. The gate says whether the first act has a boundary of that number."""
    scene(world)
    for name in names:
        if name in PREPARED:
            PREPARED[name](world)
    first, second = names
    begun = world.clock + 1
    world.failures = failures(world)
    gate = Gate(at, world.core, lambda: finish(world, VERBS[second](world, "by the second")))
    with watched(gate):
        mark = FIRST.set(True)
        try:
            done = VERBS[first](world, "by the first")
        finally:
            FIRST.reset(mark)
        gate.end()
    if gate.passed and not gate.waited and gate.before < gate.writes:
        done.decided = world.tick()
    if at == 0:  # it had not looked at anything when the second was done
        begun_anew(world, begun)
    finish(world, done)
    if gate.waited:  # then what it mailed may have been asked for after the first was done
        for one in world.given:
            one.begun = (
                world.tick() if one.session in ASKED_ANEW and one.over > begun else one.begun
            )
    if not gate.passed:
        finish(world, VERBS[second](world, "by the second"))
    world.mail()
    for holds in INVARIANTS:
        holds(world)
    return gate


def begun_anew(world: World, begun: int) -> None:
    now = world.tick()
    for one in world.given:
        if one.begun == begun:
            one.begun = now


def sample() -> list[Any]:
    if os.environ.get("PAIRS") == "all":
        return PAIRS
    part = date.today().toordinal() % PARTS
    chosen = [pair for number, pair in enumerate(PAIRS) if number % PARTS == part]
    always = [pair for pair in PAIRS if pair[0] is an_account and pair[1:] in ALWAYS]
    return chosen + [pair for pair in always if pair not in chosen]


def named(pair: Any) -> str:
    scene, first, second = pair
    return f"{scene.__name__}-{first}-{second}"


@pytest.mark.parametrize("pair", sample(), ids=named)
def test_what_must_hold_holds_at_every_boundary(
    pair: tuple[Callable[[World], None], str, str],
    app: FastAPI,
    core: Gatehouse,
    client: TestClient,
    create_user: CreateUser,
    sign_in: SignIn,
    run: Callable[..., int],
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, first, second = pair
    waited = 0
    for at in itertools.count():
        world = World(app, core, client, create_user, sign_in, run)
        watch_mail(world, monkeypatch)
        try:
            gate = run_pair(world, scene, (first, second), at)
        except AssertionError as error:
            raise AssertionError(f"at boundary {at}: {error}\n{world.done}") from error
        finally:
            empty(core)
        waited += gate.waited
        if not gate.passed:
            record_property("boundaries", at)
            record_property("waited", waited)
            return
