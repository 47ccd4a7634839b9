"""What accounts should be, in plain Python: no table, no lock and no line of the core's.

Times are seconds since 1970. The numbers are the contract's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

MINUTE, HOUR, DAY = 60, 3600, 86_400
GRACE, IDLE, LIFE = 10, 14 * DAY, 30 * DAY
ADDRESSES_KEPT, MAIL_KEPT = 90 * DAY, DAY
LINK_LIVES = {"registration": DAY, "verify": DAY, "reset": 30 * MINUTE, "change_email": DAY}
GUESSES, GUESSES_OF_A_NETWORK, GUESS_WINDOW = 10, 50, 15 * MINUTE
MOST_FAILURES = 15  # in place of a hundred, which no short history reaches
NOTEWORTHY_FAILURES = 10
LINK_GUESSES = 10
PENDING_OF_A_NETWORK, MOST_PENDING = 5, 20
MAILS, MAILS_OF_AN_ADDRESS = 5, 20  # in an hour: of a kind from a network, and in all
ROLES = {
    "user": frozenset({"notes:read", "notes:write"}),
    "admin": frozenset({"notes:read", "notes:write", "users:read", "users:write"}),
}


@dataclass(eq=False)
class Account:
    """`events` counts what makes older things void. `known`: last login from each network."""

    id: UUID
    email: str
    password: str
    role: str = "user"
    active: bool = True
    verified: bool = True
    deleted: bool = False
    failures: int = 0
    events: int = 0
    known: dict[str, float] = field(default_factory=dict)

    def is_good(self, _: float) -> bool:
        return not self.deleted

    def __repr__(self) -> str:
        return self.email


@dataclass(eq=False)
class Login:
    """One session. `events` is its account's number when it was opened."""

    account: Account
    events: int
    scopes: frozenset[str]
    opened: float
    used: float
    id: UUID | None = None  # None where the answer was lost
    ended: bool = False

    def is_good(self, now: float) -> bool:
        account = self.account
        void = self.ended or account.deleted or not account.active or self.events != account.events
        return not void and now < self.opened + LIFE and now < self.used + IDLE


@dataclass(eq=False)
class Refresh:
    """A refresh token, None where its answer was lost."""

    login: Login
    token: str | None
    retired: float | None = None
    successor: "Refresh | None" = None

    def is_good(self, now: float) -> bool:
        """Whether its session lives: a retired one is good for a retry, and then for a reuse."""
        return self.login.is_good(now)


@dataclass(eq=False)
class Access:
    """An access token."""

    login: Login
    token: str
    scopes: frozenset[str]
    expires: float

    def is_good(self, now: float) -> bool:
        return now < self.expires and self.login.is_good(now)


@dataclass(eq=False)
class Pending:
    """A registration that is not confirmed."""

    email: str
    password: str
    network: str
    expires: float = 0.0
    link: "Link | None" = None
    gone: bool = False


@dataclass(eq=False)
class Link:
    """A mailed token. `owner` is what it is of, `email` where it went."""

    kind: str
    token: str
    owner: Account | Pending
    email: str
    expires: float
    events: int = 0
    used: bool = False
    wrong: int = 0

    def is_good(self, now: float) -> bool:
        if self.used or now >= self.expires:
            return False
        if isinstance(self.owner, Pending):
            return self.owner.link is self
        account = self.owner
        return account.active and not account.deleted and account.events == self.events


@dataclass(eq=False)
class Guesses:
    """Wrong passwords in the last quarter of an hour, of a pair and of a network."""

    pairs: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    networks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def are_too_many(self, email: str, network: str, now: float) -> bool:
        pair = _later(self.pairs[email, network], now - GUESS_WINDOW)
        whole = _later(self.networks[network], now - GUESS_WINDOW)
        return len(pair) >= GUESSES or len(whole) >= GUESSES_OF_A_NETWORK

    def wrong(self, email: str, network: str, now: float) -> None:
        self.pairs[email, network].append(now)
        self.networks[network].append(now)

    def right(self, email: str, network: str) -> None:
        """Forgotten are the failures of the pair; those of the network stay."""
        self.pairs[email, network].clear()


