"""Log-out, the list of sessions, and how soon an ended one is over."""

import time
from uuid import UUID, uuid4

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient
from steps import BOB, PASSWORD, bearer, event_names, events, log_in, refresh, tokens_of

from gatehouse import utc_now
from gatehouse.accounts import logins as login_verbs
from gatehouse.accounts import sessions
from gatehouse.accounts.stamps import raise_epoch
from gatehouse.accounts.users import find_user
from gatehouse.state import Gatehouse
from gatehouse.store.tables import LoginSession, User
from gatehouse.testing import CreateUser, SignIn
from gatehouse.throttling.origin import COMMAND


@pytest.mark.asvs("7.4.1", "10.4.9")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token", "nonsense"])
def test_a_log_out_ends_both_tokens_at_once(
    client: TestClient, core: Gatehouse, create_user: CreateUser, kind: str, hint: str
) -> None:
    create_user(BOB, PASSWORD)
    tokens = tokens_of(log_in(client))
    assert client.get("/auth/sessions", headers=bearer(tokens)).status_code == 200
    form = {"token": tokens[kind], "token_type_hint": hint}
    for _ in range(2):
        answer = client.post("/auth/revoke", data=form)
        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["cache-control"] == "no-store"
    refused = client.get("/auth/sessions", headers=bearer(tokens))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert refresh(client, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert event_names(core).count("logout") == 1


def test_an_unknown_token_is_no_error_and_harms_nobody(
    client: TestClient, create_user: CreateUser
) -> None:
    create_user(BOB, PASSWORD)
    tokens = tokens_of(log_in(client))
    for text in ("x", "a.b.c", tokens["access_token"] + "x", tokens["refresh_token"][:-1], "\0"):
        assert client.post("/auth/revoke", data={"token": text}).status_code == 200
    assert client.get("/auth/sessions", headers=bearer(tokens)).status_code == 200
    for form in ({}, {"token": ""}):
        answer = client.post("/auth/revoke", data={**form, "x": "y"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert client.post("/auth/revoke", json={"token": "x"}).status_code == 415
    assert client.get("/auth/revoke").status_code == 405


@pytest.mark.asvs("7.5.2", "10.4.9")
def test_the_list_shows_the_own_sessions_alone(client: TestClient, create_user: CreateUser) -> None:
    create_user(BOB, PASSWORD)
    create_user("eve@example.com", PASSWORD)
    client.headers["User-Agent"] = "agent one"
    first, second = tokens_of(log_in(client)), tokens_of(log_in(client))
    log_in(client, "eve@example.com")
    rows = client.get("/auth/sessions", headers=bearer(second)).json()
    assert len(rows) == 2
    assert [row["current"] for row in rows].count(True) == 1
    keys = {"id", "created_at", "last_used_at", "expires_at", "user_agent", "ip", "current"}
    for row in rows:
        assert set(row) == keys
        assert row["user_agent"] == "agent one"
        assert row["created_at"].endswith("Z")
    other = next(row for row in rows if not row["current"])
    assert client.delete(f"/auth/sessions/{other['id']}", headers=bearer(second)).status_code == 204
    assert client.get("/auth/sessions", headers=bearer(first)).status_code == 401
    assert len(client.get("/auth/sessions", headers=bearer(second)).json()) == 1


@pytest.mark.parametrize("event", ["stamp", "epoch", "end", "rest"])
def test_a_session_that_is_over_is_none_though_its_row_is_still_there(
    client: TestClient, core: Gatehouse, create_user: CreateUser, event: str
) -> None:
    """The rows go a moment later than what ends them, or with a cleanup."""
    create_user(BOB, PASSWORD)
    tokens, moved = tokens_of(log_in(client)), utc_now()
    assert len(client.get("/auth/sessions", headers=bearer(tokens)).json()) == 1  # the list is read
    with core.database.write() as session:
        user, login = (
            find_user(session, BOB),
            session.exec(select(LoginSession)).one(),
        )
        if event == "stamp":
            user.stamp += 1
        elif event == "epoch":
            raise_epoch(session)
            session.info.clear()
        elif event == "end":
            login.expires_at = moved
        else:
            login.last_used_at = moved - core.lifetimes.idle
    assert client.get("/auth/sessions", headers=bearer(tokens)).json() == []
    assert client.get("/users/me", headers=bearer(tokens)).status_code == 401
    assert refresh(client, tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.asvs("10.3.2")
def test_another_user_s_session_is_like_one_that_is_not_there(
    client: TestClient, sign_in: SignIn
) -> None:
    bob, eve = sign_in(), sign_in()
    (row,) = bob.get("/auth/sessions").json()
    foreign, missing = (
        eve.delete(f"/auth/sessions/{session_id}") for session_id in (row["id"], uuid4())
    )
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content
    assert eve.delete("/auth/sessions/nonsense").status_code == 422
    assert bob.get("/auth/sessions").status_code == 200


@pytest.mark.asvs("7.5.2", "10.4.9")
def test_all_others_can_be_ended_at_once(
    client: TestClient, create_user: CreateUser, sign_in: SignIn
) -> None:
    create_user(BOB, PASSWORD)
    others = [tokens_of(log_in(client)) for _ in range(3)]
    current, stranger = tokens_of(log_in(client)), sign_in()
    assert client.delete("/auth/sessions", headers=bearer(current)).status_code == 204
    for tokens in others:
        assert client.get("/auth/sessions", headers=bearer(tokens)).status_code == 401
    assert client.get("/auth/sessions", headers=bearer(current)).status_code == 200
    assert stranger.get("/auth/sessions").status_code == 200


@pytest.mark.asvs("7.1.2")
def test_beyond_the_most_the_session_unused_longest_ends(
    client: TestClient,
    core: Gatehouse,
    create_user: CreateUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login_verbs, "MOST_SESSIONS", 3)
    create_user(BOB, PASSWORD)
    create_user("eve@example.com", PASSWORD)
    foreign = [tokens_of(log_in(client, "eve@example.com")) for _ in range(3)]
    logins = [tokens_of(log_in(client)) for _ in range(5)]
    assert {
        client.get("/auth/sessions", headers=bearer(tokens)).status_code for tokens in foreign
    } == {200}
    opened = [client.get("/auth/sessions", headers=bearer(tokens)).status_code for tokens in logins]
    assert opened == [401, 401, 200, 200, 200]


# --- the list of ended sessions


def end_elsewhere(core: Gatehouse) -> None:
    """End every session as another process would: nobody tells this one."""
    with core.database.write() as session:
        sessions.end_sessions(session, col(LoginSession.id).is_not(None))
        session.info.clear()


@pytest.mark.asvs("7.4.1")
def test_a_session_that_another_process_ended_is_over_within_the_interval(
    client: TestClient, core: Gatehouse, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, clock = sign_in(), time.monotonic
    assert me.get("/auth/sessions").status_code == 200
    end_elsewhere(core)
    assert me.get("/auth/sessions").status_code == 200
    interval = core.settings.auth_revocation_seconds
    monkeypatch.setattr(time, "monotonic", lambda: clock() + interval)
    assert me.get("/auth/sessions").status_code == 401


def test_a_user_who_is_deleted_elsewhere_is_out_too(
    client: TestClient, core: Gatehouse, sign_in: SignIn
) -> None:
    me = sign_in(email=BOB)
    with core.database.write() as session:
        user = session.exec(select(User).where(User.email == BOB)).one()
        sessions.end_sessions(session, col(LoginSession.user_id) == user.id)
        session.delete(user)
    core.revocation.forget()
    assert me.get("/auth/sessions").status_code == 401


def test_events_tell_who_did_what_from_where(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    user = create_user(BOB, PASSWORD)
    client.headers["User-Agent"] = "agent\x07one" + "x" * 300
    client.headers["X-Request-ID"] = "request-1"
    log_in(client, password="wrong")
    log_in(client)
    failed, done = events(core)
    assert (failed.event, done.event) == ("login_failed", "login")
    assert failed.user_id == done.user_id == user.id
    assert done.session_id is not None
    assert done.user_agent == ("agentone" + "x" * 300)[:256]
    assert done.request_id == "request-1"
    assert COMMAND.ip == ""


def test_each_end_of_a_session_is_an_event_of_who_ended_it(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    user = create_user(BOB, PASSWORD)
    log_in(client), tokens_of(log_in(client))
    third = tokens_of(log_in(client))
    rows = client.get("/auth/sessions", headers=bearer(third)).json()
    other = next(row["id"] for row in rows if not row["current"])
    client.delete(f"/auth/sessions/{other}", headers=bearer(third))
    client.delete("/auth/sessions", headers=bearer(third))
    client.post("/auth/revoke", data={"token": third["refresh_token"]})
    mine = next(UUID(row["id"]) for row in rows if row["current"])
    found = events(core)[3:]
    assert [(row.event, row.session_id) for row in found] == [
        ("sessions_ended", UUID(other)),
        ("sessions_ended", None),
        ("logout", mine),
    ]
    assert {(row.user_id, row.actor, row.actor_session_id) for row in found} == {
        (user.id, str(user.id), mine)
    }
