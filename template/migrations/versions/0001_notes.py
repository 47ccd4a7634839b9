"""notes"""

import gatehouse
import sqlalchemy as sa
import sqlmodel.sql.sqltypes
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", gatehouse.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["gatehouse_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_note_owner_page", "note", ["owner_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_note_owner_page", table_name="note")
    op.drop_table("note")
