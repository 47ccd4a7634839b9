"""Refresh tokens: one chain for each session, and what happens to whoever leaves it."""

import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
import time_machine
from sqlalchemy.exc import TimeoutError as Busy
from sqlmodel import select
from starlette.testclient import TestClient
from steps import (
    BOB,
    PASSWORD,
    Tokens,
    bearer,
    event_names,
    events,
    log_in,
    opens,
    refresh,
    rows_of,
    tokens_of,
)

from gatehouse import utc_now
from gatehouse.accounts.cleaning import clean
from gatehouse.accounts.refresh import PREFIX, _open, digest_of, is_refresh_token, new_refresh_token
from gatehouse.routes import grants
from gatehouse.state import Gatehouse
from gatehouse.store.tables import AuditEvent, EndedSession, LoginSession, RefreshToken, User
from gatehouse.testing import CreateUser, Factory


@pytest.fixture
def tokens(client: TestClient, create_user: CreateUser) -> Tokens:
    """The answer to a login."""
    create_user(BOB, PASSWORD)
    return tokens_of(log_in(client))


def refused(answer: Any, error: str = "invalid_grant") -> bool:
    assert answer.status_code == 400
    return bool(answer.json()["error"] == error)


def session_of(tokens: Tokens) -> UUID:
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    return UUID(claims["sid"])


