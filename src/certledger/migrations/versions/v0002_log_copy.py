"""Add the table log_copy, which marks a registry that a copy fills."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, LargeBinary, SmallInteger

from certledger.eventstore.columns import TABLE_OPTIONS, ExactText, NaiveUtc, Position

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table, unless it is there."""
    op.create_table(
        "log_copy",
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("origin", ExactText(200), nullable=False),
        Column("size", Position, nullable=False),
        Column("root", LargeBinary(32), nullable=False),
        Column("started_at", NaiveUtc, nullable=False),
        Column("finished_at", NaiveUtc),
        CheckConstraint("id = 1", name="ck_log_copy_one_row"),
        # MariaDB commits the table by itself: a crash may come before the version is written.
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
