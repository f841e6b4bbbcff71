"""Who may read a table that an upgrade made: a role of its own is not the owner of new tables."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

# The names come quoted, as a GRANT takes no parameters.
_READERS: Final = text(
    """
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
    FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
    WHERE pg_class.oid = to_regclass(:name) AND privilege_type = 'SELECT'
    """
)


def grant_reading(connection: Connection, table: str, *, like: str) -> None:
    """Let everybody read `table` who may read `like`.

    On PostgreSQL only, where who makes a table may grant on it; MariaDB wants a privilege for it.
    """
    if connection.dialect.name == "postgresql":
        for role in connection.scalars(_READERS, {"name": like}).all():
            connection.exec_driver_sql(f"GRANT SELECT ON {table} TO {role}")
