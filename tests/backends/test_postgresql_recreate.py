"""`rebuild --recreate` on PostgreSQL makes the tables anew under callers' grants and keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certledger import Ledger
from certledger.errors import BrokenTable, ConstraintFailed
from certledger.testing.certificates import make_certificate
from tests.support.postgresql import named, role
from tests.support.servers import Place


@pytest.fixture
def ledger(postgresql: Place) -> Iterator[Ledger]:
    with Ledger(postgresql.url) as opened:
        for serial in (1, 2, 3):
            opened.issue(make_certificate(serial=serial))
        yield opened


def run(place: Place, *statements: str) -> list[tuple[object, ...]]:
    with place.administrator() as sql:
        sql.exec_driver_sql(f"SET search_path = {place.name}")
        for statement in statements:
            result = sql.exec_driver_sql(statement.replace("%", "%%"))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_a_table_that_cannot_be_compared_is_made_anew(postgresql: Place, ledger: Ledger) -> None:
    run(postgresql, "ALTER TABLE certificates ALTER status TYPE integer USING 7")
    with pytest.raises(BrokenTable, match="status has the type INTEGER"):
        ledger.rebuild()
    assert ledger.rebuild(recreate=True).differences == 0
    assert [record.status for record in ledger.each()] == ["valid"] * 3


def test_a_table_that_is_gone_is_made_anew(postgresql: Place, ledger: Ledger) -> None:
    run(postgresql, "DROP TABLE certificates, retired")
    ledger.rebuild(recreate=True)
    assert len([*ledger.each()]) == 3


def test_grants_are_kept(postgresql: Place, ledger: Ledger) -> None:
    grants = """
        SELECT grantee, privilege_type, is_grantable FROM information_schema.table_privileges
        WHERE table_schema = current_schema() AND table_name = 'certificates'
        ORDER BY 1, 2"""
    columns = """
        SELECT grantee, column_name, privilege_type FROM information_schema.column_privileges
        WHERE table_schema = current_schema() AND table_name = 'certificates'
        ORDER BY 1, 2, 3"""
    with role(postgresql.server) as url:
        run(
            postgresql,
            f"GRANT SELECT ON certificates TO {named(url)} WITH GRANT OPTION",
            f"GRANT INSERT, DELETE ON certificates TO {named(url)}",
            f"GRANT UPDATE (status, revocation_date) ON certificates TO {named(url)}",
            "GRANT SELECT (id, serial_number) ON certificates TO PUBLIC",
            "ALTER TABLE certificates ADD COLUMN extra integer",
            "GRANT SELECT (extra) ON certificates TO PUBLIC",
            "ALTER TABLE certificates DROP COLUMN extra",
        )
        before = run(postgresql, grants), run(postgresql, columns)
        ledger.rebuild(recreate=True)
        assert (run(postgresql, grants), run(postgresql, columns)) == before


def test_foreign_keys_of_callers_are_kept(postgresql: Place, ledger: Ledger) -> None:
    run(
        postgresql,
        'CREATE TABLE "My Labels" (id integer PRIMARY KEY, certificate bigint '
        'CONSTRAINT "a key%" REFERENCES certificates ON DELETE CASCADE)',
        'INSERT INTO "My Labels" VALUES (1, 1), (2, 3), (3, NULL)',
    )
    ledger.rebuild(recreate=True)
    assert run(postgresql, 'SELECT count(*) FROM "My Labels"') == [(3,)]
    with pytest.raises(Exception, match="a key%"):
        run(postgresql, 'INSERT INTO "My Labels" VALUES (4, 4)')
    ledger.delete(1)
    assert run(postgresql, 'SELECT count(*) FROM "My Labels"') == [(2,)]


def test_a_foreign_key_that_the_new_rows_would_break_stops_it(
    postgresql: Place, ledger: Ledger
) -> None:
    run(
        postgresql,
        "INSERT INTO certificates SELECT 99, '99', common_name, status, not_valid_before, "
        "not_valid_after, key_type, certificate_pem FROM certificates WHERE id = 1",
        "CREATE TABLE labels (certificate bigint REFERENCES certificates)",
        "INSERT INTO labels VALUES (99)",
    )
    with pytest.raises(ConstraintFailed, match="violates foreign key constraint"):
        ledger.rebuild(recreate=True)
    assert run(postgresql, "SELECT count(*) FROM certificates") == [(4,)]


def test_a_view_of_the_callers_is_not_dropped(postgresql: Place, ledger: Ledger) -> None:
    run(postgresql, "CREATE VIEW names AS SELECT common_name FROM certificates")
    with pytest.raises(ConstraintFailed, match="view names depends on table certificates"):
        ledger.rebuild(recreate=True)
    assert len(run(postgresql, "SELECT * FROM names")) == 3
