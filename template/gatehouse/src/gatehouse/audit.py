"""Security events: a row each, and a line each on the logger `gatehouse.audit`.

The names are the contract's; the core's README maps them to OWASP's vocabulary. A row that must
survive a refused request is written in a transaction of its own before the refusal is raised.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Literal
from uuid import UUID

from sqlmodel import Session
from starlette.requests import HTTPConnection

from gatehouse.proxies import client_address
from gatehouse.request_ids import request_id
from gatehouse.settings import Network
from gatehouse.tables import AuditEvent
from gatehouse.throttle import network_of

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
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from."""

    ip: str
    user_agent: str
    request_id: str
    network: str = ""


COMMAND = Origin(ip="", user_agent="command", request_id="")


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
    """Write an event into the caller's transaction, and into the log."""
    row = AuditEvent(event=event, user_id=user_id, session_id=session_id, **asdict(origin))
    session.add(row)
    fields = {
        "event": event,
        "user_id": str(user_id) if user_id else None,
        "session_id": str(session_id) if session_id else None,
        "address": origin.ip,
        "user_agent": origin.user_agent,
    }
    log.info("%s", event, extra={"fields": fields})
