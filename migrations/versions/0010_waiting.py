"""places of waiting tasks by owner; the request and the trace that a task came with

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.add_column("tasks", sa.Column("traceparent", sa.String(length=64), nullable=True))
    op.create_index(
        op.f("ix_tasks_waiting_owner_queued_at"),
        "tasks",
        ["owner", "queued_at"],
        unique=False,
        sqlite_where=sa.text("state IN (0, 3)"),
        postgresql_where=sa.text("state IN (0, 3)"),
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_tasks_waiting_owner_queued_at"), "tasks")
    op.drop_column("tasks", "traceparent")
    op.drop_column("tasks", "request_id")
