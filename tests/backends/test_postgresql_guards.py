"""`verify` finds what opens the log to changes on PostgreSQL, and what hides entries of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certledger import Ledger
from certledger.errors import StorageUnavailable
from certledger.eventstore.triggers.postgresql import TRIGGERS
from certledger.migrations.upgrading import upgrade
from certledger.projections.verifying.finding import Finding
from certledger.testing.certificates import make_certificate
from tests.support.postgresql import named, role_in
from tests.support.servers import Place

NAMES = sorted(TRIGGERS)


def table_of(name: str) -> str:
    return next(t for t in ("log_entry", "log_head", "log_checkpoint") if name.startswith(t))


@pytest.fixture
def ledger(postgresql: Place) -> Iterator[Ledger]:
    with Ledger(postgresql.url) as opened:
        opened.issue(make_certificate())
        yield opened


def after(place: Place, ledger: Ledger, *statements: str) -> list[Finding]:
    """What is found after the owner's statements."""
    with place.administrator() as sql:
        sql.exec_driver_sql(f"SET search_path = {place.name}")
        for statement in statements:
            sql.exec_driver_sql(statement)
    return [*ledger.verify()]


def test_all_triggers_of_a_new_registry_are_the_registrys(ledger: Ledger) -> None:
    assert [*ledger.verify()] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_trigger_is_found_and_named(postgresql: Place, ledger: Ledger, name: str) -> None:
    (found,) = after(postgresql, ledger, f"DROP TRIGGER {name} ON {table_of(name)}")
    assert (found.level, found.kind) == ("finding", "trigger-missing")
    assert f"the trigger {name} is missing" in found.message


