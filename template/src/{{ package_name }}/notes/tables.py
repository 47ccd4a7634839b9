"""The table of notes."""

from datetime import datetime
from uuid import UUID, uuid4

from gatehouse import UtcDateTime, utc_now
from sqlalchemy import Index, Text
from sqlmodel import Field, SQLModel


class Note(SQLModel, table=True):
    """A note of one user. It goes when its owner's account goes."""

    # Finds an owner's notes in the order of their pages.
    __table_args__ = (Index("ix_note_owner_page", "owner_id", "created_at", "id"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="gatehouse_user.id", ondelete="CASCADE")
    title: str = Field(max_length=200)
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
