"""What PostgreSQL plans for the statements that a function sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.sql import Literal
from sqlalchemy import Connection

Node = dict[str, Any]


def plans_of(connection: Connection, query: Callable[[Connection], object]) -> list[Node]:
    """The plans of each statement: one for its values, and one that fits all values.

    The second is what a statement that is sent often ends up with, where it is prepared.
    """
    driver: Any = connection.connection.dbapi_connection
    sent: list[tuple[str, Any, bool]] = []

    class Recording(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            sent.append((query, params, options.get("prepare") is not False))
            return super().execute(query, params, **options)

    driver.cursor_factory = Recording
    try:
        query(connection)
    finally:
        driver.cursor_factory = psycopg.Cursor
    return [plan for statement in sent for plan in _plans(driver, *statement)]


def _plans(driver: Any, statement: str, values: Any, prepared: bool) -> Iterator[Node]:
    converted = PostgresQuery(Transformer(driver))
    converted.convert(statement, values)
    text = converted.query.decode()
    arguments = [values[name] for name in converted._order or ()]
    for mode in ("force_custom_plan", *(["force_generic_plan"] if prepared else [])):
        driver.execute(f"SET LOCAL plan_cache_mode = {mode}")
        driver.execute(f"PREPARE explained AS {text}")
        literals = ", ".join(Literal(value).as_string(driver) for value in arguments)
        execute = f"EXECUTE explained ({literals})" if literals else "EXECUTE explained"
        ((found,),) = driver.execute(f"EXPLAIN (FORMAT JSON) {execute}").fetchall()
        driver.execute("DEALLOCATE explained")
        yield found[0]["Plan"]


def nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans(plan: Node) -> list[str]:
    """The steps that read all of a table, as "Seq Scan on log_entry"."""
    return [
        f"{node['Node Type']} on {node['Relation Name']}"
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan"
    ]


def indexes(plan: Node) -> set[str]:
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


def sorts(plan: Node) -> list[str]:
    return [node["Node Type"] for node in nodes(plan) if "Sort" in node["Node Type"]]
