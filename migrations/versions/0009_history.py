"""indexes for histories of tokens and for what failed last

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index(
        op.f("ix_tasks_owner_created_at_id"),
        "tasks",
        ["owner", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NULL"),
        postgresql_where=sa.text("parent_id IS NULL"),
    )
    op.create_index(
        op.f("ix_tasks_failed_completed_at"),
        "tasks",
        ["completed_at"],
        unique=False,
        sqlite_where=sa.text("state < 0"),
        postgresql_where=sa.text("state < 0"),
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_tasks_failed_completed_at"), "tasks")
    op.drop_index(op.f("ix_tasks_owner_created_at_id"), "tasks")
