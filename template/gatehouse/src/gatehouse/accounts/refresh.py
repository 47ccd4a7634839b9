"""Refresh tokens: opaque, rotated at each use, one chain for each session (RFC 9700 4.14.2)."""

import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any, NewType
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Insert, Update, bindparam, insert, update
from sqlmodel import Session, SQLModel, col, select
from sqlmodel.sql.expression import Select, SelectOfScalar

from gatehouse.accounts.audit import record
from gatehouse.accounts.proving import Parts
from gatehouse.accounts.sessions import end_session, is_live_at
from gatehouse.accounts.users import lock_user
from gatehouse.store.database import CommittedRefusal
from gatehouse.store.tables import LockedUser, LoginSession, RefreshToken, utc_now
from gatehouse.throttling.origin import Origin

PREFIX = "gatehouse_rt_"  # with the checksum, what a secret scanner can look for
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}[0-9a-f]{{8}}", re.ASCII)


# A session that this transaction holds until it ends: `find_login` alone gives it.
LockedLogin = NewType("LockedLogin", LoginSession)


class BadRefreshToken(Exception):
    """Unknown, of an ended session, or too old. A client sees `invalid_grant` for each of them."""


class RefusedRefreshToken(CommittedRefusal, BadRefreshToken):
    """It leaves an event, and what follows from it is done.

    A retired token came back after its window: someone else holds it, and its session has ended.
    Or the scopes asked for and those of the grant have nothing in common.
    """


@dataclass(frozen=True, slots=True)
class Granted:
    """What tokens are issued for: a session, what of its scopes, the refresh token, more claims."""

    login: LoginSession
    scopes: frozenset[str]
    refresh_token: str
    extra: Mapping[str, Any]


def new_refresh_token() -> str:
    """256 random bits in base64url, with a prefix and a checksum (CRC-32) for scanners."""
    body = PREFIX + secrets.token_urlsafe(32)
    return f"{body}{zlib.crc32(body.encode()):08x}"


def is_refresh_token(text: str) -> bool:
    """Whether a text has the form. What has not is refused without a question to the database."""
    if not _FORM.fullmatch(text):
        return False
    return f"{zlib.crc32(text[:-8].encode()):08x}" == text[-8:]


def digest_of(token: str) -> str:
    """What the database holds of a token. 256 random bits need no slow hash (ASVS 6.5.2)."""
    return sha256(token.encode()).hexdigest()


def issue_refresh_token(session: Session, session_id: UUID) -> str:
    """The first token of a session."""
    token = new_refresh_token()
    session.add(RefreshToken(digest=digest_of(token), session_id=session_id))
    return token


def refresh(core: Parts, origin: Origin, token: str, asked: frozenset[str] | None) -> Granted:
    """The next refresh token of a session, for what the role still holds of its scopes.

    Raises `BadRefreshToken`. A token that comes back too late ends its session; one that is tried
    for scopes beyond its grant is not used up.
    """
    verified = core.settings.auth_require_verified_email
    with core.database.write() as session:
        login, user = find_login(session, token, core.lifetimes.idle, verified=verified)
        # What the login was granted, as far as the role still holds it (RFC 6749 section 6).
        scopes = frozenset(login.scope.split()) & frozenset(core.roles.get(user.role, ()))
        if asked is not None:
            scopes &= asked
            if not scopes and is_usable(session, token, core.lifetimes.grace):
                record(session, "refresh_refused", origin, user_id=user.id, session_id=login.id)
                raise RefusedRefreshToken
        successor = rotate_token(session, token, login, core.lifetimes.grace)
        if successor is None:
            # Either who holds a retired token has stolen it, or who used it first: both are out.
            end_session(session, login.id)
            record(session, "refresh_reuse", origin, user_id=user.id, session_id=login.id)
            raise RefusedRefreshToken
        acting = origin.by(user.id, login.id)
        record(session, "refresh", acting, user_id=user.id, session_id=login.id)
        extra = core.hooks.extra_claims(session, user)
    return Granted(login, scopes, successor, extra)


