"""What the database holds, compared with what is expected of it."""

from collections import Counter
from functools import cache
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import argon2
from gatehouse.state import Gatehouse
from gatehouse.store.tables import AuditEvent, LoginSession, OneTimeToken, PendingRegistration, User
from invariants import (
    a_session_has_one_live_successor,
    a_session_is_of_its_account_as_it_is_now,
    an_administrator_is_left,
)
from sqlmodel import Session, col, func, select

from model.expected import IDLE, Expected, Link
from model.world import World

# Written once for a window or a job, however many there were.
NOT_COUNTED = {"throttled", "password_reset_requested"}
# Whoever asked has shown nothing that says who it was.
BY_NOBODY = {"login_failed", "refresh_reuse", "refresh_refused"}
# Those of the pairs' invariants that ask for no account of theirs.
SHARED = (
    an_administrator_is_left,
    a_session_has_one_live_successor,
    a_session_is_of_its_account_as_it_is_now,
)


def compare(world: World, expected: Expected) -> None:
    """Fail where an account, a session, a link or an event is other than it must be."""
    core, now = world.core, world.now
    for holds in SHARED:
        holds(cast(Any, world))
    with core.database.read() as session:
        _compare_accounts(session, expected)
        _compare_sessions(session, expected, now)
        _compare_links(session, expected, now)
        _see_who_acted(session)
    found = count_events(core)
    assert found == expected.events, (found, expected.events)


def _compare_accounts(session: Session, expected: Expected) -> None:
    rows = {row.id: row for row in session.exec(select(User))}
    assert rows.keys() == {account.id for account in expected.living()}
    for account in expected.living():
        row = rows[account.id]
        stored = (row.email, row.role, row.is_active, row.email_verified_at is not None)
        assert stored == (account.email, account.role, account.active, account.verified)
        assert (row.failed_logins, row.stamp) == (account.failures, account.events), account
        assert _fits(row.password_hash, account.password)


@cache
def _fits(password_hash: str, password: str) -> bool:
    return argon2.PasswordHasher().verify(password_hash, password)


def _compare_sessions(session: Session, expected: Expected, now: float) -> None:
    live = Counter(login.account.id for login in expected.logins if login.is_good(now))
    known = {login.id for login in expected.logins if login.is_good(now) and login.id}
    stored = [
        row
        for row in session.exec(select(LoginSession))
        if row.expires_at.timestamp() > now and row.last_used_at.timestamp() > now - IDLE
    ]
    assert Counter(row.user_id for row in stored) == live
    assert known <= {row.id for row in stored}


def _compare_links(session: Session, expected: Expected, now: float) -> None:
    good = {_digest(link.token) for link in expected.links if link.is_good(now)}
    tokens = session.exec(
        select(OneTimeToken, User).join(User, col(User.id) == col(OneTimeToken.user_id))
    )
    stored = {
        token.digest
        for token, user in tokens
        if token.expires_at.timestamp() > now and token.stamp == user.stamp and user.is_active
    }
    pending = session.exec(select(PendingRegistration))
    stored |= {row.digest or "" for row in pending if row.expires_at.timestamp() > now}
    assert stored == good, _named(expected, stored ^ good)


def _see_who_acted(session: Session) -> None:
    nobody = select(AuditEvent.event).where(
        AuditEvent.actor == "", col(AuditEvent.event).not_in(BY_NOBODY | NOT_COUNTED)
    )
    assert session.exec(nobody).all() == []


def _named(expected: Expected, digests: set[str]) -> list[Link]:
    return [link for link in expected.links if _digest(link.token) in digests]


def count_events(core: Gatehouse) -> Counter[str]:
    query = select(AuditEvent.event, func.count()).group_by(col(AuditEvent.event))
    with core.database.read() as session:
        return Counter(
            {name: amount for name, amount in session.exec(query) if name not in NOT_COUNTED}
        )


def id_of(core: Gatehouse, email: str) -> UUID:
    """The id of an account that was just made."""
    with core.database.read() as session:
        return session.exec(select(User.id).where(User.email_key == email)).one()


def owner_of_link(core: Gatehouse, token: str) -> tuple[str, UUID | str] | None:
    """What a mailed link is for, and of which account, or of which request that registered."""
    with core.database.read() as session:
        one_time = session.get(OneTimeToken, _digest(token))
        if one_time is not None:
            return one_time.purpose, one_time.user_id
        query = select(PendingRegistration).where(PendingRegistration.digest == _digest(token))
        pending = session.exec(query).one_or_none()
        return None if pending is None else ("registration", pending.request_id)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
