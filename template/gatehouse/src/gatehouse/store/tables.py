"""The core's tables. Their names start with `gatehouse_`, so they never meet yours."""

from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID, uuid4

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, MetaData, text
from sqlalchemy.exc import DataError, DontWrapMixin
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class NaiveTime(DontWrapMixin, DataError, ValueError):
    """A time without a zone, which SQLite and PostgreSQL would take for different moments.

    A `DataError`, as of a value that a database refuses: the answer to a client is 422.
    """

    def __init__(self) -> None:
        super().__init__(None, None, ValueError("a time without a time zone is no moment"))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets time zones, so they are taken off and put back here.

    What has no zone is refused when it is bound (`NaiveTime`, a ValueError).
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise NaiveTime
        if dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """The present moment, with its time zone."""
    return datetime.now(UTC)


class _Quiet(SQLModel):
    """A row whose `repr` shows its id alone: a logged row must not show a hash or an address."""

    def __repr_args__(self) -> Any:
        return [("id", getattr(self, "id", None))]


class User(_Quiet, table=True):
    """An account. `email` is the address as given; `email_key` is what makes it one account.

    `stamp` rises with every event after which older things are void (see `accounts/stamps.py`).
    """

    __tablename__ = "gatehouse_user"
    __table_args__ = (
        Index("ix_gatehouse_user_created_at_id", "created_at", "id"),
        Index(
            "ix_gatehouse_user_admin",
            "role",
            sqlite_where=text("role = 'admin'"),
            postgresql_where=text("role = 'admin'"),
        ),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    email: str
    email_key: str = Field(unique=True)
    password_hash: str
    role: str
    is_active: bool = True
    email_verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failed_logins: int = 0  # in a row, over all addresses
    stamp: int = 0
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


# A row that this transaction holds until it ends: `users.lock_user` and `users.create_user` alone
# give it. A verb that takes one decides from what is true when it writes.
LockedUser = NewType("LockedUser", User)


class LoginSession(_Quiet, table=True):
    """One login. It lives until `expires_at`, until its row goes, or until a stamp moves on:

    `stamp` is its account's and `epoch` the service's at the moment when it was opened.
    """

    __tablename__ = "gatehouse_login_session"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE", index=True)
    scope: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    user_agent: str
    ip: str
    stamp: int = 0
    epoch: int = 0


class RefreshToken(_Quiet, table=True):
    """A token of a session's chain. The one that is not retired is the one to use next."""

    __tablename__ = "gatehouse_refresh_token"
    __table_args__ = (
        Index(
            "ix_gatehouse_refresh_token_sealed",
            "retired_at",
            sqlite_where=text("sealed_successor IS NOT NULL"),
            postgresql_where=text("sealed_successor IS NOT NULL"),
        ),
    )

    digest: str = Field(primary_key=True)
    session_id: UUID = Field(
        foreign_key="gatehouse_login_session.id", ondelete="CASCADE", index=True
    )
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    sealed_successor: bytes | None = None


class EndedSession(_Quiet, table=True):
    """A session that was ended while access tokens of it may still be about.

    It refers to nothing: it must outlive the session and the user. `position` is the database's
    own order of writing transactions, by which other processes read what is new.
    """

    __tablename__ = "gatehouse_ended_session"

    session_id: UUID = Field(primary_key=True)
    ended_at: datetime = Field(sa_type=UtcDateTime, index=True)
    position: int = Field(default=0, sa_type=BigInteger, index=True)


class EndedAccount(_Quiet, table=True):
    """An account whose stamp has risen: access tokens with a lower one are no good any more.

    `excepted_session_id` is the one session whose older tokens go on. One row an account, the
    last event's; it refers to nothing, for it must outlive the account.
    """

    __tablename__ = "gatehouse_ended_account"

    user_id: UUID = Field(primary_key=True)
    stamp: int
    excepted_session_id: UUID | None = None
    ended_at: datetime = Field(sa_type=UtcDateTime, index=True)
    position: int = Field(default=0, sa_type=BigInteger, index=True)


class ServiceEpoch(_Quiet, table=True):
    """One row, with the number that "everyone out" raises."""

    __tablename__ = "gatehouse_service_epoch"

    id: int = Field(default=1, primary_key=True)
    epoch: int = 0


class AuditEvent(_Quiet, table=True):
    """A security event. It refers to nothing: it must outlive what it tells of."""

    __tablename__ = "gatehouse_audit_event"
    __table_args__ = (
        Index(
            "ix_gatehouse_audit_event_named",
            "time",
            sqlite_where=text("ip <> ''"),
            postgresql_where=text("ip <> ''"),
        ),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    time: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    event: str
    user_id: UUID | None = Field(default=None, index=True)
    session_id: UUID | None = None
    ip: str
    network: str = ""  # what of the address counts as one client: all of IPv4, a /64 of IPv6
    user_agent: str
    request_id: str
    actor: str = ""  # who did it: a user's id, `command`, or nobody who is known
    actor_session_id: UUID | None = None


class OneTimeToken(_Quiet, table=True):
    """A token that was mailed: good once, for one purpose, one account and one address."""

    __tablename__ = "gatehouse_one_time_token"

    digest: str = Field(primary_key=True)
    purpose: str
    user_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE", index=True)
    email: str
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    stamp: int = 0  # the account's, when it was mailed
    wrong_passwords: int = 0


class PendingRegistration(_Quiet, table=True):
    """A registration whose address is not proved yet: no account exists before it is.

    `digest` is that of the mailed token, None until it is mailed. `answers` is what a form asked
    for beside address and password.
    """

    __tablename__ = "gatehouse_pending_registration"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    email: str
    email_key: str = Field(index=True)
    password_hash: str
    answers: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    digest: str | None = Field(default=None, unique=True)
    wrong_passwords: int = 0
    ip: str
    network: str
    user_agent: str
    request_id: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Job(_Quiet, table=True):
    """Work for after the answer: to see who has an account, and to mail. See `mailer/outbox.py`.

    It holds what was asked for, never a token: that is made when the mail goes out.
    """

    __tablename__ = "gatehouse_errand"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    kind: str
    email: str
    email_key: str = Field(index=True)
    user_id: UUID | None = Field(default=None, index=True)
    password_hash: str | None = None
    ip: str
    user_agent: str
    request_id: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    attempts: int = 0
    network: str = ""
    stamp: int | None = None  # the account's when it was left; None where none was known
    registration_id: UUID | None = None


CORE_TABLES = frozenset(
    {
        "gatehouse_user",
        "gatehouse_login_session",
        "gatehouse_refresh_token",
        "gatehouse_ended_session",
        "gatehouse_ended_account",
        "gatehouse_service_epoch",
        "gatehouse_audit_event",
        "gatehouse_one_time_token",
        "gatehouse_pending_registration",
        "gatehouse_errand",
    }
)


def core_metadata() -> MetaData:
    """Where the tables are described: SQLModel's own, shared with yours so that keys can refer."""
    return SQLModel.metadata
