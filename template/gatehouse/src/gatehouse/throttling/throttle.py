"""Limits on guessing: sliding windows in this process's memory, or in one Redis or Valkey for all.

Everything here blocks; call it in a thread. The windows are those of the `limits` library.
"""

import math
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

from gatehouse.throttling.counters import Store, Windows

# A right login is recorded after its hash, so it would outlive its attempt and lend a free guess.
HASH_SECONDS = 10
RIGHT_LOGINS = 10_000  # those of one network that are remembered: a bound on its memory


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in any `seconds` (a sliding window); `name` is part of the keys."""

    name: str
    amount: int
    seconds: int


LOGIN_PAIR = Limit("login", 10, 900)  # failures of one account from one network
LOGIN_NETWORK = Limit("login-network", 50, 900)  # failures from one network, over all accounts
LOGIN_RIGHT = Limit("login-right", 60, 60)  # right logins of one account from one network
REGISTER = Limit("register", 100, 3600)
FORGOT = Limit("forgot", 200, 3600)
RESEND = Limit("resend", 200, 3600)
REFRESH = Limit("refresh", 3000, 900)
ONE_TIME = Limit("one-time", 300, 900)
MAIL = Limit("mail", 5, 3600)  # mails of one kind to one address, asked for from one network
MAIL_ADDRESS = Limit("mail-address", 20, 3600)  # mails to one address
MAIL_SHARE = Limit("mail-share", 15, 3600)  # of these, those asked for from one network


class Throttled(Exception):
    """Over a limit: 429. `retry_after` is in whole seconds, 1 or more: before that it is no use.

    `first` is true for one refusal of a key within its window, so that the caller writes one
    audit row and not thousands.
    """

    def __init__(self, retry_after: int, first: bool) -> None:
        super().__init__(retry_after, first)
        self.retry_after = retry_after
        self.first = first


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


class Throttle:
    """Counts in `url`: "memory://", or a Redis or Valkey that all processes of `service` share.

    While that store is lost each process counts for itself. `close` when done.
    """

    def __init__(self, url: str, service: str) -> None:
        self._windows = Windows(url, service)

    @property
    def degraded(self) -> bool:
        """Whether a shared store was set and is not in use now, as far as calls have shown."""
        return self._windows.degraded

    def count(self, limit: Limit, key: str) -> None:
        """Count one of `key`. Raises `Throttled` when over; what is refused is not counted."""
        hashed = _key(limit, key)
        _raise(self._windows.run(lambda store: _take(store, limit, hashed)))

    def allows(self, limit: Limit, key: str) -> bool:
        """Count one of `key`; False when over."""
        hashed = _key(limit, key)
        return self._windows.run(
            lambda store: store.acquire_entry(hashed, limit.amount, limit.seconds)
        )

    def allows_mail(self, kind: str, key: str, network: str) -> bool:
        """Count a mail of a kind to an address, asked for from a network; False when over.

        A network has mails of its own, so that a stranger's do not use up the owner's, until the
        address has had too many in all; and however many kinds there are, no network takes all of
        these. What is refused counts nowhere.
        """
        windows = (
            (MAIL, _key(MAIL, kind, key, network)),
            (MAIL_SHARE, _key(MAIL_SHARE, key, network)),
            (MAIL_ADDRESS, _key(MAIL_ADDRESS, key)),
        )

        def take(store: Store) -> bool:
            for limit, window in windows:
                seen = store.get_moving_window(window, limit.amount, limit.seconds)[1]
                if seen >= limit.amount:
                    return False
            # Full only if others came between, in a shared store: then one of another is lost.
            return all(
                store.acquire_entry(window, limit.amount, limit.seconds)
                for limit, window in windows
            )

        return self._windows.run(take)

    def count_login(self, account: str, network: str) -> None:
        """Count an attempt, before its hash, so that parallel guesses do not slip through.

        Raises `Throttled`. A refused attempt is not counted, so it does not prolong the wait.
        """
        pair = _key(LOGIN_PAIR, account, network)
        whole = _key(LOGIN_NETWORK, network)

        def attempt(store: Store) -> Throttled | None:
            seen = store.get_moving_window(pair, LOGIN_PAIR.amount, LOGIN_PAIR.seconds)[1]
            if seen >= LOGIN_PAIR.amount:
                return _refusal(store, LOGIN_PAIR, pair)
            # The network comes first: its limit bounds how many pairs it can bring into being.
            amount = LOGIN_NETWORK.amount + _given_back(store, whole)
            refusal = _take(store, replace(LOGIN_NETWORK, amount=amount), whole)
            if refusal is None and (refusal := _take(store, LOGIN_PAIR, pair)):
                _give_back(store, whole)  # parallel attempts filled the pair meanwhile
            return refusal

        _raise(self._windows.run(attempt))

    def check_login(self, account: str, network: str) -> None:
        """Raise `Throttled` where `count_login` or `login_succeeded` would.

        Counts nothing, so it comes first alone.
        """
        pair = _key(LOGIN_PAIR, account, network)
        whole = _key(LOGIN_NETWORK, network)
        right = _key(LOGIN_RIGHT, account, network)

        def look(store: Store) -> Throttled | None:
            network_amount = LOGIN_NETWORK.amount + _given_back(store, whole)
            for limit, key in (
                (LOGIN_PAIR, pair),
                (LOGIN_RIGHT, right),
                (replace(LOGIN_NETWORK, amount=network_amount), whole),
            ):
                if store.get_moving_window(key, limit.amount, limit.seconds)[1] >= limit.amount:
                    return _refusal(store, limit, key)
            return None

        _raise(self._windows.run(look))

    def login_succeeded(self, account: str, network: str) -> None:
        """Forget the pair's failures. The attempt itself no longer weighs on its network.

        Failures on other accounts do: else one's own account would buy guesses at all others.
        Raises `Throttled` for more right logins than anyone needs: each is a hash, a session and
        rows, and one account must not take all of them.
        """
        pair = _key(LOGIN_PAIR, account, network)
        whole = _key(LOGIN_NETWORK, network)
        right = _key(LOGIN_RIGHT, account, network)

        def succeed(store: Store) -> Throttled | None:
            store.clear(pair)
            _give_back(store, whole)
            return _take(store, LOGIN_RIGHT, right)

        _raise(self._windows.run(succeed))

    def forget(self) -> None:
        """Forget all that this process has counted, which tests do between each other."""
        self._windows.forget()

    def close(self) -> None:
        """Close the connections to the shared store. Counting in memory leaves no thread."""
        self._windows.close()


def _raise(refusal: Throttled | None) -> None:
    if refusal is not None:
        raise refusal


def _key(limit: Limit, *parts: str) -> str:
    """Bounded in length, and no address to be read in the store. Any text will do (RFC 8259)."""
    digests = (sha256(part.encode("utf-8", "surrogatepass")).hexdigest() for part in parts)
    return ":".join((limit.name, *digests))


def _take(store: Store, limit: Limit, key: str) -> Throttled | None:
    """Count one, atomically, unless the window is full."""
    if store.acquire_entry(key, limit.amount, limit.seconds):
        return None
    return _refusal(store, limit, key)


def _refusal(store: Store, limit: Limit, key: str) -> Throttled:
    oldest = store.get_moving_window(key, limit.amount, limit.seconds)[0]
    left = math.ceil(oldest + limit.seconds - time.time())
    first = store.acquire_entry(f"{key}:refused", 1, limit.seconds)
    return Throttled(min(max(left, 1), limit.seconds), first)


def _given_back(store: Store, whole: str) -> int:
    window = LOGIN_NETWORK.seconds - HASH_SECONDS
    return store.get_moving_window(f"{whole}:returned", RIGHT_LOGINS, window)[1]


def _give_back(store: Store, whole: str) -> None:
    """No storage can remove one entry, so what was given back is a second window beside it."""
    store.acquire_entry(f"{whole}:returned", RIGHT_LOGINS, LOGIN_NETWORK.seconds)
