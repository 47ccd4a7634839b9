"""Errands: what a request leaves to be done after its answer.

A door that anyone may knock at (registration, a forgotten password) writes one row here and
answers. Whether there is an account is seen only later, so no answer can tell (ASVS 6.3.8).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel import Session, col, select

from gatehouse.hooks import Hooks
from gatehouse.store.database import NOTES
from gatehouse.store.tables import Errand, User
from gatehouse.throttling.origin import Origin

MAIL_WAITS = "mail waits"  # a note of a transaction


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent: the name of its template, and what the template is filled with."""

    to: str
    template: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What doing an errand depends on. `pages` is where the links of mails lead, `home` above."""

    hooks: Hooks
    home: str
    pages: str
    must_verify: bool

    def link(self, page: str, token: str, more: str = "") -> str:
        """The token stands in the fragment, which no server and no log gets to see."""
        return f"{self.pages}/{page}#token={token}{more}"


# Does an errand in its own transaction; what is to be mailed, if anything.
Doing = Callable[[Session, Errand, Terms], Letter | None]


def leave(
    session: Session,
    kind: str,
    origin: Origin,
    *,
    email: str,
    email_key: str,
    user_id: UUID | None = None,
    stamp: int | None = None,
    password_hash: str | None = None,
) -> None:
    """Leave an errand, in the caller's transaction; after its commit the outbox is told.

    `stamp` is that of the account that it acts for: an errand that makes a link is void when
    the account's has moved on.
    """
    session.info.setdefault(NOTES, []).append(MAIL_WAITS)
    session.add(
        Errand(
            kind=kind,
            email=email,
            email_key=email_key,
            user_id=user_id,
            stamp=stamp,
            password_hash=password_hash,
            ip=origin.ip,
            network=origin.network,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
        )
    )


def notify(session: Session, kind: str, user: User, origin: Origin) -> None:
    """A mail to an account's present address about something that happened to it."""
    leave(session, kind, origin, email=user.email, email_key=user.email_key, user_id=user.id)


def source_of(errand: Errand) -> Origin:
    """Where the request came from that asked for it."""
    return Origin(
        ip=errand.ip,
        network=errand.network,
        user_agent=errand.user_agent,
        request_id=errand.request_id,
    )


def is_superseded(session: Session, errand: Errand) -> bool:
    """Whether the same account asked for the same again later: then that is done alone."""
    later = select(Errand.id).where(
        Errand.kind == errand.kind,
        Errand.user_id == errand.user_id,
        Errand.email_key == errand.email_key,
        col(Errand.created_at) > errand.created_at,
    )
    return session.exec(later.limit(1)).first() is not None
