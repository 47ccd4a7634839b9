"""The two grants: what happens between the form and the tokens."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from gatehouse.accounts import addresses, sessions, users
from gatehouse.accounts.audit import Origin, origin_of, record
from gatehouse.accounts.cleaning import clean_some
from gatehouse.accounts.proving import WrongPassword, note_failure, prove_password
from gatehouse.accounts.recovery import tell
from gatehouse.accounts.refresh import (
    BadRefreshToken,
    NothingLeft,
    ReusedRefreshToken,
    find_login,
    issue_refresh_token,
    rotate,
)
from gatehouse.routes.shared import refuse_flood
from gatehouse.state import Gatehouse
from gatehouse.store.hops import in_database_thread
from gatehouse.store.tables import LoginSession
from gatehouse.throttling.throttle import REFRESH
from gatehouse.web.problems import OAuthError

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
    stamp: int
    epoch: int


def _no_login() -> OAuthError:
    return OAuthError("invalid_grant", "The e-mail address or the password is wrong.")


async def log_in(
    request: Request, core: Gatehouse, username: str, password: str, asked: frozenset[str] | None
) -> Granted:
    """Two short database sessions with the hash between them, where no connection is held."""
    origin = origin_of(request, core.settings.trusted_proxies)
    key = addresses.key_of(username)
    verified = core.settings.auth_require_verified_email
    try:
        proved = await prove_password(
            core, origin, password, key=key, verified=verified, asked=asked
        )
    except WrongPassword:
        raise _no_login() from None
    granted = await in_database_thread(_open, core, origin, proved, asked)
    if granted is None:
        await in_database_thread(note_failure, core, origin, key, proved)
        raise _no_login()
    return granted


def _open(
    core: Gatehouse, origin: Origin, proved: users.Credentials, asked: frozenset[str] | None
) -> Granted | None:
    """The session of a right password. None if the account, or what its role holds of the scopes
    asked for, has changed meanwhile."""
    with core.database.write() as session:
        user = users.lock_proved(session, proved, origin.network)
        if user is None:
            return None
        scopes = frozenset(core.roles.get(user.role, ()))
        if asked is not None and not (scopes := scopes & asked):
            return None
        failures = users.forgive_failures(session, user)
        opened = sessions.open_session(
            session,
            user,
            scopes=scopes,
            days=core.settings.auth_session_days,
            origin=origin,
            epoch=proved.epoch,
        )
        sessions.end_surplus(session, user.id)
        refresh_token = issue_refresh_token(session, opened.id)
        acting = origin.by(user.id, opened.id)
        record(session, "login", acting, user_id=user.id, session_id=opened.id)
        if failures >= users.NOTEWORTHY_FAILURES:
            tell(session, "login_after_failures", user, origin)
        core.hooks.on_login(session, user)
        extra = core.hooks.extra_claims(session, user)
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
        stamp=login.stamp,
        epoch=login.epoch,
    )


async def refresh(
    request: Request, core: Gatehouse, token: str, asked: frozenset[str] | None
) -> Granted:
    """The next refresh token of a session. A reuse ends the session before it is refused."""
    origin = origin_of(request, core.settings.trusted_proxies)
    try:
        return await in_database_thread(_rotate, core, origin, token, asked)
    except ReusedRefreshToken as reused:
        await in_database_thread(_end_reused, core, origin, reused)
        raise _no_refresh() from None
    except NothingLeft as refused:
        await in_database_thread(_note_refused, core, origin, refused)
        raise _no_refresh() from None
    except BadRefreshToken:
        raise _no_refresh() from None
    finally:
        if core.cleaning.is_due():
            await in_database_thread(_clean, core)


def _no_refresh() -> OAuthError:
    return OAuthError("invalid_grant", "The refresh token is not valid.")


def _rotate(core: Gatehouse, origin: Origin, token: str, asked: frozenset[str] | None) -> Granted:
    refuse_flood(core, origin, REFRESH)
    with core.database.write() as session:
        verified = core.settings.auth_require_verified_email
        login, user = find_login(session, token, core.lives.idle, verified=verified)
        successor = rotate(session, token, login, core.lives.grace)
        # What the login was granted, as far as the role still holds it (RFC 6749 section 6).
        scopes = frozenset(login.scope.split()) & frozenset(core.roles.get(user.role, ()))
        if asked is not None and not (scopes := scopes & asked):
            raise NothingLeft(user.id, login.id)
        acting = origin.by(user.id, login.id)
        record(session, "refresh", acting, user_id=user.id, session_id=login.id)
        extra = core.hooks.extra_claims(session, user)
        return _granted(login, scopes, successor, extra)


def _note_refused(core: Gatehouse, origin: Origin, refused: NothingLeft) -> None:
    """A token that is tried for scopes beyond its grant leaves a trace; it is not used up."""
    with core.database.write() as session:
        record(
            session,
            "refresh_refused",
            origin,
            user_id=refused.user_id,
            session_id=refused.session_id,
        )


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


def _clean(core: Gatehouse) -> None:
    """Some of what is over, on the way. What goes wrong here is no business of the client's."""
    try:
        clean_some(core.database, core.lives.idle)
    except SQLAlchemyError as error:
        log.warning("expired rows were not deleted: %s", type(error).__name__)
