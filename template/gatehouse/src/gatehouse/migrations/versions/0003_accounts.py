"""One-time tokens, errands for after the answer, failed logins in a row, networks in events."""

import sqlalchemy as sa
from alembic import op

revision = "gatehouse_0003"
down_revision = "gatehouse_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "gatehouse_user",
        sa.Column("failed_logins", sa.Integer(), nullable=False, server_default="0"),
    )
    op.add_column(
        "gatehouse_audit_event",
        sa.Column("network", sa.String(), nullable=False, server_default=""),
    )
    # An IPv4 address is its own network; what was seen of IPv6 is known again at its next login.
    op.execute(
        "UPDATE gatehouse_audit_event SET network = ip WHERE event = 'login' AND ip NOT LIKE '%:%'"
    )
    op.create_table(
        "gatehouse_one_time_token",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column(
            "user_id",
            sa.Uuid(),
            sa.ForeignKey("gatehouse_user.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "gatehouse_errand",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False, index=True),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("password_hash", sa.String()),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("gatehouse_errand")
    op.drop_table("gatehouse_one_time_token")
    op.drop_column("gatehouse_audit_event", "network")
    op.drop_column("gatehouse_user", "failed_logins")