@pytest.mark.asvs("7.2.2")
def test_a_refresh_gives_a_new_pair_for_the_same_session(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    answer = refresh(client, tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    after = answer.json()
    assert set(after) == set(tokens)
    assert after["refresh_token"] != tokens["refresh_token"]
    assert session_of(after) == session_of(tokens)
    assert opens(client, bearer(after))
    before_claims, after_claims = (
        jwt.decode(found["access_token"], options={"verify_signature": False})
        for found in (tokens, after)
    )
    assert before_claims["auth_time"] == after_claims["auth_time"]
    assert before_claims["jti"] != after_claims["jti"]
    assert [row.session_id for row in events(core, "refresh")] == [session_of(tokens)]


@pytest.mark.asvs("10.3.4")
def test_a_refresh_keeps_the_time_of_the_login(client: TestClient, tokens: Tokens) -> None:
    with time_machine.travel(utc_now() + timedelta(hours=3), tick=False):
        after = refresh(client, tokens["refresh_token"]).json()
    claims = jwt.decode(after["access_token"], options={"verify_signature": False})
    assert claims["iat"] - claims["auth_time"] >= 3 * 3600 - 1


@pytest.mark.asvs("7.2.3")
def test_a_token_has_a_prefix_and_a_checksum_and_lies_nowhere_as_it_is(
    core: Gatehouse, tokens: Tokens
) -> None:
    token = tokens["refresh_token"]
    assert token.startswith(PREFIX)
    assert f"{zlib.crc32(token[:-8].encode()):08x}" == token[-8:]
    assert len({new_refresh_token() for _ in range(100)}) == 100
    assert len(urlsafe_b64decode(token[len(PREFIX) : -8] + "=")) == 32  # 256 bits
    many = [new_refresh_token()[len(PREFIX) : -8] for _ in range(50)]
    assert all(len(set(letters)) > 1 for letters in zip(*many, strict=True))
    (row,) = rows_of(core, RefreshToken)
    assert row.digest == digest_of(token)
    assert token not in repr(row.model_dump())


def test_what_a_token_was_exchanged_for_is_opened_by_that_token_alone(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    """A stolen database opens nothing."""
    successor = refresh(client, tokens["refresh_token"]).json()["refresh_token"]
    with core.database.read() as session:
        row = session.get_one(RefreshToken, digest_of(tokens["refresh_token"]))
    assert row.sealed_successor is not None
    assert successor.encode() not in row.sealed_successor
    assert _open(tokens["refresh_token"], row.sealed_successor) == successor
    assert _open(successor, row.sealed_successor) is None


@pytest.mark.asvs("10.4.5")
def test_a_retry_inside_the_window_gets_the_same_successor(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    first = refresh(client, tokens["refresh_token"]).json()
    with time_machine.travel(utc_now() + timedelta(seconds=9), tick=False):
        second = refresh(client, tokens["refresh_token"])
    assert second.json()["refresh_token"] == first["refresh_token"]
    assert len(rows_of(core, RefreshToken)) == 2


@pytest.mark.asvs("10.4.5")
def test_a_retry_after_the_window_ends_the_session(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    after = refresh(client, tokens["refresh_token"]).json()
    with time_machine.travel(utc_now() + timedelta(seconds=11), tick=False):
        assert refused(refresh(client, tokens["refresh_token"]))
        assert refused(refresh(client, after["refresh_token"]))
        assert not opens(client, bearer(tokens))
        assert not opens(client, bearer(after))
    with core.database.read() as session:
        assert session.exec(select(LoginSession)).all() == []
        assert [row.session_id for row in session.exec(select(EndedSession))] == [
            session_of(tokens)
        ]
    assert event_names(core).count("refresh_reuse") == 1


@pytest.mark.asvs("10.4.5")
def test_without_a_window_a_used_token_ends_the_session(
    tokens: Tokens, create_app: Factory, auth_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_REFRESH_GRACE_SECONDS", "0")
    with TestClient(create_app()) as client:
        after = refresh(client, tokens["refresh_token"]).json()
        assert refused(refresh(client, tokens["refresh_token"]))
        assert not opens(client, bearer(after))
        assert refused(refresh(client, after["refresh_token"]))


@pytest.mark.asvs("10.4.5")
def test_the_window_covers_one_generation(client: TestClient, tokens: Tokens) -> None:
    child = refresh(client, tokens["refresh_token"]).json()
    refresh(client, child["refresh_token"])
    assert refused(refresh(client, tokens["refresh_token"]))
    assert not opens(client, bearer(child))


@pytest.mark.asvs("10.4.5")
def test_of_many_at_the_same_moment_all_get_the_one_successor(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: refresh(client, tokens["refresh_token"]), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    with core.database.read() as session:
        assert len(session.exec(select(RefreshToken)).all()) == 2
        assert len(session.exec(select(LoginSession)).all()) == 1


def test_a_thief_and_the_owner_share_one_chain_that_ends(
    client: TestClient, tokens: Tokens
) -> None:
    thief = refresh(client, tokens["refresh_token"]).json()
    owner = refresh(client, tokens["refresh_token"]).json()
    assert thief["refresh_token"] == owner["refresh_token"]
    refresh(client, thief["refresh_token"])
    with time_machine.travel(utc_now() + timedelta(seconds=30), tick=False):
        assert refused(refresh(client, owner["refresh_token"]))


# --- ends


@pytest.mark.asvs("7.3.1")
def test_a_session_ends_when_it_is_not_used(client: TestClient, tokens: Tokens) -> None:
    with time_machine.travel(utc_now() + timedelta(days=13), tick=False):
        token = refresh(client, tokens["refresh_token"]).json()["refresh_token"]
    with time_machine.travel(utc_now() + timedelta(days=26), tick=False):
        token = refresh(client, token).json()["refresh_token"]
    with time_machine.travel(utc_now() + timedelta(days=12), tick=False):
        pass
    with time_machine.travel(utc_now() + timedelta(days=40, hours=1), tick=False):
        assert refused(refresh(client, token))


@pytest.mark.asvs("7.3.1")
def test_two_weeks_of_silence_end_a_session(client: TestClient, tokens: Tokens) -> None:
    with time_machine.travel(utc_now() + timedelta(days=14, seconds=1), tick=False):
        assert refused(refresh(client, tokens["refresh_token"]))


@pytest.mark.asvs("7.3.2", "10.4.8")
def test_daily_use_does_not_carry_a_session_past_thirty_days(
    client: TestClient, tokens: Tokens
) -> None:
    token, start = tokens["refresh_token"], utc_now()
    for day in range(1, 30):
        with time_machine.travel(start + timedelta(days=day), tick=False):
            token = refresh(client, token).json()["refresh_token"]
    with time_machine.travel(start + timedelta(days=30, seconds=1), tick=False):
        assert refused(refresh(client, token))


@pytest.mark.asvs("7.3.2")
def test_no_access_token_lives_beyond_its_session(client: TestClient, tokens: Tokens) -> None:
    token, start = tokens["refresh_token"], utc_now()
    for days in (10, 20):
        with time_machine.travel(start + timedelta(days=days), tick=False):
            token = refresh(client, token).json()["refresh_token"]
    with time_machine.travel(start + timedelta(days=30, seconds=-10), tick=False):
        last = refresh(client, token).json()
        assert 0 < last["expires_in"] <= 11
        assert opens(client, bearer(last))
    with time_machine.travel(start + timedelta(days=30, seconds=2), tick=False):
        assert not opens(client, bearer(last))


def disable(core: Gatehouse) -> None:
    with core.database.write() as session:
        session.exec(select(User)).one().is_active = False


def delete(core: Gatehouse) -> None:
    with core.database.write() as session:
        session.delete(session.exec(select(User)).one())


@pytest.mark.asvs("7.4.2")
@pytest.mark.parametrize("change", [disable, delete])
def test_a_user_who_is_disabled_or_gone_refreshes_no_more(
    client: TestClient, core: Gatehouse, tokens: Tokens, change: Callable[[Gatehouse], None]
) -> None:
    change(core)
    assert refused(refresh(client, tokens["refresh_token"]))
    assert refused(refresh(client, tokens["refresh_token"]))


def test_a_session_from_before_addresses_had_to_be_proved_refreshes_no_more(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    if not core.settings.auth_require_verified_email:
        pytest.skip("this service asks for no proof of an address")
    with core.database.write() as session:
        session.exec(select(User)).one().email_verified_at = None
    assert refused(refresh(client, tokens["refresh_token"]))


# --- scope


def test_a_refresh_may_narrow_and_the_session_keeps_its_grant(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    granted = tokens["scope"].split()
    if len(granted) < 2:
        pytest.skip("the role user has fewer than two scopes")
    narrow = refresh(client, tokens["refresh_token"], scope=granted[0]).json()
    assert narrow["scope"] == granted[0]
    assert refresh(client, narrow["refresh_token"]).json()["scope"] == tokens["scope"]


@pytest.mark.asvs("10.4.11")
def test_a_refresh_never_widens_and_a_refused_one_uses_nothing_up(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB, PASSWORD)
    granted = sorted(core.roles["user"])
    if len(granted) < 2:
        pytest.skip("the role user has fewer than two scopes")
    tokens = tokens_of(log_in(client, scope=granted[0]))
    for wider in (granted[1], " ".join(granted), *(core.scopes.keys() - core.roles["user"])):
        answer = refresh(client, tokens["refresh_token"], scope=wider)
        if granted[0] in wider.split():  # granted as far as it goes, as at a login
            assert answer.json()["scope"] == granted[0]
            tokens = answer.json()
        else:
            assert refused(answer, "invalid_grant")
    assert refresh(client, tokens["refresh_token"]).json()["scope"] == granted[0]
    beyond = core.scopes.keys() - core.roles["user"]
    assert event_names(core).count("refresh_refused") == 1 + len(beyond)


def test_a_role_that_lost_a_scope_loses_it_at_the_next_refresh(
    client: TestClient, core: Gatehouse, create_user: CreateUser
) -> None:
    create_user(BOB, PASSWORD, role="admin")
    tokens = tokens_of(log_in(client))
    with core.database.write() as session:
        session.exec(select(User)).one().role = "user"
    after = refresh(client, tokens["refresh_token"]).json()
    assert set(after["scope"].split()) == core.roles["user"] & core.roles["admin"]


# --- shapes


def test_what_is_no_refresh_token_is_refused_and_writes_nothing(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    token = tokens["refresh_token"]
    odd = (
        token[:-1],
        token + "0",
        token.upper(),
        PREFIX,
        f" {token}",
        f"{token}\n",
        "a\0b",
        "x" * 60_000,
        "é",
        tokens["access_token"],
        digest_of(token),
        new_refresh_token(),
    )
    for text in odd:
        assert refused(refresh(client, text)), text[:20]
    assert refused(refresh(client, ""), "invalid_request")
    assert not any(is_refresh_token(text) for text in odd[:-1])
    assert len(rows_of(core, RefreshToken)) == 1
    assert refresh(client, token).status_code == 200


@pytest.mark.asvs("9.2.2")
def test_a_refresh_token_opens_no_route(client: TestClient, tokens: Tokens) -> None:
    assert not opens(client, bearer({"access_token": tokens["refresh_token"]}))


# --- cleaning


def test_some_of_what_is_over_goes_while_tokens_are_refreshed(
    client: TestClient, core: Gatehouse, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    with core.database.write() as session:
        session.add(EndedSession(session_id=uuid4(), ended_at=utc_now() - timedelta(days=3)))

    def waiting() -> bool:
        with core.database.read() as session:
            return session.exec(select(EndedSession)).first() is not None

    core.cleaning.is_due()  # it was, if this application has lived for a minute; now it is not
    first = refresh(client, tokens["refresh_token"]).json()
    assert waiting()  # not each time
    monkeypatch.setattr("gatehouse.accounts.cleaning.EVERY", 0)
    refresh(client, first["refresh_token"])
    assert not waiting()


def test_a_refresh_is_answered_where_cleaning_gets_no_turn(
    client: TestClient, core: Gatehouse, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is used up by then: whoever gets a 503 has lost its successor."""
    run, refused = core.database.run, list[Any]()

    def busy(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is grants._refresh:
            return run(work, *arguments)
        refused.append(work)
        raise Busy

    monkeypatch.setattr(core.database, "run", busy)
    monkeypatch.setattr("gatehouse.accounts.cleaning.EVERY", 0)
    assert refresh(client, tokens["refresh_token"]).status_code == 200
    assert len(refused) == 1


def test_what_is_over_is_deleted_and_what_is_not_stays(
    client: TestClient, core: Gatehouse, tokens: Tokens
) -> None:
    kept = refresh(client, tokens["refresh_token"]).json()
    with core.database.write() as session:
        assert clean(session, core.lifetimes.idle) == 0
    with (
        time_machine.travel(utc_now() + timedelta(minutes=3), tick=False),
        core.database.write() as session,
    ):
        assert clean(session, core.lifetimes.idle) == 1  # the sealed successor
    assert refresh(client, kept["refresh_token"]).status_code == 200
    with (
        time_machine.travel(utc_now() + timedelta(days=91), tick=False),
        core.database.write() as session,
    ):
        assert clean(session, core.lifetimes.idle) > 1
        assert session.exec(select(LoginSession)).all() == []
        kept_of = [(e.ip, e.network, e.user_agent) for e in session.exec(select(AuditEvent))]
        assert set(kept_of) == {("", "", "")}
    with (
        time_machine.travel(utc_now() + timedelta(days=366), tick=False),
        core.database.write() as session,
    ):
        clean(session, core.lifetimes.idle)
        assert session.exec(select(AuditEvent)).all() == []
