"""One account, what its owner, a thief and an administrator do with it, and what they were given.

The acts are in `acts.py`. The world keeps, of each thing that was handed out,
when the act that made it began, and of each act that makes older things void, when it was over.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text
from starlette.testclient import TestClient

from gatehouse import User
from gatehouse.mailer.sender import Mailer
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser, SignIn

BOB = "bob@example.com"
MOVED = "bob@example.org"
ROOT = "root@example.com"
OLD, WRONG = "correct horse battery staple", "not the password at all"
CHANGED, RESET = "quiet herons at dawn", "a reset of the way home"
REGISTERED, CREATED = "seven kites at noon", "a gate made by hand"
PASSWORDS = (OLD, CHANGED, RESET, REGISTERED, CREATED)
TOKEN = re.compile(r"#token=([\w-]+)")
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def somebody_waits(core: Gatehouse) -> bool:
    """Whether a connection to this PostgreSQL database waits for what another one holds."""
    with core.database.engine.connect() as connection:
        return bool(connection.execute(WAITING).scalar())


@dataclass
class Given:
    """Something that was handed out: `access`, `refresh`, or the path that a link is shown to."""

    kind: str
    value: str
    session: str  # a name of ours; for a link its template
    begun: int  # when the act began that made it
    over: int  # when it was in hand


@dataclass
class Voided:
    """From this moment on nothing older works: of one session, or of all but one."""

    by: str
    since: int  # when the act began
    at: int  # when it was over
    session: str = ""
    excepted: str = ""


@dataclass
class Done:
    """One act, and what it must have left: an event, and a notice to an address."""

    verb: str
    begun: int
    answer: int
    worked: bool
    event: str = ""
    notice: tuple[str, str] | None = None
    used: str = ""  # the token or link that it was allowed by
    decided: int = 0  # its last transaction came after this moment


@dataclass
class Sent:
    to: str
    template: str
    text: str
    at: int


@dataclass
class World:
    app: FastAPI
    core: Gatehouse
    client: TestClient
    create_user: CreateUser
    sign_in: SignIn
    command: Callable[..., int]
    outgoing: list["Sent"] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    voided: list[Voided] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    failures: int = 0  # counted before the pair began
    clock: int = 0
    bob: Any = None
    root: TestClient | None = None
    links: dict[str, str] = field(default_factory=dict)
    retired: Given | None = None  # a refresh token whose successor has been used

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def post(self, path: str, json: Any = None, **more: Any) -> Any:
        return self.client.post(path, json=json, **more)

    def row(self) -> User | None:
        with self.core.database.read() as session:
            return session.get(User, self.bob) if self.bob else None

    def keep_tokens(self, answer: Any, session: str, begun: int) -> None:
        if answer.status_code == 200:
            body = answer.json()
            now = self.tick()
            self.given.append(Given("access", body["access_token"], session, begun, now))
            self.given.append(Given("refresh", body["refresh_token"], session, begun, now))

    def token(self, session: str, kind: str = "access") -> str:
        mine = (one.value for one in self.given if (one.session, one.kind) == (session, kind))
        return next(mine, "none")

    def as_bob(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token('first')}"}

    def mail(self) -> None:
        """Do what is due; remember each link with the moment of its mailing."""
        before = len(self.outgoing)
        self.core.outbox.do_due()
        for mail in self.outgoing[before:]:
            found = TOKEN.search(mail.text)
            if not found:
                continue
            path = "reset-password" if mail.template == "reset_password" else "verify-email"
            name = "registration" if "purpose=registration" in mail.text else mail.template
            moment = mail.at
            if name == "confirm_new_address":  # it acts for who asked; the others ask anew
                asked = (one for one in self.done if one.verb == "change_email" and one.worked)
                moment = max((one.begun for one in asked), default=0)
            self.given.append(Given(path, found[1], name, moment, mail.at))
            self.links[mail.template] = found[1]


def watch_mail(world: World, patch: Any) -> None:
    """Mail goes nowhere but into the world's list: address, template, text."""

    def send(self: Mailer, to: str, template: str, values: dict[str, str]) -> None:
        world.outgoing.append(Sent(to, template, " ".join(values.values()), world.tick()))

    patch.setattr(Mailer, "send", send)


def log_in_as(world: World, password: str, name: str) -> Any:
    begun = world.tick()
    form = {"grant_type": "password", "username": BOB, "password": password}
    answer = world.client.post("/auth/token", data=form)
    world.keep_tokens(answer, name, begun)
    return answer


def an_account(world: World) -> None:
    """Bob has proved his address and is logged in twice; he asked for each kind of link."""
    world.create_user(ROOT, role="admin")
    world.bob = world.create_user(BOB, OLD).id
    for name in ("first", "second"):
        assert log_in_as(world, OLD, name).status_code == 200
    world.post("/auth/forgot-password", {"email": BOB})
    change = {"new_email": MOVED, "current_password": OLD}
    assert world.post("/auth/change-email", change, headers=world.as_bob()).status_code == 202
    world.mail()
    world.root = world.sign_in("admin", email="second-root@example.com")


def an_unproved_account(world: World) -> None:
    """Somebody registered with an older release and never confirmed; a registration is pending."""
    world.create_user(ROOT, role="admin")
    world.bob = world.create_user(BOB, OLD, verified=False).id
    world.post("/auth/forgot-password", {"email": BOB})
    world.post("/auth/verify-email/resend", {"email": BOB})
    world.mail()
    world.post("/auth/register", {"email": BOB, "password": REGISTERED})
    world.mail()
    world.root = world.sign_in("admin", email="second-root@example.com")


def no_account(world: World) -> None:
    """Two have registered the address, from one network; neither has confirmed."""
    world.create_user(ROOT, role="admin")
    for password in (OLD, REGISTERED):
        world.post("/auth/register", {"email": BOB, "password": password})
        world.mail()
    world.root = world.sign_in("admin", email="second-root@example.com")
