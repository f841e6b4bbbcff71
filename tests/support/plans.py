"""What SQLite says that it will do for a statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from certledger.eventstore.statement import Statement


def plan_of(connection: Connection, statement: Statement, **values: Any) -> list[str]:
    """The lines of EXPLAIN QUERY PLAN, for a statement with values for its parameters."""
    plan = statement._plan(connection)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"EXPLAIN QUERY PLAN {plan.sql}", plan.bind(values))
        return [str(row[3]) for row in cursor.fetchall()]
    finally:
        cursor.close()


def scans(lines: list[str]) -> list[str]:
    """The lines that read a whole table without an index, or sort what an index could order."""
    return [
        line
        for line in lines
        if (line.startswith("SCAN ") and " USING " not in line) or "TEMP B-TREE" in line
    ]
