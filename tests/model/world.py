"""The service and what is around it: two networks, a mail server, the clock, and crashes."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine
from fastapi import FastAPI
from gatehouse.accounts import users
from gatehouse.accounts.cleaning import Timer
from gatehouse.cli import commands
from gatehouse.hashing import passwords
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.store.database import CommittedRefusal
from gatehouse.testing import empty
from httpx2 import Response
from sample_app import create_app
from sqlmodel import Session
from starlette.testclient import TestClient

from model.expected import MOST_FAILURES

HOME, AWAY = "198.51.100.1", "203.0.113.7"
NETWORKS = (HOME, AWAY)
TOKEN = re.compile(r"#token=([\w-]+)")

# What becomes of one mail.
SENT, PUT_OFF, DIES_BEFORE, DIES_AFTER = "sent", "put off", "dies before", "dies after"
FATES = (SENT, PUT_OFF, DIES_BEFORE, DIES_AFTER)

# Called with each mail that is about to be sent: whom to, its name, the token of its link.
Watcher = Callable[[str, str, str | None], None]


class ProcessDied(BaseException):
    """Nobody's `except Exception` notices it, as nobody notices a lost machine."""


@cache
def other_process() -> FastAPI:
    """The application that commands load: it shares the database with the one that serves."""
    return create_app()


class World:
    """One process of the service on an empty database."""

    def __init__(self, core: Gatehouse, client: TestClient) -> None:
        empty(core)
        self.core = core
        # From the present on, as PostgreSQL has its own clock; by itself it stands still.
        self._travel = time_machine.travel(float(int(time.time())), tick=False)
        self._traveller = self._travel.start()
        self.began = self.now
        self._patch = patch = pytest.MonkeyPatch()
        self._client = client
        self._numbers = count(1)
        self.restart()
        self.arrived = Counter[tuple[str, str]]()
        self.put_off_at = float("-inf")
        self._fates: list[str] = []
        self._seen: Watcher = lambda *_: None
        send = Mailer.send

        def meet_fate(mailer: Mailer, to: str, name: str, values: Mapping[str, str]) -> None:
            found = TOKEN.search(values.get("link", ""))
            self._seen(to, name, found[1] if found else None)
            fate = self._fates.pop(0) if self._fates else SENT
            if fate == PUT_OFF:
                self.put_off_at = self.now
                raise MailNotSent("450")
            if fate == DIES_BEFORE:
                raise ProcessDied
            send(mailer, to, name, values)
            if fate == DIES_AFTER:
                raise ProcessDied
            self.arrived[to, name] += 1  # after a death it comes again, and is counted then

        patch.setattr(Mailer, "send", meet_fate)
        patch.setattr(users, "MOST_FAILURES", MOST_FAILURES)
        patch.setattr(Timer, "is_due", lambda _: False)  # by the real clock; a rule cleans instead

    def close(self) -> None:
        self._patch.undo()
        self._travel.stop()

    @property
    def now(self) -> float:
        return time.time()

    def wait(self, seconds: float) -> None:
        self._traveller.shift(seconds)

    def name(self, what: str) -> str:
        """A name that is new."""
        return f"{what}-{next(self._numbers)}"

    def call(
        self,
        method: str,
        path: str,
        *,
        network: str = HOME,
        token: str | None = None,
        cut: bool = False,
        **content: Any,
    ) -> Response:
        """A request, a second after the one before. `cut`: the process dies at its first commit."""
        self.wait(1)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= content.pop("headers", {})
        with self._dying() if cut else _going_on():
            return _from(self._client, network).request(method, path, headers=headers, **content)

    @contextmanager
    def _dying(self) -> Iterator[None]:
        database, write = self.core.database, self.core.database.write

        @contextmanager
        def die() -> Iterator[Session]:
            with suppress(CommittedRefusal), write() as session:
                try:
                    yield session
                finally:
                    session.info.clear()  # nobody hears of it
            raise RuntimeError("the process dies between a commit and all that follows it")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "write", die)
            yield
        self.restart()

    def restart(self) -> None:
        """Another process goes on, with what lies in the database alone."""
        self.core.revocation.forget()
        self.look()

    def look(self) -> None:
        """Read the list of what has ended, as after its interval.

        At once and to its end: a request waits a second for that and then is refused (503), which
        a busy machine would make of it here.
        """
        self.core.revocation.read()
        self.core.revocation._read_at = time.monotonic()

    def mail(self, seen: Watcher, fates: list[str]) -> None:
        """Do what is left to be done, by a process that may die in the middle."""
        self.wait(1)
        self._seen, self._fates = seen, list(fates)
        try:
            self.core.outbox.do_due()
        except ProcessDied:
            self.restart()

    def command(self, *arguments: str) -> int:
        """Run a command, in a process of its own as far as the service can tell."""
        self.wait(1)
        said = StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                commands.run("model.world:other_process", migrations=None, arguments=arguments)
        except StartRefused:
            return 1
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            self.look()
        raise AssertionError("a command always ends with an exit code")

    def account_file(self, email: str, password: str, verified: bool) -> str:
        """The name of a file with one account, as `user import` reads it."""
        made = passwords.argon2_hasher().hash(password)
        row = {"email": email, "password_hash": made, "role": "user", "email_verified": verified}
        Path("accounts.jsonl").write_text(json.dumps(row) + "\n")
        return "accounts.jsonl"


def _from(client: TestClient, network: str) -> TestClient:
    own = TestClient(client.app, raise_server_exceptions=False, client=(network, 50_000))
    own.follow_redirects = False
    own.portal = client.portal  # the event loop that the application started in
    return own


@contextmanager
def _going_on() -> Iterator[None]:
    yield