HARMLESS = "BEGIN RETURN NEW; END"
CHANGES = {
    "is disabled": "ALTER TABLE log_entry DISABLE TRIGGER {name}",
    "fires in replication only": "ALTER TABLE log_entry ENABLE REPLICA TRIGGER {name}",
    "does not fire in replication": "ALTER TABLE log_entry ENABLE TRIGGER {name}",
    "has another function body": (
        f"CREATE OR REPLACE FUNCTION {{name}}() RETURNS trigger LANGUAGE plpgsql "
        f"SET search_path FROM CURRENT AS $${HARMLESS}$$"
    ),
    "has a function without a path": "ALTER FUNCTION {name}() RESET search_path",
    "has a function with another path": "ALTER FUNCTION {name}() SET search_path = public",
    "has a function with a further setting": (
        "ALTER FUNCTION {name}() SET plpgsql.variable_conflict = use_column"
    ),
    "has the rights of another": "ALTER FUNCTION {name}() SECURITY DEFINER",
    "has a condition": (
        "CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON log_entry FOR EACH STATEMENT "
        "WHEN (false) EXECUTE FUNCTION {name}()"
    ),
    "is for some columns": (
        "CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE OF actor ON log_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    ),
    "is for rows": (
        "CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON log_entry FOR EACH ROW "
        "EXECUTE FUNCTION {name}()"
    ),
    "comes too late": (
        "CREATE OR REPLACE TRIGGER {name} AFTER UPDATE ON log_entry FOR EACH STATEMENT "
        "EXECUTE FUNCTION {name}()"
    ),
    "is of another event": (
        "CREATE OR REPLACE TRIGGER {name} BEFORE DELETE ON log_entry FOR EACH STATEMENT "
        "EXECUTE FUNCTION {name}()"
    ),
    "has another function": (
        "CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON log_entry FOR EACH STATEMENT "
        "EXECUTE FUNCTION other()"
    ),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_changed_trigger_is_found(postgresql: Place, ledger: Ledger, change: str) -> None:
    name = "log_entry_no_update"
    statement = CHANGES[change].format(name=name)
    statements = [
        f"SET search_path = {postgresql.name}, pg_temp",
        f"CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $${HARMLESS}$$",
        # PostgreSQL 13 does not replace triggers.
        *([f"DROP TRIGGER {name} ON log_entry"] if "REPLACE TRIGGER" in statement else []),
        statement.replace("OR REPLACE TRIGGER", "TRIGGER"),
    ]
    if "TRIGGER {name} " in CHANGES[change] and "CREATE" in CHANGES[change]:
        statements.append(f"ALTER TABLE log_entry ENABLE ALWAYS TRIGGER {name}")
    (found,) = after(postgresql, ledger, *statements)
    assert (found.level, found.kind) == ("finding", "trigger-missing")
    assert f"the trigger {name} is not the registry's" in found.message


def test_all_triggers_off_are_found(postgresql: Place, ledger: Ledger) -> None:
    statements = [f"ALTER TABLE {table_of(name)} DISABLE TRIGGER ALL" for name in NAMES]
    found = after(postgresql, ledger, *dict.fromkeys(statements))
    assert [one.kind for one in found] == ["trigger-missing"] * len(NAMES)


def test_a_further_trigger_is_noted(postgresql: Place, ledger: Ledger) -> None:
    (found,) = after(
        postgresql,
        ledger,
        f"CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $${HARMLESS}$$",
        'CREATE TRIGGER "Other" BEFORE INSERT ON log_entry FOR EACH ROW EXECUTE FUNCTION other()',
    )
    assert (found.level, found.kind) == ("note", "trigger-unknown")
    assert "Other" in found.message


INTERFERENCES = {
    "a rule": (
        "CREATE RULE keep AS ON UPDATE TO log_head DO INSTEAD NOTHING",
        "the rule keep on log_head",
        "DROP RULE keep ON log_head;",
    ),
    "a policy": (
        'CREATE POLICY "Some" ON log_entry USING (seq < 3)',
        'the policy "Some" on log_entry',
        'DROP POLICY "Some" ON log_entry;',
    ),
    "row-level security": (
        "ALTER TABLE log_checkpoint ENABLE ROW LEVEL SECURITY",
        "row-level security on log_checkpoint",
        "ALTER TABLE log_checkpoint DISABLE ROW LEVEL SECURITY;",
    ),
    "a child": (
        "CREATE TABLE child () INHERITS (log_checkpoint)",
        "rows of the table child are taken for rows of log_checkpoint",
        "ALTER TABLE child NO INHERIT log_checkpoint;",
    ),
}


@pytest.mark.parametrize("what", list(INTERFERENCES))
def test_what_changes_the_rows_that_statements_see_is_found(
    postgresql: Place, ledger: Ledger, what: str
) -> None:
    statement, words, mend = INTERFERENCES[what]
    (found,) = after(postgresql, ledger, statement)
    assert (found.level, found.kind) == ("finding", "interference")
    assert words in found.message
    assert f"`{mend}`" in found.message
    assert after(postgresql, ledger, mend) == []


@pytest.mark.parametrize("table", ["log_entry", "log_head", "log_checkpoint"])
def test_a_table_that_a_crash_would_empty_is_found(
    postgresql: Place, ledger: Ledger, table: str
) -> None:
    (found,) = after(postgresql, ledger, f"ALTER TABLE {table} SET UNLOGGED")
    assert (found.level, found.kind) == ("finding", "durability")
    assert f"the table {table} is unlogged" in found.message


def test_entries_that_a_policy_hides_are_told_of(postgresql: Place, ledger: Ledger) -> None:
    """What hides them is named beside what is missing."""
    with role_in(postgresql) as url:
        found = after(
            postgresql,
            ledger,
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgresql.name} TO {named(url)}",
            "ALTER TABLE log_entry ENABLE ROW LEVEL SECURITY",
        )
        assert [one.kind for one in found] == ["interference"]
        with Ledger(url) as seen:
            kinds = {one.kind for one in seen.verify()}
    assert {"interference", "truncated"} <= kinds


def test_after_its_schema_was_renamed_a_registry_takes_no_changes_until_it_is_mended(
    postgresql: Place,
) -> None:
    with Ledger(postgresql.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    renamed = f"{postgresql.name} 2"
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f'ALTER SCHEMA {postgresql.name} RENAME TO "{renamed}"')
    try:
        with Ledger(postgresql.server, schema=renamed) as ledger:
            with pytest.raises(StorageUnavailable, match="does not exist"):
                ledger.issue(make_certificate(serial=2))
            assert {one.kind for one in ledger.verify()} == {"trigger-missing"}
            assert set(upgrade(ledger.database).mended) == set(NAMES)
            assert ledger.issue(make_certificate(serial=2)).seq == 1
            assert [*ledger.verify()] == []
    finally:
        with postgresql.administrator() as sql:
            sql.exec_driver_sql(f'ALTER SCHEMA "{renamed}" RENAME TO {postgresql.name}')
