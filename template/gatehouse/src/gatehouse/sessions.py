"""Login sessions: open one. Plain functions on a database session."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from sqlmodel import Session

from gatehouse.tables import LoginSession, utc_now

USER_AGENT_LENGTH = 256  # characters kept of what the client calls itself


def open_session(
    session: Session, *, user_id: UUID, scopes: Iterable[str], days: int, user_agent: str, ip: str
) -> LoginSession:
    """A new login session that ends after `days`. Never the one a client brings (ASVS 7.2.4)."""
    now = utc_now()
    opened = LoginSession(
        user_id=user_id,
        scope=" ".join(sorted(scopes)),
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=days),
        user_agent="".join(c for c in user_agent if c.isprintable())[:USER_AGENT_LENGTH],
        ip=ip,
    )
    session.add(opened)
    session.flush()
    return opened
