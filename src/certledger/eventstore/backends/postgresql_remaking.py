"""Making a table of PostgreSQL anew, with the grants on it and the foreign keys to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, text

# Statements, as a GRANT takes no parameters. A column that is no more takes its grants with it.
_GRANTS: Final = text(
    """
    WITH given AS (
      SELECT c.relname, c.relowner, NULL::name AS attname, a.*
      FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = to_regclass(:name)
      UNION ALL
      SELECT c.relname, c.relowner, col.attname, a.*
      FROM pg_class c JOIN pg_attribute col ON col.attrelid = c.oid, aclexplode(col.attacl) a
      WHERE c.oid = to_regclass(:name)
    )
    SELECT attname,
           format('GRANT %s%s ON %I TO %s%s', privilege_type,
                  coalesce(' (' || quote_ident(attname) || ')', ''), relname,
                  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                  CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM given WHERE grantee <> relowner
    """
)
_FOREIGN_KEYS: Final = text(
    """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
                  pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype = 'f' AND confrelid = to_regclass(:name) AND conparentid = 0
    """
)
_COLUMNS: Final = text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0"
)


@contextmanager
def kept(connection: Connection, table: str) -> Iterator[None]:
    """Take the foreign keys to a table away, and give them and the grants on it to the new one.

    Where rows of others point at none of the new rows, the foreign key fails as an INSERT would.
    """
    name = {"name": table}
    grants = connection.execute(_GRANTS, name).all()
    keys = connection.execute(_FOREIGN_KEYS, name).all()
    for drop, _ in keys:
        _run(connection, drop)
    yield
    columns = {None, *connection.scalars(_COLUMNS, name)}
    for column, grant in grants:
        if column in columns:
            _run(connection, grant)
    for _, add in keys:
        _run(connection, add)


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement.replace("%", "%%"))
