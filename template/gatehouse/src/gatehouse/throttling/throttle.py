"""Limits on guessing: sliding windows in this process's memory, or in one Redis or Valkey for all.

Everything here blocks; call it in a thread. The windows are those of the `limits` library.
"""

import math
import time
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from gatehouse.throttling.counters import SharedStore
from gatehouse.throttling.memory_store import MemoryStore, Store, Window

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


class Throttle:
    """Counts in `url`: "memory://", or a Redis or Valkey that all processes of `service` share.

    While that store is lost each process counts for itself. `close` when done.
    """

    def __init__(self, url: str, service: str) -> None:
        self.store = MemoryStore() if url == "memory://" else SharedStore(url, service)

    @property
    def degraded(self) -> bool:
        """Whether a shared store was set and is not in use now, as far as calls have shown."""
        return self.store.degraded

    def count(self, limit: Limit, key: str) -> None:
        """Count one of `key`. Raises `Throttled` when over; what is refused is not counted."""
        window = _window(limit, key)

        def take(store: Store) -> Throttled | None:
            return None if store.acquire_entry(*window) else _refusal(window, store)

        if refusal := self.store.run(take):
            raise refusal

    def allows(self, limit: Limit, key: str) -> bool:
        """Count one of `key`; False when over."""
        window = _window(limit, key)
        return self.store.run(lambda store: store.acquire_entry(*window))

    def allows_mail(self, kind: str, key: str, network: str) -> bool:
        """Count a mail of a kind to an address, asked for from a network; False when over.

        A network has mails of its own, so that a stranger's do not use up the owner's, until the
        address has had too many in all; and however many kinds there are, no network takes all of
        these. What is refused counts nowhere.
        """
        limits = (
            _window(MAIL, kind, key, network),
            _window(MAIL_SHARE, key, network),
            _window(MAIL_ADDRESS, key),
        )

        def take(store: Store) -> bool:
            for window in limits:
                if store.get_moving_window(*window)[1] >= window.amount:
                    return False
            # Full only if others came between, in a shared store: then one of another is lost.
            return all(store.acquire_entry(*window) for window in limits)

        return self.store.run(take)

    def count_login(self, account: str, network: str) -> None:
        """Count an attempt, before its hash, so that parallel guesses do not slip through.

        Raises `Throttled`. A refused attempt is not counted, so it does not prolong the wait.
        """
        pair = _window(LOGIN_PAIR, account, network)
        whole = _window(LOGIN_NETWORK, network)
        returned = _returned(whole)

        def attempt(store: Store) -> Throttled | None:
            if store.get_moving_window(*pair)[1] >= pair.amount:
                return _refusal(pair, store)
            # The network comes first: its limit bounds how many pairs it can bring into being.
            most = whole._replace(amount=whole.amount + store.get_moving_window(*returned)[1])
            if not store.acquire_entry(*most):
                return _refusal(most, store)
            if not store.acquire_entry(*pair):  # parallel attempts filled it meanwhile
                store.acquire_entry(*returned)
                return _refusal(pair, store)
            return None

        if refusal := self.store.run(attempt):
            raise refusal

    def check_login(self, account: str, network: str) -> None:
        """Raise `Throttled` where `count_login` or `login_succeeded` would.

        Counts nothing, so it comes first alone.
        """
        pair = _window(LOGIN_PAIR, account, network)
        right = _window(LOGIN_RIGHT, account, network)
        whole = _window(LOGIN_NETWORK, network)
        limits = (pair, right, whole)
        *counted, (_, more) = self.store.look((*limits, _returned(whole)))
        for window, (_, number) in zip(limits, counted, strict=True):
            if number >= window.amount + (more if window is whole else 0):
                raise self.store.run(partial(_refusal, window))

    def login_succeeded(self, account: str, network: str) -> None:
        """Forget the pair's failures. The attempt itself no longer weighs on its network.

        Failures on other accounts do: else one's own account would buy guesses at all others.
        Raises `Throttled` for more right logins than anyone needs: each is a hash, a session and
        rows, and one account must not take all of them.
        """
        pair = _window(LOGIN_PAIR, account, network)
        right = _window(LOGIN_RIGHT, account, network)
        returned = _returned(_window(LOGIN_NETWORK, network))

        def succeed(store: Store) -> Throttled | None:
            store.clear(pair.key)
            store.acquire_entry(*returned)
            return None if store.acquire_entry(*right) else _refusal(right, store)

        if refusal := self.store.run(succeed):
            raise refusal

    def forget(self) -> None:
        """Forget all that this process has counted, which tests do between each other."""
        self.store.forget()

    def close(self) -> None:
        """Close the connections to the shared store."""
        self.store.close()


def _window(limit: Limit, *parts: str) -> Window:
    """Its key is bounded in length, and shows no address. Any text will do (RFC 8259)."""
    digests = (sha256(part.encode("utf-8", "surrogatepass")).hexdigest() for part in parts)
    return Window(":".join((limit.name, *digests)), limit.amount, limit.seconds)


def _returned(whole: Window) -> Window:
    """No storage can remove one entry, so what was given back is a second window beside it."""
    return Window(f"{whole.key}:returned", RIGHT_LOGINS, whole.seconds - HASH_SECONDS)


def _refusal(window: Window, store: Store) -> Throttled:
    oldest = store.get_moving_window(*window)[0]
    left = math.ceil(oldest + window.seconds - time.time())
    first = store.acquire_entry(f"{window.key}:refused", 1, window.seconds)
    return Throttled(min(max(left, 1), window.seconds), first)