def find_login(
    session: Session, token: str, idle: timedelta, *, verified: bool
) -> tuple[LockedLogin, LockedUser]:
    """The live session that a token belongs to, and its active user; else `BadRefreshToken`.

    `verified`: the address must be proved. Sessions from before that was asked for end so.
    Both rows are held until the transaction ends (on SQLite the whole database is): neither the
    role nor the session can change between here and `rotate_token`.
    """
    if not is_refresh_token(token):
        raise BadRefreshToken
    owner = session.exec(_owner(), params={"token": digest_of(token)}).one_or_none()
    user = lock_user(session, owner[1], share=True) if owner else None
    if owner is None or user is None or not user.is_active:
        raise BadRefreshToken
    if verified and user.email_verified_at is None:
        raise BadRefreshToken
    now = utc_now()
    wanted = {"session_id": owner[0], "now": now, "unused_since": now - idle}
    login = session.exec(_live_login(), params=wanted).one_or_none()
    if login is None:
        raise BadRefreshToken
    return LockedLogin(login), user


def rotate_token(session: Session, token: str, login: LockedLogin, grace: timedelta) -> str | None:
    """Retire a token and give its one successor, the same one again inside the grace window.

    The retirement is one conditional UPDATE: of many at the same moment one wins, and the
    others, which waited for it, are given what it made. None for a token that was retired too
    long ago, or whose successor was used.
    """
    now = utc_now()
    successor = new_refresh_token()
    retirement = {"token": digest_of(token), "now": now, "sealed": _seal(token, successor)}
    if session.execute(_retire(), retirement).rowcount:  # type: ignore[attr-defined]
        session.execute(_use(), {"session_id": login.id, "now": now})
        row = {"digest": digest_of(successor), "session_id": login.id}
        session.execute(_insert(), row)
        return successor
    return _successor_of(session, token, now - grace)


def is_usable(session: Session, token: str, grace: timedelta) -> bool:
    """Whether `rotate_token` would give a successor, of a token whose login is held."""
    row = session.get_one(RefreshToken, digest_of(token), populate_existing=True)
    return row.retired_at is None or bool(_successor_of(session, token, utc_now() - grace))


# Statements that are kept: to build one at each refresh costs more than to run it.
@cache
def _owner() -> Select[UUID, UUID]:
    found = select(LoginSession.id, LoginSession.user_id)
    found = found.join(RefreshToken, col(RefreshToken.session_id) == col(LoginSession.id))
    return found.where(RefreshToken.digest == bindparam("token"))


@cache
def _live_login() -> SelectOfScalar[LoginSession]:
    is_live = is_live_at(bindparam("now"), bindparam("unused_since"))
    query = select(LoginSession).where(LoginSession.id == bindparam("session_id"), *is_live)
    return query.with_for_update(of=LoginSession)


@cache
def _retire() -> Update:
    token, unused = col(RefreshToken.digest), col(RefreshToken.retired_at).is_(None)
    retired: dict[str, Any] = {
        "retired_at": bindparam("now"),
        "sealed_successor": bindparam("sealed"),
    }
    found = update(RefreshToken).where(token == bindparam("token"), unused).values(retired)
    # No row of it is loaded here; what is read afterwards is read anew.
    return found.execution_options(synchronize_session=False)


@cache
def _use() -> Update:
    login = update(LoginSession).where(col(LoginSession.id) == bindparam("session_id"))
    used = login.values({"last_used_at": bindparam("now")})
    return used.execution_options(synchronize_session=False)


@cache
def _insert() -> Insert:
    return insert(SQLModel.metadata.tables["gatehouse_refresh_token"])


def _successor_of(session: Session, token: str, since: datetime) -> str | None:
    """What a token that was retired lately was exchanged for, if that is not yet used."""
    parent = session.get_one(RefreshToken, digest_of(token), populate_existing=True)
    if parent.retired_at is None or parent.retired_at <= since or not parent.sealed_successor:
        return None
    successor = _open(token, parent.sealed_successor)
    child = session.get(RefreshToken, digest_of(successor)) if successor else None
    return successor if child is not None and child.retired_at is None else None


# The successor lies in the parent's row sealed under a key that only the parent's own bytes give:
# a stolen database opens nothing, and whoever holds an old token cannot compute later ones.
def _key(token: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"gatehouse refresh successor").derive(token.encode())


def _seal(parent: str, successor: str) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + ChaCha20Poly1305(_key(parent)).encrypt(nonce, successor.encode(), None)


def _open(parent: str, sealed: bytes) -> str | None:
    try:
        return ChaCha20Poly1305(_key(parent)).decrypt(sealed[:12], sealed[12:], None).decode()
    except InvalidTag:
        return None