def _later(times: list[float], since: float) -> list[float]:
    return [time for time in times if time > since]


class Expected:
    """All that the service should know, and what was written down."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        self.logins: list[Login] = []
        self.access: list[Access] = []
        self.refresh: list[Refresh] = []
        self.pending: list[Pending] = []
        self.links: list[Link] = []
        self.guesses = Guesses()
        self.events = Counter[str]()
        self.mails: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self.notices: list[tuple[float, tuple[str, str]]] = []  # when, to whom, which
        self.asked: dict[str, Pending] = {}  # registrations, by the request's id
        self.moves: list[tuple[Account, str, int]] = []  # to which address, under which event

    def forget_old(self, now: float) -> None:
        """What `cleanup` does that a client could notice."""
        for pending in [one for one in self.pending if one.expires < now]:
            self.drop(pending)
        for account in self.accounts:
            recent = {net: at for net, at in account.known.items() if at >= now - ADDRESSES_KEPT}
            account.known = recent

    def living(self) -> Iterator[Account]:
        return (account for account in self.accounts if not account.deleted)

    def of(self, email: str) -> Account | None:
        return next((account for account in self.living() if account.email == email), None)

    def void(self, account: Account, but: Login | None = None) -> None:
        """After this nothing that was begun under the account is good, but for one session."""
        account.events += 1
        self.end_all(account, but)
        if but is not None:
            but.events = account.events

    def end_all(self, account: Account | None = None, but: Login | None = None) -> None:
        """The sessions of an account, or of everyone, end."""
        for login in self.logins:
            if account in (None, login.account) and login is not but:
                login.ended = True

    def set_password(self, account: Account, password: str, but: Login | None = None) -> None:
        account.password, account.failures = password, 0
        self.void(account, but)

    def fail(self, email: str) -> None:
        """A wrong password: written down, and counted on the account if there is one."""
        self.events["login_failed"] += 1
        if (account := self.of(email)) is not None:
            account.failures += 1

    def opens(self, account: Account | None, password: str, network: str) -> bool:
        """Whether a password proves an account from a network."""
        return (
            account is not None
            and account.active
            and account.password == password
            and (account.failures < MOST_FAILURES or network in account.known)
        )

    def is_last_administrator(self, account: Account) -> bool:
        active = [one for one in self.living() if one.active and one.role == "admin"]
        return active == [account]

    def may_mail(self, kind: str, email: str, network: str, now: float) -> bool:
        """Count a mail to an address, if there may be one."""
        own, whole = self.mails[kind, email, network], self.mails[(email,)]
        if len(_later(whole, now - HOUR)) >= MAILS_OF_AN_ADDRESS:
            return False
        if len(_later(own, now - HOUR)) >= MAILS:
            return False
        own.append(now)
        whole.append(now)
        return True

    def note_pending(self, made: Pending) -> None:
        """A further registration of an address. No network takes the others' places."""
        same = [one for one in self.pending if one.email == made.email]
        count = Counter(one.network for one in (*same, made))
        if count[made.network] > PENDING_OF_A_NETWORK:
            self.drop(next(one for one in same if one.network == made.network))
        elif count.total() > MOST_PENDING:
            [(busiest, _)] = count.most_common(1)
            self.drop(next(one for one in same if one.network == busiest))
        self.pending.append(made)

    def drop(self, pending: Pending) -> None:
        self.pending.remove(pending)
        pending.link, pending.gone = None, True

    def note_link(self, link: Link) -> None:
        """A further link. The one before it, of the same kind and owner, is good no more."""
        for older in self.links:
            if older.kind == link.kind and older.owner is link.owner:
                older.used = True
        self.links.append(link)
        if isinstance(link.owner, Pending):
            link.owner.link, link.owner.expires = link, link.expires
