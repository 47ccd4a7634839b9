"""The client's address: the socket's peer, or what a proxy named in TRUSTED_PROXIES says."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import HTTPConnection

from gatehouse.settings import Network


def client_address(connection: HTTPConnection, trusted: Sequence[Network]) -> str:
    """The address to count and record. An untrusted peer's `X-Forwarded-For` changes nothing.

    Read from the right: the first entry that is no trusted proxy is the client. What is left
    of it is whatever the client chose to send. An entry that is no address ends the search at
    the last hop that was one.
    """
    address = connection.client.host if connection.client else ""
    hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    while _is_trusted(address, trusted) and hops:
        hop = _parse(hops.pop().strip())
        if hop is None:
            break
        address = str(hop)
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
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
