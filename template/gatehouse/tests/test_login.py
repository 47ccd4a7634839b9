"""The token endpoint: one way in, one refusal, the same work for both."""

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import argon2
import pytest
import time_machine
from fastapi import FastAPI
from joserfc import jwt as other_jwt
from joserfc.jwk import OctKey
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import event
from starlette.testclient import TestClient
from steps import BOB, PASSWORD, comparable, log_in, rows_of, with_token

from gatehouse.hashing import passwords
from gatehouse.state import Gatehouse
from gatehouse.store.tables import LoginSession, User
from gatehouse.testing import CreateUser

WRONG = "incorrect horse battery staple"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stored hash of every Argon2 verification, as they happen."""
    seen: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, stored: str, password: str) -> bool:
        # A malformed hash is not computed with: only what costs work counts.
        try:
            found = verify(self, stored, password)
        except argon2.exceptions.VerifyMismatchError:
            seen.append(stored)
            raise
        seen.append(stored)
        return found

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return seen


@pytest.mark.asvs("10.1.1")
def test_a_login_answers_as_oauth_says(client: TestClient, create_user: CreateUser) -> None:
    create_user(BOB)
    answer = log_in(client)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 1800


@pytest.mark.asvs("9.2.4", "10.4.11")
def test_another_library_verifies_the_token_with_the_key_of_the_environment(
    client: TestClient, core: Gatehouse, create_user: CreateUser, auth_key: str
) -> None:
    user = create_user(BOB)
    with time_machine.travel(time.time(), tick=False):  # one second for `auth_time` and `iat`
        token = log_in(client).json()["access_token"]
    key = OctKey.import_key({"kty": "oct", "k": auth_key})
    found = other_jwt.decode(token, key, algorithms=["HS256"])
    assert found.header["typ"] == "at+jwt"
    assert found.header["kid"] == core.tokens.expected.ring.signing.kid
    claims = found.claims
    assert claims["iss"] == claims["aud"] == "http://127.0.0.1:8000"
    assert claims["sub"] == str(user.id)
    assert claims["client_id"] == core.name
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["auth_time"] == claims["iat"]
    assert set(claims["scope"].split()) == core.roles["user"]
    (opened,) = rows_of(core, LoginSession)
    assert claims["sid"] == str(opened.id)
    # A reader of the token learns no address, name or role (ASVS 14.2.6).
    assert set(claims) == {
        *("iss", "aud", "sub", "client_id", "jti", "sid", "iat", "exp", "auth_time", "scope"),
        "urn:gatehouse:stamp",
    }


@pytest.mark.asvs("6.3.3")
def test_the_token_opens_a_guarded_route(client: TestClient, create_user: CreateUser) -> None:
    user = create_user(BOB)
    token = log_in(client).json()["access_token"]
    me = client.get("/users/me", headers=with_token(token))
    assert me.status_code == 200
    assert me.json() == {
        "id": str(user.id),
        "email": BOB,
        "email_verified": True,
        "role": "user",
        "scopes": me.json()["scopes"],
        "created_at": me.json()["created_at"],
    }
    assert me.json()["created_at"].endswith("Z")


@pytest.mark.parametrize(
    "spelling",
    [
        "BOB@example.com",
        "bob@EXAMPLE.com",
        " bob@example.com ",
        "ｂｏｂ@example.com",
        "Bob@Example.Com",
    ],
)
def test_an_account_has_one_address_in_every_spelling(
    client: TestClient, create_user: CreateUser, spelling: str
) -> None:
    create_user(BOB)
    assert log_in(client, spelling).status_code == 200


def test_every_failed_login_looks_the_same_and_costs_one_hash(
    client: TestClient, create_user: CreateUser, hashes: list[str]
) -> None:
    create_user(BOB)
    create_user("off@example.com", active=False)
    create_user("new@example.com", verified=False)
    answers = []
    for username, password in (
        (BOB, WRONG),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("off@example.com", PASSWORD),
        ("off@example.com", WRONG),
        ("new@example.com", PASSWORD),
        ("' OR '1'='1", PASSWORD),
        ("%@example.com", PASSWORD),
        ("bob@example.co_", PASSWORD),
        ("bob\0@example.com", PASSWORD),
    ):
        hashes.clear()
        answers.append(comparable(log_in(client, username, password)))
        assert len(hashes) == 1, username
    assert answers[0][0] == 400
    assert json.loads(answers[0][2])["error"] == "invalid_grant"
    assert all(answer == answers[0] for answer in answers)


def test_a_failed_login_asks_the_database_the_same_number_of_questions(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB)
    create_user("off@example.com", active=False)
    asked: list[str] = []
    event.listen(core.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    counts = []
    for username in (BOB, "nobody@example.com", "off@example.com"):
        asked.clear()
        log_in(client, username, WRONG)
        counts.append(len(asked))
    assert counts == [counts[0]] * 3


def test_a_malformed_stored_hash_is_a_failed_login(
    client: TestClient, core: Gatehouse, create_user: CreateUser, hashes: list[str]
) -> None:
    user = create_user(BOB)
    for stored in ("", "!", "$argon2id$v=19$m=65536", "$2b$12$short", "é"):
        with core.database.write() as session:
            session.get_one(User, user.id).password_hash = stored
        hashes.clear()
        assert log_in(client).status_code == 400
        assert len(hashes) == 1


@pytest.mark.parametrize("password", ["x" * 257, "x" * 10_000, "\ufdfa" * 20, "a\0b"])
def test_an_impossible_password_is_refused(
    client: TestClient, create_user: CreateUser, password: str
) -> None:
    create_user(BOB)
    answer = log_in(client, password=password)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


def test_a_password_that_is_too_long_costs_what_a_wrong_one_costs(
    client: TestClient, create_user: CreateUser, hashes: list[str]
) -> None:
    create_user(BOB)
    assert log_in(client, BOB, "x" * 257).status_code == 400
    assert len(hashes) == 1


def test_an_address_that_is_too_long_costs_what_an_unknown_one_costs(
    client: TestClient, hashes: list[str]
) -> None:
    assert log_in(client, "x" * 10_000).status_code == 400
    assert len(hashes) == 1


@pytest.mark.asvs("6.2.8", "6.2.9")
def test_the_whole_password_counts(client: TestClient, create_user: CreateUser) -> None:
    password = " " + "a1B-" * 63 + "xyz"  # 256 characters
    create_user(BOB, password)
    assert log_in(client, password=password).status_code == 200
    for wrong in (password[:-1], password[:-1] + "Z", password.strip(), password[:72]):
        assert log_in(client, password=wrong).status_code == 400
    assert log_in(client, password=password[:72] + "?" + password[73:]).status_code == 400


@pytest.mark.asvs("6.2.8")
def test_a_password_in_another_unicode_form_is_the_same(
    client: TestClient, create_user: CreateUser
) -> None:
    create_user(BOB, "Caf\u00e9 au lait, \ufb01ve times")
    assert log_in(client, BOB, "Cafe\u0301 au lait, five times").status_code == 200


@pytest.mark.asvs("6.2.10")
def test_a_password_is_good_however_old_it_is(client: TestClient, create_user: CreateUser) -> None:
    create_user(BOB)
    with time_machine.travel(time.time() + 5 * 365 * 86_400, tick=False):
        assert log_in(client).status_code == 200


def test_a_weaker_hash_is_replaced_at_login_and_a_stronger_one_kept(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = create_user(BOB)

    def stored_after_login(stored: str) -> str:
        with core.database.write() as session:
            session.get_one(User, user.id).password_hash = stored
        assert log_in(client).status_code == 200
        with core.database.read() as session:
            return session.get_one(User, user.id).password_hash

    live = passwords.argon2_hasher()
    stronger = Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    imported = BcryptHasher(rounds=4).hash(PASSWORD)
    assert stored_after_login(stronger) == stronger
    replaced = stored_after_login(imported)
    assert replaced.startswith("$argon2id$")
    assert live.verify(PASSWORD, replaced)


def test_an_account_disabled_while_its_password_is_checked_gets_no_session(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = create_user(BOB)
    verify = core.passwords.verify

    async def slow(*arguments: Any, **more: Any) -> Any:
        found = await verify(*arguments, **more)
        with core.database.write() as session:
            session.get_one(User, user.id).is_active = False
        return found

    monkeypatch.setattr(core.passwords, "verify", slow)
    assert log_in(client).json()["error"] == "invalid_grant"
    assert rows_of(core, LoginSession) == []


def test_no_connection_is_held_while_a_password_is_hashed(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_user(BOB)
    held: list[int] = []
    verify = core.passwords.verify

    async def watched(*arguments: Any, **more: Any) -> Any:
        held.append(core.database.engine.pool.checkedout())  # type: ignore[attr-defined]
        return await verify(*arguments, **more)

    monkeypatch.setattr(core.passwords, "verify", watched)
    assert log_in(client).status_code == 200
    assert held == [0]


def test_a_full_hash_queue_is_answered_with_503(
    client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise passwords.HashQueueFull

    monkeypatch.setattr(core.passwords, "verify", full)
    answer = log_in(client)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.asvs("7.2.2", "7.2.4")
def test_a_login_makes_a_new_session_whatever_the_client_brings(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB)
    first = log_in(client).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {first}"
    client.headers["User-Agent"] = "agent\x07" + "x" * 1000
    assert log_in(client).status_code == 200
    rows = rows_of(core, LoginSession)
    assert len({row.id for row in rows}) == 2
    assert max(len(row.user_agent) for row in rows) == 256
    assert all(row.user_agent.isprintable() for row in rows)


# --- scope


@pytest.fixture
def role(core: Gatehouse) -> str:
    """The role with the most scopes."""
    found = max(core.roles, key=lambda name: len(core.roles[name]))
    if not core.roles[found]:
        pytest.skip("no role of this service has a scope")
    return found


@pytest.mark.asvs("10.4.11")
def test_a_scope_narrows_what_the_token_may_do(
    client: TestClient, core: Gatehouse, create_user: CreateUser, role: str
) -> None:
    create_user(BOB, role=role)
    one = sorted(core.roles[role])[0]
    assert log_in(client, scope=one).json()["scope"] == one


@pytest.mark.asvs("10.4.11")
def test_a_scope_never_widens_the_role(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    for name, own in core.roles.items():
        create_user(f"{name}@example.com", role=name)
        if not own:
            continue
        answer = log_in(client, f"{name}@example.com", scope=" ".join(core.scopes))
        assert set(answer.json()["scope"].split()) == own
        if beyond := sorted(core.scopes.keys() - own):
            answer = log_in(client, f"{name}@example.com", scope=" ".join(beyond))
            assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("scope", ["nonsense", "notes:read  notes:write", " ", "a\nb", "\0"])
def test_a_scope_that_does_not_exist_is_refused(
    client: TestClient, create_user: CreateUser, scope: str
) -> None:
    create_user(BOB)
    answer = log_in(client, scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


# --- the form

Post = Callable[..., Any]


@pytest.fixture
def post(client: TestClient, create_user: CreateUser) -> Post:
    create_user(BOB)

    def send(body: str | bytes, media_type: str = "application/x-www-form-urlencoded") -> Any:
        return client.post("/auth/token", content=body, headers={"Content-Type": media_type})

    return send


GOOD = "grant_type=password&username=bob%40example.com&password=correct+horse+battery+staple"


def test_the_form_used_below_is_a_good_one(post: Post) -> None:
    assert post(GOOD).status_code == 200
    assert post(GOOD, "Application/X-WWW-Form-Urlencoded; Charset=UTF-8").status_code == 200
    assert post(GOOD + "&client_id=x&client_secret=y&state=&empty=").status_code == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "invalid_request"),
        (GOOD.replace("grant_type=password", "grant_type="), "invalid_request"),
        # Of two mistakes the one that was always named first.
        ("scope=x", "invalid_request"),
        ("grant_type=x&scope=x", "invalid_scope"),
        ("grant_type=password&scope=x", "invalid_scope"),
        (GOOD.replace("grant_type=password&", ""), "invalid_request"),
        (GOOD.replace("grant_type=password", "grant_type=Password"), "unsupported_grant_type"),
        (GOOD.replace("grant_type=password", "grant_type=password+"), "unsupported_grant_type"),
        (GOOD.replace("grant_type=password", "grant_type=password%0A"), "unsupported_grant_type"),
        (GOOD.replace("=password", "=client_credentials", 1), "unsupported_grant_type"),
        (GOOD.replace("=password", "=authorization_code", 1), "unsupported_grant_type"),
        (GOOD.replace("username=bob%40example.com", "username="), "invalid_request"),
        (GOOD.replace("&password=correct", "&passwort=correct"), "invalid_request"),
        (GOOD + "&username=eve%40example.com", "invalid_request"),
        (GOOD + "&password=x", "invalid_request"),
        (GOOD + "&grant_type=password", "invalid_request"),
        (GOOD.replace("&", ";"), "unsupported_grant_type"),
        (GOOD + "&x=%ff", "invalid_request"),
        (GOOD + "&é=1", "invalid_request"),
        (GOOD + "".join(f"&f{n}=1" for n in range(1001)), "invalid_request"),
        ('{"grant_type": "password"}', "invalid_request"),
    ],
)
def test_a_form_that_is_not_right_is_refused(post: Post, body: str, error: str) -> None:
    answer = post(body.encode())
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded; charset=utf-16",
    ],
)
def test_another_media_type_is_415(post: Post, media_type: str) -> None:
    answer = post(GOOD, media_type)
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke"])
def test_no_body_lacks_a_parameter_not_a_media_type(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert client.post(path, content="x=y").status_code == 415


def test_credentials_in_the_query_are_not_taken(client: TestClient, post: Post) -> None:
    answer = client.post(f"/auth/token?{GOOD}")
    assert answer.status_code == 400
    form, rest = GOOD.rsplit("&", 1)
    half = client.post(
        f"/auth/token?{rest}",
        content=form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (half.status_code, half.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_post_is_taken(client: TestClient, method: str) -> None:
    answer = client.request(method, "/auth/token")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/auth/token/", "/auth//token", "/Auth/token", "/auth/token/x"])
def test_another_path_is_404_and_never_a_redirect(client: TestClient, path: str) -> None:
    answer = client.post(path, content=GOOD, headers={"Host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_locked_database_is_answered_with_503(
    app: FastAPI, client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    """SQLite only: another process holds the write lock for longer than we wait."""
    if core.database.engine.dialect.name != "sqlite":
        pytest.skip("needs SQLite: PostgreSQL has no lock on the whole database")
    create_user(BOB)
    engine = core.database.engine

    def impatient(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 1")

    engine.dispose()
    event.listen(engine, "connect", impatient)
    path = engine.url.database
    assert path
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        answer = log_in(client)
    finally:
        other.close()
        event.remove(engine, "connect", impatient)
        engine.dispose()
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert log_in(client).status_code == 200
