"""The first tables.

They are made by `certledger.projections.schema`, with those of all later versions.
"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: every registry has them."""
