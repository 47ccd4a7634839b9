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


CORE_TABLES = frozenset({"gatehouse_user", "gatehouse_login_session"})


def core_metadata() -> MetaData:
    """Where the tables are described: SQLModel's own, shared with yours so that keys can refer."""
    return SQLModel.metadata
