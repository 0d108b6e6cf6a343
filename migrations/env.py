"""Runs the revisions on the connection that ``app.database.migrate`` opened, or one of its own."""

from alembic import context
from sqlalchemy import create_engine

from app.config import Settings
from app.rows import Base


def run(connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(Settings().database).begin() as own:
        run(own)
