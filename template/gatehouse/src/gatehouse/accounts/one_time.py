"""Tokens that are mailed: good once, for one purpose, one account and one address (ASVS 6.4.3)."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Session, col, select

from gatehouse.store.tables import LockedUser, OneTimeToken, User, utc_now

Purpose = Literal["verify", "reset", "change_email"]

PREFIX = "gatehouse_ot_"  # what a secret scanner can look for
MAX_LENGTH = 128  # characters of a sent token that are looked at

LIVES: dict[Purpose, timedelta] = {
    "verify": timedelta(hours=24),
    "reset": timedelta(minutes=30),
    "change_email": timedelta(hours=24),
}


class BadOneTimeToken(Exception):
    """Unknown, used, expired, retired, or for another purpose. A client sees one answer."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a token stood for. `email` is the address that it was mailed to."""

    purpose: str
    email: str


def new_token() -> tuple[str, str]:
    """A token of 256 random bits, and the digest that the database keeps of it."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, digest_of(token)


def issue(session: Session, purpose: Purpose, user: LockedUser, email: str) -> str:
    """A new token under the account's stamp; its row is locked by the caller.

    Earlier ones of that account and purpose are good no more.
    """
    retire(session, user.id, purpose)
    token, digest = new_token()
    session.add(
        OneTimeToken(
            digest=digest,
            purpose=purpose,
            user_id=user.id,
            email=email,
            expires_at=utc_now() + LIVES[purpose],
            stamp=user.stamp,
        )
    )
    return token


def holder(session: Session, token: str, *purposes: Purpose) -> User:
    """The active account of a token that is still good, which stays so. Else BadOneTimeToken."""
    user = session.exec(
        select(User)
        .join(OneTimeToken, col(OneTimeToken.user_id) == col(User.id))
        .where(
            OneTimeToken.digest == digest_of(token),
            col(OneTimeToken.purpose).in_(purposes),
            col(OneTimeToken.expires_at) > utc_now(),
            col(OneTimeToken.stamp) == col(User.stamp),
            col(User.is_active).is_(True),
        )
    ).one_or_none()
    if user is None:
        raise BadOneTimeToken
    return user


def redeem(session: Session, token: str, user: LockedUser, *purposes: Purpose) -> Redeemed:
    """Use a token of this account up, by one conditional DELETE: of many at once one wins.

    Its row is locked by the caller, so that its stamp holds. Else BadOneTimeToken. One for
    another purpose is left as it was.
    """
    used = (
        delete(OneTimeToken)
        .where(
            col(OneTimeToken.digest) == digest_of(token),
            col(OneTimeToken.user_id) == user.id,
            col(OneTimeToken.purpose).in_(purposes),
            col(OneTimeToken.stamp) == user.stamp,
            col(OneTimeToken.expires_at) > utc_now(),
        )
        .returning(col(OneTimeToken.purpose), col(OneTimeToken.email))
    )
    row = session.execute(used).one_or_none()
    if row is None or not user.is_active:
        raise BadOneTimeToken
    return Redeemed(*row)


def retire(session: Session, user_id: UUID, *purposes: Purpose) -> None:
    """Make an account's tokens useless: those for some purposes, or all."""
    which = [col(OneTimeToken.user_id) == user_id]
    if purposes:
        which.append(col(OneTimeToken.purpose).in_(purposes))
    session.execute(delete(OneTimeToken).where(*which))


def digest_of(token: str) -> str:
    """What the database holds of a token. 256 random bits need no slow hash (ASVS 6.5.2)."""
    return sha256(token[:MAX_LENGTH].encode("utf-8", "surrogatepass")).hexdigest()
