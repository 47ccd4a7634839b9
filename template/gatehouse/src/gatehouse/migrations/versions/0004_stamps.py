"""Security stamps, pending registrations, actors, and indexes for what grows."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "gatehouse_0004"
down_revision = "gatehouse_0003"
branch_labels = None
depends_on = None

COLUMNS: dict[str, list[sa.Column[Any]]] = {
    "gatehouse_user": [sa.Column("stamp", sa.Integer(), nullable=False, server_default="0")],
    "gatehouse_login_session": [
        sa.Column("stamp", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
    ],
    "gatehouse_ended_session": [
        sa.Column("position", sa.BigInteger(), nullable=False, server_default="0")
    ],
    "gatehouse_audit_event": [
        sa.Column("actor", sa.String(), nullable=False, server_default=""),
        sa.Column("actor_session_id", sa.Uuid()),
    ],
    "gatehouse_one_time_token": [
        sa.Column("stamp", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("wrong_passwords", sa.Integer(), nullable=False, server_default="0"),
    ],
    "gatehouse_errand": [
        sa.Column("network", sa.String(), nullable=False, server_default=""),
        sa.Column("stamp", sa.Integer()),
        sa.Column("registration_id", sa.Uuid()),
    ],
}

# Events after which nothing that was begun before may act. Earlier versions wrote them down, and
# left a job that changes the address, and after a disabling every link, as good as before.
VOIDING = (
    *("password_changed", "password_reset", "email_changed"),
    *("user_disabled", "user_enabled", "role_changed"),
)
RESET_LIVES, OTHERS_LIVE = timedelta(minutes=30), timedelta(hours=24)


def drop_what_is_void() -> None:
    """The first stamp is for what is still good: jobs and links without a later event."""
    time = sa.DateTime(timezone=True)
    event = sa.table(
        "gatehouse_audit_event",
        *(sa.column("user_id", sa.Uuid()), sa.column("event"), sa.column("time", time)),
    )
    job = sa.table(
        "gatehouse_errand",
        *(sa.column("user_id", sa.Uuid()), sa.column("kind"), sa.column("created_at", time)),
    )
    link = sa.table(
        "gatehouse_one_time_token",
        *(sa.column("digest"), sa.column("purpose")),
        *(sa.column("user_id", sa.Uuid()), sa.column("expires_at", time)),
    )
    later = sa.exists().where(
        event.c.user_id == job.c.user_id,
        event.c.event.in_(VOIDING),
        event.c.time > job.c.created_at,
    )
    op.execute(sa.delete(job).where(job.c.kind == "change_email", later))
    last = sa.func.max(event.c.time)
    found = op.get_bind().execute(
        sa.select(link.c.digest, link.c.purpose, link.c.expires_at, last)
        .join(event, event.c.user_id == link.c.user_id)
        .where(event.c.event.in_(VOIDING))
        .group_by(link.c.digest, link.c.purpose, link.c.expires_at)
    )
    for digest, purpose, expires_at, happened_at in found.all():
        if happened_at > expires_at - (RESET_LIVES if purpose == "reset" else OTHERS_LIVE):
            op.execute(sa.delete(link).where(link.c.digest == digest))


def upgrade() -> None:
    drop_what_is_void()
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    # An errand of an earlier version knew its account: it was left under the first stamp.
    op.execute("UPDATE gatehouse_errand SET stamp = 0 WHERE user_id IS NOT NULL")
    op.create_table(
        "gatehouse_ended_account",
        sa.Column("user_id", sa.Uuid(), primary_key=True),
        sa.Column("stamp", sa.Integer(), nullable=False),
        sa.Column("excepted_session_id", sa.Uuid()),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("position", sa.BigInteger(), nullable=False, server_default="0", index=True),
    )
    op.create_table(
        "gatehouse_service_epoch",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
    )
    op.execute("INSERT INTO gatehouse_service_epoch (id, epoch) VALUES (1, 0)")
    op.create_table(
        "gatehouse_pending_registration",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False, index=True),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("digest", sa.String(), unique=True),
        sa.Column("wrong_passwords", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_index("ix_gatehouse_ended_session_position", "gatehouse_ended_session", ["position"])
    # Those that take long where there are many rows may be there: UPGRADING says how to make them
    # on PostgreSQL before, while the service writes on.
    for name, table, indexed, where in (
        ("ix_gatehouse_user_created_at_id", "gatehouse_user", ["created_at", "id"], None),
        ("ix_gatehouse_user_admin", "gatehouse_user", ["role"], "role = 'admin'"),
        (
            "ix_gatehouse_login_session_last_used_at",
            "gatehouse_login_session",
            ["last_used_at"],
            None,
        ),
        (
            "ix_gatehouse_refresh_token_sealed",
            "gatehouse_refresh_token",
            ["retired_at"],
            "sealed_successor IS NOT NULL",
        ),
        ("ix_gatehouse_audit_event_named", "gatehouse_audit_event", ["time"], "ip <> ''"),
        ("ix_gatehouse_errand_user_id", "gatehouse_errand", ["user_id"], None),
    ):
        only = None if where is None else sa.text(where)
        op.create_index(
            name, table, indexed, if_not_exists=True, sqlite_where=only, postgresql_where=only
        )


def downgrade() -> None:
    for name, table in (
        ("ix_gatehouse_user_admin", "gatehouse_user"),
        ("ix_gatehouse_audit_event_named", "gatehouse_audit_event"),
        ("ix_gatehouse_refresh_token_sealed", "gatehouse_refresh_token"),
        ("ix_gatehouse_ended_session_position", "gatehouse_ended_session"),
        ("ix_gatehouse_errand_user_id", "gatehouse_errand"),
        ("ix_gatehouse_login_session_last_used_at", "gatehouse_login_session"),
        ("ix_gatehouse_user_created_at_id", "gatehouse_user"),
    ):
        op.drop_index(name, table)
    for table in (
        "gatehouse_pending_registration",
        "gatehouse_service_epoch",
        "gatehouse_ended_account",
    ):
        op.drop_table(table)
    for table in COLUMNS:
        for added in COLUMNS[table]:
            op.drop_column(table, added.name)
