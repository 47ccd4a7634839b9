"""Security events: a row each, and a line each on the logger `gatehouse.audit`.

The names are the contract's; REFERENCE.md maps them to OWASP's vocabulary. A row that must
survive a refused request is written in a transaction of its own before the refusal is raised.
"""

import logging
from dataclasses import asdict, dataclass, replace
from typing import Literal
from uuid import UUID

from sqlmodel import Session
from starlette.requests import HTTPConnection

from gatehouse.settings import Network
from gatehouse.store.tables import AuditEvent
from gatehouse.throttling.origin import request_id
from gatehouse.throttling.proxies import client_address
from gatehouse.throttling.throttle import network_of

log = logging.getLogger("gatehouse.audit")

USER_AGENT_LENGTH = 256  # characters kept of what a client calls itself

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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, and who acts by it: a user's id, `command`, or nobody known."""

    ip: str
    user_agent: str
    request_id: str
    network: str = ""
    actor: str = ""
    actor_session_id: UUID | None = None

    def by(self, user_id: UUID, session_id: UUID | None = None) -> "Origin":
        """The same place, once it is known which account acts."""
        return replace(self, actor=str(user_id), actor_session_id=session_id)


COMMAND = Origin(ip="", user_agent="command", request_id="", actor="command")


def origin_of(connection: HTTPConnection, trusted: tuple[Network, ...]) -> Origin:
    """The client of a request, made fit to be stored and shown."""
    agent = connection.headers.get("user-agent", "")
    ip = client_address(connection, trusted)
    return Origin(
        ip=ip,
        network=network_of(ip),
        user_agent="".join(c for c in agent if c.isprintable())[:USER_AGENT_LENGTH],
        request_id=request_id.get(),
    )


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
    row = AuditEvent(event=event, user_id=user_id, session_id=session_id, **asdict(origin))
    session.add(row)
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
