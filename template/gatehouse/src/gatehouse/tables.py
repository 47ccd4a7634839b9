"""The core's tables. Their names start with `gatehouse_`, so they never meet yours."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Dialect, MetaData
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets time zones, so they are taken off and put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
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
    """An account. `email` is the address as given; `email_key` is what makes it one account."""

    __tablename__ = "gatehouse_user"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    email: str
    email_key: str = Field(unique=True)
    password_hash: str
    role: str
    is_active: bool = True
    email_verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failed_logins: int = 0  # in a row, over all addresses
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class LoginSession(_Quiet, table=True):
    """One login. It lives until `expires_at`, or until its row goes."""

    __tablename__ = "gatehouse_login_session"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE", index=True)
    scope: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    user_agent: str
    ip: str


class RefreshToken(_Quiet, table=True):
    """A token of a session's chain. The one that is not retired is the one to use next."""

    __tablename__ = "gatehouse_refresh_token"

    digest: str = Field(primary_key=True)
    session_id: UUID = Field(
        foreign_key="gatehouse_login_session.id", ondelete="CASCADE", index=True
    )
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    sealed_successor: bytes | None = None


class EndedSession(_Quiet, table=True):
    """A session that was ended while access tokens of it may still be about.

    It refers to nothing: it must outlive the session and the user.
    """

    __tablename__ = "gatehouse_ended_session"

    session_id: UUID = Field(primary_key=True)
    ended_at: datetime = Field(sa_type=UtcDateTime, index=True)


class AuditEvent(_Quiet, table=True):
    """A security event. It refers to nothing: it must outlive what it tells of."""

    __tablename__ = "gatehouse_audit_event"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    time: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    event: str
    user_id: UUID | None = Field(default=None, index=True)
    session_id: UUID | None = None
    ip: str
    network: str = ""  # what of the address counts as one client: all of IPv4, a /64 of IPv6
    user_agent: str
    request_id: str


class OneTimeToken(_Quiet, table=True):
    """A token that was mailed: good once, for one purpose, one account and one address."""

    __tablename__ = "gatehouse_one_time_token"

    digest: str = Field(primary_key=True)
    purpose: str
    user_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE", index=True)
    email: str
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Errand(_Quiet, table=True):
    """Work for after the answer: to see who has an account, and to mail. See `outbox.py`.

    It holds what was asked for, never a token: that is made when the mail goes out.
    """

    __tablename__ = "gatehouse_errand"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    kind: str
    email: str
    email_key: str = Field(index=True)
    user_id: UUID | None = None
    password_hash: str | None = None
    ip: str
    user_agent: str
    request_id: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    attempts: int = 0


CORE_TABLES = frozenset(
    {
        "gatehouse_user",
        "gatehouse_login_session",
        "gatehouse_refresh_token",
        "gatehouse_ended_session",
        "gatehouse_audit_event",
        "gatehouse_one_time_token",
        "gatehouse_errand",
    }
)


def core_metadata() -> MetaData:
    """Where the tables are described: SQLModel's own, shared with yours so that keys can refer."""
    return SQLModel.metadata
