"""Security events: a row each, and a line each on the logger `gatehouse.audit`. Verbs write them.

The names are the contract's; REFERENCE.md maps them to OWASP's vocabulary. A row that must
survive a refused request is written in a transaction of its own before the refusal is raised, or
in one that a `CommittedRefusal` ends.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlmodel import Session

from gatehouse.store.database import DatabasePool
from gatehouse.store.tables import AuditEvent
from gatehouse.throttling.origin import Origin

log = logging.getLogger("gatehouse.audit")

Event = Literal[
    "login",
    "login_failed",
    "refresh",
    "refresh_reuse",
    "logout",
    "user_created",
    "user_disabled",
    "user_enabled",
    "sessions_ended",
    "keys_rotated",
    "registered",
    "email_verified",
    "email_changed",
    "password_changed",
    "password_reset_requested",
    "password_reset",
    "account_deleted",
    "role_changed",
    "throttled",
    "refresh_refused",
    "email_change_requested",
    "role_refused",
]


def record(
    session: Session,
    event: Event,
    origin: Origin,
    *,
    user_id: UUID | None = None,
    session_id: UUID | None = None,
) -> None:
    """Write an event into the caller's transaction, and into the log.

    `user_id` and `session_id` are whom it befell, the origin's actor who did it.
    """
    _write_line(event, origin, user_id, session_id)
    session.add(AuditEvent(event=event, user_id=user_id, session_id=session_id, **asdict(origin)))


def _write_line(
    event: Event, origin: Origin, user_id: UUID | None = None, session_id: UUID | None = None
) -> None:
    fields = {
        "event": event,
        "user_id": str(user_id) if user_id else None,
        "session_id": str(session_id) if session_id else None,
        "actor": origin.actor or None,
        "actor_session_id": str(origin.actor_session_id) if origin.actor_session_id else None,
        "address": origin.ip,
        "user_agent": origin.user_agent,
    }
    log.info("%s", event, extra={"fields": fields})


def record_many(session: Session, event: Event, origin: Origin, user_ids: Sequence[UUID]) -> None:
    """The rows alone, for many accounts at once; `log_many` writes one line for all of them."""
    row = AuditEvent(event=event, **asdict(origin)).model_dump()
    rows = [{**row, "id": uuid4(), "user_id": user_id} for user_id in user_ids]
    session.execute(insert(AuditEvent), rows)


def log_many(event: Event, origin: Origin, count: int) -> None:
    """The line of events that befell many accounts, after their commit."""
    fields = {"event": event, "count": count, "user_agent": origin.user_agent}
    log.info("%s", event, extra={"fields": fields})


def note_rotation(database: DatabasePool, origin: Origin) -> None:
    """That the key ring has changed: the one thing of which no account's verb knows.

    The line is written in any case: a rotation may be an emergency, and does not wait for the
    database. Raises SQLAlchemy's errors where the row could not be.
    """
    _write_line("keys_rotated", origin)
    with database.write() as session:
        session.add(AuditEvent(event="keys_rotated", **asdict(origin)))
