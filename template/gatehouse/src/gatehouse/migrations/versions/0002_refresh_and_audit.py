"""Refresh tokens, ended sessions and audit events."""

import sqlalchemy as sa
from alembic import op

revision = "gatehouse_0002"
down_revision = "gatehouse_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gatehouse_refresh_token",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column(
            "session_id",
            sa.Uuid(),
            sa.ForeignKey("gatehouse_login_session.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("retired_at", sa.DateTime(timezone=True), index=True),
        sa.Column("sealed_successor", sa.LargeBinary()),
    )
    op.create_table(
        "gatehouse_ended_session",
        sa.Column("session_id", sa.Uuid(), primary_key=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "gatehouse_audit_event",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("user_id", sa.Uuid(), index=True),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("gatehouse_audit_event")
    op.drop_table("gatehouse_ended_session")
    op.drop_table("gatehouse_refresh_token")
