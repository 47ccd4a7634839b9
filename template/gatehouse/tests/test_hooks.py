"""What a service may add of its own, as an owner's file would: through `install`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from sqlmodel import Session, select
from starlette.testclient import TestClient
from steps import (
    BOB,
    PASSWORD,
    bearer,
    confirm,
    core_of,
    forgot,
    log_in,
    logged_in,
    refresh,
    token_in,
    tokens_of,
)

from gatehouse import Caller, Hooks, Settings, User, install, public, throttled
from gatehouse.mailer.sender import Mailer
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.testing import CreateUser

# `app` for what it does afterwards: it leaves the database empty, whichever application wrote.
pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("app")]

ROLES = {"user": {"notes:read"}, "admin": {"notes:read"}}
SCOPES = {"notes:read": "Read."}


class Owner(Hooks):
    """Hooks that write down what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.mails: list[EmailMessage] = []

    def extra_claims(self, session: Session, user: User) -> Mapping[str, Any]:
        return {"tenant": "blue"}

    def on_registered(self, session: Session, user: User) -> None:
        self.told.append(("registered", user.email))

    def on_login(self, session: Session, user: User) -> None:
        self.told.append(("login", user.email))

    def on_deleted(self, session: Session, user: User) -> None:
        self.told.append(("deleted", user.email))

    def is_breached(self, password: str) -> bool:
        return "herons" in password

    def send_mail(self, message: EmailMessage) -> None:
        self.mails.append(message)


@contextmanager
def served(hooks: Hooks, *routes: Callable[[FastAPI], None]) -> Iterator[TestClient]:
    """An application with these hooks, on the test's database."""
    app = FastAPI()

    @app.get("/tenant")
    async def read_tenant(caller: Caller) -> Any:
        return dict(caller.extra)

    for add in routes:
        add(app)
    install(app, name="sample", settings=Settings(), roles=ROLES, scopes=SCOPES, hooks=hooks)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_claims_of_ones_own_are_in_every_new_token(auth_key: str, create_user: CreateUser) -> None:
    create_user(BOB)
    with served(Owner()) as client:
        answer = log_in(client)
        assert client.get("/tenant", headers=bearer(tokens_of(answer))).json() == {"tenant": "blue"}
        again = refresh(client, answer.json()["refresh_token"])
        assert client.get("/tenant", headers=bearer(tokens_of(again))).json() == {"tenant": "blue"}


@pytest.mark.parametrize("claim", ["sub", "scope", "exp", "sid", "aud", "nbf", "act"])
def test_a_claim_of_ours_cannot_be_set(auth_key: str, create_user: CreateUser, claim: str) -> None:
    create_user(BOB)
    hooks = Owner()
    hooks.extra_claims = lambda *_: {claim: "mine"}  # type: ignore[method-assign]
    with served(hooks) as client:
        assert log_in(client).status_code == 500


def test_a_service_is_told_of_each_step_of_an_account(
    auth_key: str, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = Owner()
    monkeypatch.setattr(Mailer, "_deliver", lambda self, message: self._send(message))
    with served(hooks) as client:
        answer = client.post("/auth/register", json={"email": BOB, "password": PASSWORD})
        assert answer.status_code == 202
        core_of(client).outbox.do_due()
        (mail,) = hooks.mails
        assert mail["To"] == BOB
        assert confirm(client, token_in(mail)) == 204
        mine = logged_in(client)
        gone = {"current_password": PASSWORD}
        assert client.request("DELETE", "/users/me", json=gone, headers=mine).status_code == 204
    assert hooks.told == [("registered", BOB), ("login", BOB), ("deleted", BOB)]


def test_what_a_hook_raises_undoes_the_login(
    auth_key: str, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB)

    class Refusing(Hooks):
        def on_login(self, session: Session, user: User) -> None:
            raise HTTPException(403, "Not today.")

    with served(Refusing()) as client:
        assert log_in(client).status_code == 403
    with core.database.read() as session:
        from gatehouse.store.tables import LoginSession

        assert session.exec(select(LoginSession)).all() == []


@pytest.mark.asvs("6.2.12")
def test_a_breached_password_is_refused_and_a_check_that_fails_keeps_nobody_out(
    auth_key: str, core: Gatehouse
) -> None:
    hooks = Owner()
    new = {"email": BOB, "password": "seven quiet herons at dawn"}
    with served(hooks) as client:
        answer = client.post("/auth/register", json=new)
        assert answer.status_code == 422
        assert "breach" in answer.json()["errors"][0]["msg"]

        def fail(_: str) -> bool:
            raise TimeoutError

        hooks.is_breached = fail  # type: ignore[method-assign, assignment]
        assert client.post("/auth/register", json=new).status_code == 202


def test_a_route_of_ones_own_can_be_limited(auth_key: str, core: Gatehouse) -> None:
    def add(app: FastAPI) -> None:
        for path in ("/slow", "/other"):

            @app.get(path, dependencies=[throttled(3, seconds=60)], operation_id=path[1:])
            @public
            async def read() -> str:
                return "read"

    with served(Hooks(), add) as client:
        assert [client.get("/slow").status_code for _ in range(5)] == [200] * 3 + [429] * 2
        refused = client.get("/slow")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert client.get("/other").status_code == 200
        elsewhere = TestClient(client.app, client=("203.0.113.9", 1))
        elsewhere.portal = client.portal
        assert elsewhere.get("/slow").status_code == 200


def test_a_limit_is_no_guard(auth_key: str) -> None:
    app = FastAPI()

    @app.get("/slow", dependencies=[throttled(3, seconds=60)])
    async def read() -> str:
        return "read"

    install(app, name="sample", settings=Settings(), roles=ROLES, scopes=SCOPES)
    with pytest.raises(RuntimeError, match="neither guarded nor public"), TestClient(app):
        pass


def test_registration_that_is_closed_is_not_there(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_REGISTRATION", "closed")
    with served(Hooks()) as client:
        new = {"email": BOB, "password": PASSWORD}
        assert client.post("/auth/register", json=new).status_code == 404
        assert "/auth/register" not in client.get("/openapi.json").json()["paths"]
        assert forgot(client) == 202


def test_registration_is_closed_where_no_mail_can_be_sent(
    auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMTP_URL")
    new = {"email": BOB, "password": PASSWORD}
    with served(Hooks()) as client:
        assert client.post("/auth/register", json=new).status_code == 404
    monkeypatch.setenv("AUTH_REGISTRATION", "open")
    with served(Hooks()) as client:
        assert client.post("/auth/register", json=new).status_code == 202


def test_administration_is_not_there_without_its_scopes(auth_key: str) -> None:
    with served(Hooks()) as client:
        assert client.get("/users").status_code == 404


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SMTP_URL", "mail.example.com"),
        ("SMTP_URL", "http://mail.example.com"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://host:99999"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@example.com\nBcc: b@example.com"),
        ("AUTH_REGISTRATION", "yes"),
        ("AUTH_THROTTLE_STORAGE", "memcached://127.0.0.1"),
        ("AUTH_THROTTLE_STORAGE", "redis"),
        ("ACCOUNT_PAGES_URL", "app.example.com"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    auth_key: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StartRefused, match=f"^{variable} is refused"):
        Settings()
