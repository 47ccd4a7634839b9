"""The client's address: the socket's peer, or what a proxy named in TRUSTED_PROXIES says."""

import logging
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from gatehouse.settings import Network

log = logging.getLogger("gatehouse.proxies")

AGAIN = 60.0  # seconds between two lines on a proxy that cannot be read
_said = -AGAIN

# An address with a port, IPv6 in brackets as in a URL: Azure's gateway sends the port of each
# client, IIS and AWS may. Without brackets the end of an IPv6 address could be either.
_ENTRY = re.compile(
    r"(?:\[(?P<six>[^\[\]]*:[^\[\]]*)\]|(?P<four>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?"
)


def client_address(connection: "HTTPConnection", trusted: "Sequence[Network]") -> str:
    """The address to count and record. An untrusted peer's `X-Forwarded-For` changes nothing.

    Read from the right: the first entry that is no trusted proxy is the client. What is left
    of it is whatever the client chose to send. An empty entry is none (RFC 9110 section
    5.6.1.2). One that is no address ends the search at the last hop that was one.
    """
    address = connection.client.host if connection.client else ""
    sent = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    hops = [hop for entry in sent if (hop := entry.strip())]
    while is_trusted(address, trusted) and hops:
        parsed = _entry(hops.pop())
        if parsed is None:
            _say_unreadable()
            break
        address = str(parsed)
    return address


def _say_unreadable() -> None:
    """All clients of that proxy count as one, and one attacker locks them all out."""
    global _said
    if monotonic() - _said >= AGAIN:
        _said = monotonic()
        log.error(
            "a trusted proxy wrote an entry of X-Forwarded-For that is not an address: its "
            "clients count as one; let it send plain addresses"
        )


def _entry(text: str) -> IPv4Address | IPv6Address | None:
    """What a proxy wrote: an address, or one with a port. Nothing else is guessed."""
    found = _ENTRY.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65_535:
        return _parse(text)
    return _parse(found["six"] or found["four"])


def is_trusted(address: str, trusted: "Sequence[Network]") -> bool:
    """Whether it lies in a network of `TRUSTED_PROXIES`."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address; a zone (`fe80::1%text`) is the sender's own text, so such a one is none."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, IPv4Address):
        return parsed
    return None if parsed.scope_id else parsed.ipv4_mapped or parsed
