"""The client's address: the socket's peer, or what a proxy named in TRUSTED_PROXIES says."""

from collections.abc import Sequence
from ipaddress import ip_address

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
        hop = hops.pop().strip()
        try:
            address = str(ip_address(hop))
        except ValueError:
            break
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)
