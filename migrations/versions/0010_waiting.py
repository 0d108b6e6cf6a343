"""places of waiting tasks by owner; request and trace of a task; what one of all servers does

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_WAITS = "state IN (0, 3)"
_INDEXES = {
    "ix_tasks_sent_queued_at": f"{_WAITS} AND (source_url IS NULL OR input_size IS NOT NULL)",
    "ix_tasks_linked_queued_at": f"{_WAITS} AND source_url IS NOT NULL AND input_size IS NULL",
    "ix_tasks_divided_queued_at": "state = 4 AND leased_by IS NULL",
}


def upgrade() -> None:
    op.add_column("tasks", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.add_column("tasks", sa.Column("traceparent", sa.String(length=64), nullable=True))
    op.create_table(
        "rounds",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rounds")),
    )
    for name, condition in _INDEXES.items():
        op.create_index(
            op.f(name),
            "tasks",
            ["owner", "queued_at"],
            unique=False,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def downgrade() -> None:
    for name in reversed(_INDEXES):
        op.drop_index(op.f(name), "tasks")
    op.drop_table("rounds")
    op.drop_column("tasks", "traceparent")
    op.drop_column("tasks", "request_id")
