"""Who asks: the client of a request, the network that counts as one, and the request's id."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from uuid import UUID

from gatehouse.throttling.proxies import client_address

if TYPE_CHECKING:  # the log of a command has a request's id too, and needs no framework for that
    from starlette.requests import HTTPConnection

    from gatehouse.settings import Network

USER_AGENT_LENGTH = 256  # characters kept of what a client calls itself

# The id of the request that is being answered, for every log line and audit row.
request_id: ContextVar[str] = ContextVar("request_id", default="-")


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


def origin_of(connection: "HTTPConnection", trusted: "tuple[Network, ...]") -> Origin:
    """The client of a request, made fit to be stored and shown."""
    agent = connection.headers.get("user-agent", "")
    if trusted:
        ip = client_address(connection, trusted)
    else:  # nobody's header is believed
        ip = connection.client.host if connection.client else ""
    return Origin(
        ip=ip,
        network=network_of(ip),
        user_agent="".join(c for c in agent if c.isprintable())[:USER_AGENT_LENGTH],
        request_id=request_id.get(),
    )


def network_of(ip: str) -> str:
    """Whom to count: an IPv4 address, or the /64 of an IPv6 one, which is what one client gets.

    Text that is no address comes back as it is, cut to 64 characters.
    """
    try:
        parsed = ip_address(ip)
    except ValueError:
        return ip[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), 64), strict=False))
