"""tasks.parent_id, tasks.pages, tokens.operator

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("parent_id", sa.String(length=36), nullable=True))
    op.add_column("tasks", sa.Column("pages", sa.String(length=32), nullable=True))
    op.create_index(
        op.f("ix_tasks_parent_id"),
        "tasks",
        ["parent_id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.add_column(
        "tokens",
        sa.Column("operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("tokens", "operator")
    op.execute("DELETE FROM tasks WHERE parent_id IS NOT NULL")
    op.drop_index(op.f("ix_tasks_parent_id"), "tasks")
    op.drop_column("tasks", "pages")
    op.drop_column("tasks", "parent_id")
