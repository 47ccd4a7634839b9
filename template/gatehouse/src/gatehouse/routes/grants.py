"""The two grants: what happens between the form and the tokens."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from gatehouse import addresses, sessions, users
from gatehouse.audit import Origin, origin_of, record
from gatehouse.cleaning import clean
from gatehouse.problems import OAuthError
from gatehouse.recovery import tell
from gatehouse.refresh import (
    BadRefreshToken,
    ReusedRefreshToken,
    find_login,
    issue_refresh_token,
    rotate,
)
from gatehouse.routes.doors import (
    check_password,
    note_failure,
    refuse_flood,
    refuse_login_flood,
)
from gatehouse.state import Gatehouse
from gatehouse.tables import LoginSession, User
from gatehouse.throttle import REFRESH

log = logging.getLogger("gatehouse.grants")


@dataclass(frozen=True, slots=True)
class Granted:
    """What the tokens are to say. Times are seconds since 1970; `auth_time`: of the password."""

    user_id: UUID
    session_id: UUID
    scopes: frozenset[str]
    auth_time: float
    session_end: float
    refresh_token: str
    extra: Mapping[str, Any]


def _no_login() -> OAuthError:
    return OAuthError("invalid_grant", "The e-mail address or the password is wrong.")


async def log_in(
    request: Request, core: Gatehouse, username: str, password: str, asked: frozenset[str] | None
) -> Granted:
    """Two short database sessions with the hash between them, where no connection is held."""
    origin = origin_of(request, core.settings.trusted_proxies)
    if len(username) > addresses.MAX_LENGTH:
        raise _no_login()
    key = addresses.key_of(username)
    found = await run_in_threadpool(_find, core, origin, key)
    # An account that may not log in costs the same hash as one that may (ASVS 6.3.8).
    checked = await check_password(core, origin, key, password, found)
    if found is not None and checked is not None:
        granted = await run_in_threadpool(_open, core, origin, key, found, checked.new_hash, asked)
        if granted is not None:
            core.outbox.poke()
            return granted
    await run_in_threadpool(note_failure, core, origin, key, found)
    raise _no_login()


def _find(core: Gatehouse, origin: Origin, key: str) -> users.Credentials | None:
    refuse_login_flood(core, origin, key)
    with core.database.read() as session:
        verified = core.settings.auth_require_verified_email
        return users.find_credentials(session, key, verified=verified, network=origin.network)


def _open(
    core: Gatehouse,
    origin: Origin,
    key: str,
    found: users.Credentials,
    new_hash: str | None,
    asked: frozenset[str] | None,
) -> Granted | None:
    """The session of a right password, None if the account has changed meanwhile."""
    core.throttle.login_succeeded(key, origin.network)
    role_scopes = frozenset(core.roles.get(found.role, ()))
    scopes = role_scopes if asked is None else role_scopes & asked
    if asked and not scopes:
        raise OAuthError("invalid_scope", "This account has none of the scopes asked for.")
    with core.database.write() as session:
        if not users.may_log_in(session, found, new_hash):
            return None
        opened = sessions.open_session(
            session,
            user_id=found.user_id,
            scopes=scopes,
            days=core.settings.auth_session_days,
            origin=origin,
        )
        surplus = sessions.end_surplus(session, found.user_id)
        refresh_token = issue_refresh_token(session, opened.id)
        record(session, "login", origin, user_id=found.user_id, session_id=opened.id)
        user = session.get_one(User, found.user_id)
        if found.failed_logins >= users.NOTEWORTHY_FAILURES:
            tell(session, "login_after_failures", user, origin)
        core.hooks.on_login(session, user)
        extra = core.hooks.extra_claims(session, user)
    core.revocation.add(surplus)
    return _granted(opened, scopes, refresh_token, extra)


def _granted(
    login: LoginSession, scopes: frozenset[str], refresh_token: str, extra: Mapping[str, Any]
) -> Granted:
    return Granted(
        user_id=login.user_id,
        session_id=login.id,
        scopes=scopes,
        auth_time=login.created_at.timestamp(),
        session_end=login.expires_at.timestamp(),
        refresh_token=refresh_token,
        extra=extra,
    )


async def refresh(
    request: Request, core: Gatehouse, token: str, asked: frozenset[str] | None
) -> Granted:
    """The next refresh token of a session. A reuse ends the session before it is refused."""
    origin = origin_of(request, core.settings.trusted_proxies)
    try:
        return await run_in_threadpool(_rotate, core, origin, token, asked)
    except ReusedRefreshToken as reused:
        await run_in_threadpool(_end_reused, core, origin, reused)
        raise _no_refresh() from None
    except BadRefreshToken:
        raise _no_refresh() from None
    finally:
        if core.cleaning.is_due():
            await run_in_threadpool(_clean, core)


def _no_refresh() -> OAuthError:
    return OAuthError("invalid_grant", "The refresh token is not valid.")


def _rotate(core: Gatehouse, origin: Origin, token: str, asked: frozenset[str] | None) -> Granted:
    refuse_flood(core, origin, REFRESH)
    with core.database.write() as session:
        login, user = find_login(session, token, core.lives.idle)
        # What the login was granted, as far as the role still holds it (RFC 6749 section 6).
        scopes = frozenset(login.scope.split()) & frozenset(core.roles.get(user.role, ()))
        if asked is not None:
            if not asked <= scopes:
                raise OAuthError("invalid_scope", "A refresh can only narrow the scope.")
            scopes = asked
        successor = rotate(session, token, login, core.lives.grace)
        record(session, "refresh", origin, user_id=user.id, session_id=login.id)
        extra = core.hooks.extra_claims(session, user)
        return _granted(login, scopes, successor, extra)


def _end_reused(core: Gatehouse, origin: Origin, reused: ReusedRefreshToken) -> None:
    """Either who holds a retired token has stolen it, or who used it first: both are out."""
    with core.database.write() as session:
        ended = sessions.end_session(session, reused.session_id)
        if ended:
            record(
                session,
                "refresh_reuse",
                origin,
                user_id=reused.user_id,
                session_id=reused.session_id,
            )
    core.revocation.add(ended)


def _clean(core: Gatehouse) -> None:
    """Some of what is over, on the way. What goes wrong here is no business of the client's."""
    try:
        with core.database.write() as session:
            clean(session, core.lives.idle)
    except SQLAlchemyError as error:
        log.warning("expired rows were not deleted: %s", type(error).__name__)
