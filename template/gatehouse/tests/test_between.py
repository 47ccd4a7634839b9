"""What lies between two operations: what one began, the other makes void.

Each test stops one operation in its middle, does the other whole, and lets the first go on.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any
from uuid import UUID

import pytest
import time_machine
from fastapi import HTTPException
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import delete as delete_rows
from sqlalchemy import text
from sqlmodel import Session, col, select
from starlette.testclient import TestClient
from steps import (
    BOB,
    NEXT,
    PASSWORD,
    bearer,
    events,
    forgot,
    log_in,
    logged_in,
    rows_of,
    text_of,
    token_in,
    tokens_of,
)

from gatehouse import User, utc_now
from gatehouse.accounts import one_time, registration, users
from gatehouse.accounts.sessions import end_sessions
from gatehouse.accounts.stamps import raise_epoch
from gatehouse.hashing import passwords
from gatehouse.mailer.sender import Mailer, MailNotSent
from gatehouse.state import Gatehouse
from gatehouse.store.tables import AuditEvent, Job, LoginSession, PendingRegistration
from gatehouse.testing import CreateUser, Mails, SignIn
from gatehouse.throttling.origin import COMMAND
from gatehouse.throttling.throttle import LOGIN_PAIR

Run = Callable[..., int]


def links(mails: Mails) -> dict[str, str]:
    """The token in each mail, by its address."""
    found = {}
    for mail in mails():
        if "#token=" in text_of(mail):
            found[str(mail["To"])] = token_in(mail)
    return found


def reset(client: TestClient, mails: Mails, email: str = BOB, password: str = NEXT) -> None:
    forgot(client, email)
    new = {"token": links(mails)[email], "password": password}
    assert client.post("/auth/reset-password", json=new).status_code == 204


def during_hash(
    core: Gatehouse, monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any], name: str = "verify"
) -> None:
    """The next hash is slow: meanwhile `other` happens."""
    original = getattr(core.passwords, name)

    async def slow(*arguments: Any, **more: Any) -> Any:
        found = await original(*arguments, **more)
        monkeypatch.setattr(core.passwords, name, original)
        other()
        return found

    monkeypatch.setattr(core.passwords, name, slow)


@contextmanager
def locked(core: Gatehouse, email: str = BOB) -> Iterator[tuple[Any, users.LockedUser]]:
    """An account for an act of another's, whose own event and mail are none of the test's."""
    with core.database.write() as session:
        yield session, users.find_user(session, email)
        session.flush()
        session.execute(delete_rows(AuditEvent).where(col(AuditEvent.actor) == COMMAND.actor))
        session.execute(delete_rows(Job).where(col(Job.user_agent) == COMMAND.user_agent))


def change_role(core: Gatehouse, role: str, email: str = BOB) -> None:
    with locked(core, email) as (session, user):
        users.change_role(session, user, role, COMMAND)


def disable(core: Gatehouse) -> None:
    with locked(core) as (session, user):
        users.disable(session, user, COMMAND)


def enable(core: Gatehouse) -> None:
    with locked(core) as (session, user):
        users.enable(session, user, COMMAND)


def set_password(core: Gatehouse) -> None:
    with locked(core) as (session, user):
        users.set_password(session, user, "!", "password_reset", COMMAND)


def delete(core: Gatehouse) -> None:
    with locked(core) as (session, user):
        users.delete_user(session, user, core.hooks, COMMAND)


VOIDING = [set_password, disable, enable, delete, lambda core: change_role(core, "admin")]


def send_everyone_out(core: Gatehouse) -> None:
    with core.database.write() as session:
        raise_epoch(session)


@pytest.mark.asvs("7.4.2")
@pytest.mark.parametrize(
    "event", [*VOIDING, lambda core: change_role(core, "user"), send_everyone_out]
)
def test_a_login_under_way_gets_nothing_from_before_an_event(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
    event: Callable[[Gatehouse], None],
) -> None:
    create_user("root@example.com", role="admin")
    create_user(BOB, PASSWORD, role="admin")
    during_hash(core, monkeypatch, lambda: event(core))
    assert log_in(client).json()["error"] == "invalid_grant"
    assert len(events(core, "login_failed")) == 1
    assert rows_of(core, LoginSession) == []


@pytest.mark.asvs("7.5.1")
@pytest.mark.parametrize("event", VOIDING)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/change-password", {"new_password": NEXT}),
        ("POST", "/auth/change-email", {"new_email": "thief@example.com"}),
        ("DELETE", "/users/me", {}),
    ],
)
def test_a_change_under_way_has_no_effect_after_an_event(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
    event: Callable[[Gatehouse], None],
    method: str,
    path: str,
    body: dict[str, str],
) -> None:
    create_user(BOB, PASSWORD)
    mine = logged_in(client)
    during_hash(core, monkeypatch, lambda: event(core))
    body = {"current_password": PASSWORD, **body}
    assert client.request(method, path, json=body, headers=mine).status_code in (400, 401)
    assert mails() == []
    assert events(core, "password_changed") == events(core, "account_deleted") == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/change-password", {"new_password": NEXT}),
        ("POST", "/auth/change-email", {"new_email": "thief@example.com"}),
        ("DELETE", "/users/me", {}),
    ],
)
def test_a_change_by_a_session_that_is_ended_meanwhile_has_no_effect(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: dict[str, str],
) -> None:
    user = create_user(BOB, PASSWORD)
    mine = logged_in(client)

    def end() -> None:
        with core.database.write() as session:
            end_sessions(session, col(LoginSession.user_id) == user.id)

    during_hash(core, monkeypatch, end)
    body = {"current_password": PASSWORD, **body}
    assert client.request(method, path, json=body, headers=mine).status_code == 401
    assert log_in(client).status_code == 200


def test_a_token_whose_end_is_not_heard_of_yet_ends_no_session(
    client: TestClient, core: Gatehouse, create_user: CreateUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_user(BOB, PASSWORD)
    thief = logged_in(client)
    assert len(client.get("/auth/sessions", headers=thief).json()) == 1  # the list is read
    with monkeypatch.context() as patch:
        patch.setattr(core.database, "committed", lambda _: None)  # another process does it
        with locked(core) as (session, user):
            same = user.password_hash
            users.set_password(session, user, same, "password_reset", COMMAND)
    log_in(client)
    (mine,) = client.get("/auth/sessions", headers=thief).json()  # so its token still passes
    for path in ("/auth/sessions", f"/auth/sessions/{mine['id']}"):
        assert client.delete(path, headers=thief).status_code == 401
    assert [row.id for row in rows_of(core, LoginSession)] == [UUID(mine["id"])]


@pytest.mark.asvs("6.4.3")
def test_a_change_of_address_that_the_mail_server_put_off_is_void_after_a_reset(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_user(BOB, PASSWORD)
    thief = logged_in(client)
    send = Mailer.send

    def put_off(self: Mailer, to: str, *rest: Any) -> None:
        if to == "thief@example.com":
            raise MailNotSent("450")
        send(self, to, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", put_off)
        change = {"new_email": "thief@example.com", "current_password": PASSWORD}
        assert client.post("/auth/change-email", json=change, headers=thief).status_code == 202
        assert [mail["To"] for mail in mails()] == [BOB]  # the notice
        reset(client, mails)
    with time_machine.travel(utc_now() + timedelta(hours=2), tick=False):
        assert "thief@example.com" not in [mail["To"] for mail in mails()]
    assert rows_of(core, Job) == []


def test_a_change_of_address_that_the_mail_server_put_off_is_void_after_a_later_one(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_user(BOB, PASSWORD)
    mine = logged_in(client)
    send = Mailer.send

    def put_off(self: Mailer, to: str, *rest: Any) -> None:
        if to == "mistyped@example.com":
            raise MailNotSent("450")
        send(self, to, *rest)

    tokens: dict[str, str] = {}
    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", put_off)
        for email in ("mistyped@example.com", "new@example.com"):
            change = {"new_email": email, "current_password": PASSWORD}
            assert client.post("/auth/change-email", json=change, headers=mine).status_code == 202
            tokens |= links(mails)
    with time_machine.travel(utc_now() + timedelta(hours=2), tick=False):
        assert links(mails) == {}
        sent = {"token": tokens["new@example.com"]}
        assert client.post("/auth/verify-email", json=sent).status_code == 204


@pytest.mark.parametrize("path", ["/auth/forgot-password", "/auth/verify-email/resend"])
def test_a_link_that_the_mail_server_put_off_is_not_made_after_an_event(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    create_user(BOB, verified=False)

    def put_off(*_: object) -> None:
        raise MailNotSent("450")

    client.post(path, json={"email": BOB})
    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", put_off)
        assert mails() == []
    change_role(core, "admin")
    with time_machine.travel(utc_now() + timedelta(hours=2), tick=False):
        assert mails() == []
        client.post(path, json={"email": BOB})
        assert list(links(mails)) == [BOB]


@pytest.mark.asvs("6.4.3", "6.6.2")
@pytest.mark.parametrize("event", [*VOIDING[:3], VOIDING[4]])
@pytest.mark.parametrize("kind", ["change_email", "reset"])
def test_a_mailed_link_is_void_after_an_event(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    event: Callable[[Gatehouse], None],
    kind: str,
) -> None:
    create_user("root@example.com", role="admin")
    create_user(BOB, PASSWORD)
    mine = logged_in(client)
    if kind == "reset":
        forgot(client)
        path, more = "/auth/reset-password", {"password": NEXT}
    else:
        change = {"new_email": "new@example.com", "current_password": PASSWORD}
        client.post("/auth/change-email", json=change, headers=mine)
        path, more = "/auth/verify-email", {}
    (token,) = links(mails).values()
    event(core)
    enable(core)
    assert client.post(path, json={"token": token, **more}).status_code == 400


def test_what_an_earlier_release_left_for_an_address_that_is_refused_now_makes_none(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    unseen = "bo\ufe0fb@example.com"
    user = create_user(BOB)
    with locked(core) as (session, row):
        token = one_time.issue(session, "change_email", row, unseen)
        session.add(
            Job(
                kind="register",
                email=unseen,
                email_key=unseen,
                password_hash="!",
                ip="",
                user_agent="",
                request_id="",
            )
        )
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 400
    assert mails() == []
    with core.database.read() as session:
        assert session.get_one(User, user.id).email == BOB
        assert session.exec(select(PendingRegistration)).all() == []


@pytest.mark.asvs("6.4.3", "6.6.2")
@pytest.mark.parametrize("event", VOIDING)
def test_a_reset_under_way_has_no_effect_after_an_event(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
    event: Callable[[Gatehouse], None],
) -> None:
    create_user("root@example.com", role="admin")
    create_user(BOB, PASSWORD)
    forgot(client)
    new = {"token": links(mails)[BOB], "password": NEXT}
    during_hash(core, monkeypatch, lambda: event(core), "hash")
    assert client.post("/auth/reset-password", json=new).status_code == 400
    assert events(core, "password_reset") == []
    if event is not delete:
        enable(core)
    assert log_in(client, password=NEXT).status_code == 400


def test_a_notice_is_sent_to_the_address_of_its_moment_whatever_comes_after(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    create_user(BOB, PASSWORD)
    mine = logged_in(client)
    change = {"current_password": PASSWORD, "new_password": NEXT}
    assert client.post("/auth/change-password", json=change, headers=mine).status_code == 204
    gone = {"current_password": NEXT}
    assert client.request("DELETE", "/users/me", json=gone, headers=mine).status_code == 204
    assert [mail["To"] for mail in mails()] == [BOB]


@pytest.mark.asvs("7.2.4", "7.4.3")
def test_the_session_that_changes_the_password_goes_on_with_its_older_token(
    client: TestClient, create_user: CreateUser
) -> None:
    create_user(BOB, PASSWORD)
    mine, other = tokens_of(log_in(client)), tokens_of(log_in(client))
    change = {"current_password": PASSWORD, "new_password": NEXT}
    answer = client.post("/auth/change-password", json=change, headers=bearer(mine))
    assert answer.status_code == 204
    assert client.get("/auth/sessions", headers=bearer(mine)).status_code == 200
    assert client.get("/auth/sessions", headers=bearer(other)).status_code == 401
    form = {"grant_type": "refresh_token"}
    again = client.post("/auth/token", data={**form, "refresh_token": mine["refresh_token"]})
    assert client.get("/users/me", headers=bearer(tokens_of(again))).status_code == 200
    gone = client.post("/auth/token", data={**form, "refresh_token": other["refresh_token"]})
    assert gone.status_code == 400


def test_a_better_hash_never_takes_the_place_of_a_new_password(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_user(BOB)
    weaker = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1, hash_len=16)
    with locked(core) as (session, user):
        user.password_hash = weaker.hash(PASSWORD)
        session.add(user)

    def change() -> None:
        with locked(core) as (session, user):
            new = passwords.argon2_hasher().hash(NEXT)
            users.set_password(session, user, new, "password_reset", COMMAND)

    during_hash(core, monkeypatch, change)
    assert log_in(client).status_code == 400
    assert log_in(client).status_code == 400
    assert log_in(client, password=NEXT).status_code == 200


def test_a_login_right_after_an_event_works(
    client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user(BOB, PASSWORD)
    with time_machine.travel(utc_now(), tick=False):
        reset(client, mails)
        mine = logged_in(client, password=NEXT)
        assert client.get("/auth/sessions", headers=mine).status_code == 200


# --- one proof of a password


ODD = ["x" * 257, "\ud800", "\ufdfa" * 200]


@pytest.mark.asvs("6.3.1")
@pytest.mark.parametrize("password", ["wrong", *ODD])
def test_each_guess_is_counted_once_by_the_throttle_and_on_the_account(
    client: TestClient, core: Gatehouse, create_user: CreateUser, password: str
) -> None:
    user = create_user(BOB, PASSWORD)
    mine = logged_in(client)
    # Written out, since a lone surrogate can stand in JSON as an escape alone.
    change = json.dumps({"current_password": password, "new_password": NEXT}).encode()
    mine["Content-Type"] = "application/json"
    statuses = [
        client.post("/auth/change-password", content=change, headers=mine).status_code
        for _ in range(LOGIN_PAIR.amount + 5)
    ]
    assert statuses == [400] * LOGIN_PAIR.amount + [429] * 5
    with core.database.read() as session:
        assert session.get_one(User, user.id).failed_logins == LOGIN_PAIR.amount
    assert len(events(core, "login_failed")) == LOGIN_PAIR.amount


@pytest.mark.asvs("6.3.1", "6.3.4", "7.5.1")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/change-password", {"new_password": NEXT}),
        ("POST", "/auth/change-email", {"new_email": "new@example.com"}),
        ("DELETE", "/users/me", {}),
    ],
)
def test_beyond_a_hundred_failures_a_right_password_is_no_good_at_any_endpoint(
    core: Gatehouse, sign_in: SignIn, method: str, path: str, body: dict[str, str]
) -> None:
    me = sign_in(email=BOB)
    with locked(core) as (session, user):
        user.failed_logins = users.MOST_FAILURES
        user.password_hash = passwords.argon2_hasher().hash(PASSWORD)
        session.add(user)
    answers = [
        me.request(method, path, json={"current_password": password, **body})
        for password in ("wrong one, entirely", PASSWORD)
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].content == answers[1].content


@pytest.mark.asvs("6.3.4")
def test_a_right_password_with_a_scope_beyond_the_role_counts_like_a_wrong_one(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    user = create_user(BOB, PASSWORD)
    right = log_in(client, scope="users:read")
    wrong = log_in(client, password="wrong", scope="users:read")
    assert (right.status_code, right.content) == (wrong.status_code, wrong.content)
    assert right.json()["error"] == "invalid_grant"
    assert len(events(core, "login_failed")) == 2
    with core.database.read() as session:
        assert session.get_one(User, user.id).failed_logins == 2


def test_a_right_password_with_a_scope_beyond_the_role_is_throttled_like_a_wrong_one(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB, PASSWORD)
    tries = range(LOGIN_PAIR.amount + 1)
    right = [log_in(client, scope="users:read").status_code for _ in tries]
    core.throttle.forget()
    wrong = [log_in(client, password="wrong", scope="users:read").status_code for _ in tries]
    assert right == wrong == [400] * LOGIN_PAIR.amount + [429]


def test_a_right_password_with_a_scope_beyond_the_role_forgives_no_failures(
    client: TestClient, create_user: CreateUser
) -> None:
    """Else what comes after it tells whether it was right, and no login was ever seen."""
    create_user(BOB, PASSWORD)
    statuses = [log_in(client, password="wrong").status_code for _ in range(LOGIN_PAIR.amount - 1)]
    statuses += [log_in(client, scope="users:read").status_code, log_in(client).status_code]
    assert statuses == [400] * LOGIN_PAIR.amount + [429]


# --- who may act on whom


@pytest.mark.asvs("10.3.2")
def test_nobody_acts_on_an_account_that_holds_more_than_they_do(
    core: Gatehouse, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(core.roles, "support", {"users:read", "users:write"})
    support, root, bob = sign_in("support"), sign_in("admin"), sign_in("user")
    me, above, other = (str(who.get("/users/me").json()["id"]) for who in (support, root, bob))
    assert support.patch(f"/users/{me}", json={"role": "admin"}).status_code == 403
    assert support.patch(f"/users/{above}", json={"role": "support"}).status_code == 403
    assert support.patch(f"/users/{above}", json={"is_active": False}).status_code == 403
    assert support.delete(f"/users/{above}/sessions").status_code == 403
    assert support.patch(f"/users/{other}", json={"role": "admin"}).status_code == 403
    assert root.patch(f"/users/{above}", json={"role": "user"}).status_code == 403
    assert len(events(core, "role_refused")) == 6
    assert root.patch(f"/users/{other}", json={"role": "support"}).status_code == 200
    (done,) = events(core, "role_changed")
    assert (str(done.user_id), done.actor) == (other, above)
    assert done.actor_session_id is not None


@pytest.mark.asvs("10.3.2")
def test_the_role_that_is_given_counts_and_so_does_what_the_callers_role_has_lost(
    core: Gatehouse, sign_in: SignIn, create_user: CreateUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(core.roles, "guest", set())
    monkeypatch.setitem(core.roles, "support", {"users:read", "users:write"})
    support, path = sign_in("support"), f"/users/{create_user(role='guest').id}"
    assert support.patch(path, json={"role": "admin"}).status_code == 403
    assert support.patch(path, json={"is_active": False}).status_code == 200
    monkeypatch.setitem(core.roles, "support", {"users:read"})  # its token is older
    assert support.patch(path, json={"is_active": True}).status_code == 403


@pytest.mark.asvs("10.3.2")
def test_a_token_with_fewer_scopes_acts_with_those(sign_in: SignIn) -> None:
    few = sign_in("admin", scopes=["users:read", "users:write"])
    other = sign_in("user")
    path = f"/users/{other.get('/users/me').json()['id']}"
    assert few.patch(path, json={"is_active": False}).status_code == 403


def test_an_administrator_who_is_demoted_meanwhile_does_nothing_more(
    core: Gatehouse, sign_in: SignIn
) -> None:
    root, bob = sign_in("admin", email="root@example.com"), sign_in("user")
    sign_in("admin")
    target = UUID(bob.get("/users/me").json()["id"])
    with core.database.read() as session:
        login = session.exec(
            select(LoginSession).join(User).where(User.email == "root@example.com")
        ).one()
    acting = users.Acting(login.user_id, login.id, frozenset(core.roles["admin"]))
    change_role(core, "user", "root@example.com")
    with core.database.write() as session, pytest.raises(users.NotLoggedIn):
        users.lock_administered(session, acting, target, core.roles, core.lifetimes.idle, COMMAND)
    assert root.get("/users").status_code == 401


def test_what_a_command_does_names_the_command(
    run: Run, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB)
    assert run("user", "disable", BOB) == 0
    (done,) = events(core, "user_disabled")
    assert (done.actor, done.actor_session_id) == ("command", None)


# --- registration


def register(client: TestClient, password: str) -> int:
    new = {"email": BOB, "password": password}
    return client.post("/auth/register", json=new).status_code


def test_a_stranger_cannot_use_up_the_mails_to_an_address(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    for _ in range(8):
        assert register(client, NEXT) == 202
    assert len(mails()) == 5
    assert core.throttle.allows_mail("register", BOB, "203.0.113.9")


def test_a_link_asks_for_the_password_of_its_registration(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    register(client, PASSWORD)
    token = links(mails)[BOB]
    wrong = client.post("/auth/verify-email", json={"token": token, "password": NEXT})
    assert wrong.status_code == 400
    assert wrong.json()["type"] == "urn:gatehouse:password"
    right = {"token": token, "password": PASSWORD}
    assert client.post("/auth/verify-email", json=right).status_code == 204
    assert log_in(client).status_code == 200


def test_a_link_is_good_for_ten_wrong_passwords(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    register(client, PASSWORD)
    token = links(mails)[BOB]
    for _ in range(10):
        core.throttle.forget()
        sent = {"token": token, "password": NEXT}
        assert client.post("/auth/verify-email", json=sent).json()["type"] != "about:blank"
    core.throttle.forget()
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 400


def test_a_link_is_looked_at_ten_times_though_many_guess_at_once(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    """The count comes before the hash, and what drops a spent link after it."""
    register(client, PASSWORD)
    token = links(mails)[BOB]
    for _ in range(10):
        with core.database.write() as session:
            registration.count_link_password(session, token)
    with core.database.write() as session, pytest.raises(one_time.BadOneTimeToken):
        registration.count_link_password(session, token)


def test_the_link_of_an_account_that_is_there_asks_for_its_password(
    client: TestClient, create_user: CreateUser, mails: Mails
) -> None:
    create_user(BOB, PASSWORD, verified=False)
    client.post("/auth/verify-email/resend", json={"email": BOB})
    sent = {"token": links(mails)[BOB], "password": NEXT}
    refused = client.post("/auth/verify-email", json=sent)
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:gatehouse:password")
    sent["password"] = PASSWORD
    assert client.post("/auth/verify-email", json=sent).status_code == 204


@pytest.mark.parametrize("event", ["proved", "disabled"])
def test_an_account_that_was_proved_or_disabled_meanwhile_is_not_taken_over(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails, event: str
) -> None:
    user = create_user(BOB, verified=False)
    register(client, PASSWORD)
    token = links(mails)[BOB]
    if event == "proved":
        reset(client, mails)
    else:
        disable(core)
    with core.database.read() as session:
        before = session.get_one(User, user.id).password_hash
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 400
    with core.database.read() as session:
        assert session.get_one(User, user.id).password_hash == before


def test_guesses_at_links_are_throttled_over_all_of_an_address_and_leave_a_trace(
    client: TestClient, core: Gatehouse, mails: Mails
) -> None:
    tokens = []
    for _ in range(3):
        register(client, PASSWORD)
        tokens.append(links(mails)[BOB])
    statuses = [
        client.post("/auth/verify-email", json={"token": token, "password": NEXT}).status_code
        for token in tokens
        for _ in range(5)
    ]
    assert statuses == [400] * LOGIN_PAIR.amount + [429] * 5
    assert len(events(core, "login_failed")) == LOGIN_PAIR.amount


def test_a_right_password_does_not_use_a_link_up(
    client: TestClient, core: Gatehouse, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client, PASSWORD)
    sent = {"token": links(mails)[BOB], "password": PASSWORD}

    def fail(*_: object) -> None:
        raise HTTPException(503, "What a new account needs is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(core.hooks), "on_registered", fail)
        for _ in range(11):
            assert client.post("/auth/verify-email", json=sent).status_code == 503
    assert client.post("/auth/verify-email", json=sent).status_code == 204


def test_right_passwords_of_a_link_are_none_of_the_ten(
    client: TestClient, core: Gatehouse, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an owner's hook raises undoes the confirmation, and the link stays good."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("another service is down")

    register(client, PASSWORD)
    right = {"token": links(mails)[BOB], "password": PASSWORD}
    with monkeypatch.context() as patch:
        patch.setattr(core.hooks, "on_registered", refuse)
        statuses = [client.post("/auth/verify-email", json=right).status_code for _ in range(12)]
        assert statuses == [500] * 12
    assert client.post("/auth/verify-email", json=right).status_code == 204


def test_pending_registrations_are_bounded_and_no_network_takes_anothers_place(
    core: Gatehouse, client: TestClient, mails: Mails
) -> None:
    register(client, PASSWORD)
    mine = links(mails)[BOB]

    def others(*networks: int) -> list[str]:
        """Six registrations from each network; the networks of all that then wait."""
        with core.database.write() as session:
            for network in networks * 6:
                session.add(
                    Job(
                        kind="register",
                        email=BOB,
                        email_key=BOB,
                        password_hash="!",
                        ip="",
                        network=f"203.0.113.{network}",
                        user_agent="",
                        request_id="",
                    )
                )
        mails()
        return [row.network for row in rows_of(core, PendingRegistration)]

    assert others(1).count("203.0.113.1") == 5
    assert len(others(2, 3, 4, 5, 6)) == 20
    assert client.post("/auth/verify-email", json={"token": mine}).status_code == 204


def test_a_link_that_is_mailed_again_while_it_is_used_is_good_no_more(
    client: TestClient, core: Gatehouse, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client, PASSWORD)
    (token,) = links(mails).values()
    lock = users.lock_address

    def lock_late(session: Session, key: str) -> Any:
        # What another transaction has committed meanwhile, where the database lets it.
        session.execute(text("UPDATE gatehouse_pending_registration SET digest = 'newer'"))
        return lock(session, key)

    monkeypatch.setattr("gatehouse.accounts.registration.lock_address", lock_late)
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 400
    monkeypatch.undo()
    assert client.post("/auth/verify-email", json={"token": token}).status_code == 204


def test_of_two_links_of_an_address_at_once_one_wins_and_neither_waits_for_the_other(
    client: TestClient, core: Gatehouse, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []
    for password in (PASSWORD, NEXT):
        register(client, password)
        tokens += links(mails).values()
    make, both = registration._make_proved, Barrier(2)

    def make_together(*arguments: Any) -> None:
        with suppress(BrokenBarrierError):  # as it should be: the other one is kept waiting
            both.wait(1)
        make(*arguments)

    monkeypatch.setattr(registration, "_make_proved", make_together)

    def confirm(token: str) -> int:
        return int(client.post("/auth/verify-email", json={"token": token}).status_code)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(confirm, tokens)) == [204, 400]


def test_a_registration_takes_over_an_account_that_nobody_proved(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    user = create_user(BOB, NEXT, verified=False)
    register(client, PASSWORD)
    assert client.post("/auth/verify-email", json={"token": links(mails)[BOB]}).status_code == 204
    assert log_in(client, password=NEXT).status_code == 400
    assert log_in(client).status_code == 200
    (row,) = rows_of(core, User)
    assert (row.id, row.stamp) == (user.id, 1)
    (told,) = mails()
    assert (told["To"], "password" in told["Subject"]) == (BOB, True)
    (event,) = events(core, "password_reset")
    assert (event.user_id, event.actor) == (user.id, str(user.id))


def test_who_reads_a_look_alike_address_takes_no_account_over(
    client: TestClient, core: Gatehouse, create_user: CreateUser, mails: Mails
) -> None:
    stored, typed = "straße@example.com", "strasse@example.com"  # one account, two mailboxes
    client.post("/auth/register", json={"email": typed, "password": NEXT})
    early = links(mails)[typed]
    user = create_user(stored, PASSWORD, verified=False)
    client.post("/auth/register", json={"email": typed, "password": NEXT})
    later = links(mails)
    assert list(later) == [stored]
    assert client.post("/auth/verify-email", json={"token": early}).status_code == 400
    assert client.post("/auth/verify-email", json={"token": later[stored]}).status_code == 204
    with core.database.read() as session:
        assert session.get_one(User, user.id).email == stored
