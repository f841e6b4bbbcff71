"""A standby, and a role that may make no temporary tables: both read and check everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from certledger import Ledger, SyncDBHandler
from certledger.errors import ReadOnlyRegistry
from certledger.eventstore.times import utc_now
from certledger.projections.fetching import ROWS
from certledger.projections.verifying.hashes import verify_hashes
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.populated import populate
from tests.support.own_servers import OwnPostgreSQL, postgresql_programs
from tests.support.postgresql import Standby, named, role_in
from tests.support.servers import Place, empty_place


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OwnPostgreSQL, Standby]]:
    if postgresql_programs() is None:
        pytest.skip("needs the programs of a PostgreSQL")
    with OwnPostgreSQL() as primary, Standby(primary) as standby:
        yield primary, standby


@pytest.fixture
def place(servers: tuple[OwnPostgreSQL, Standby]) -> Iterator[Place]:
    with empty_place("postgresql", servers[0].url) as made:
        yield made


@pytest.fixture(params=["standby", "role"])
def reader(
    request: pytest.FixtureRequest, servers: tuple[OwnPostgreSQL, Standby], place: Place
) -> Iterator[Callable[[], Ledger]]:
    """Opens the registry where nothing can be written, not even a temporary table."""
    primary, standby = servers
    if request.param == "standby":
        url = place.url.replace(f":{primary.port}/", f":{standby.port}/")

        def on_standby() -> Ledger:
            standby.catch_up()
            return Ledger(url)

        yield on_standby
        return
    with role_in(place) as url, place.administrator() as sql:
        sql.exec_driver_sql("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")

        def as_role() -> Ledger:
            sql.exec_driver_sql(
                f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.name} TO {named(url)}"
            )
            return Ledger(url)

        yield as_role
        sql.exec_driver_sql("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")


def edit(place: Place, *statements: str) -> None:
    with place.administrator() as sql:
        sql.exec_driver_sql(f"SET search_path = {place.name}")
        for statement in statements:
            sql.exec_driver_sql(statement)


def test_all_is_read_and_nothing_found(place: Place, reader: Callable[[], Ledger]) -> None:
    clock = FakeClock()
    with Ledger(place.url, clock=clock) as ledger:
        populate(ledger, clock)
        head, rows = ledger.head(), [row.serial_number for row in ledger.each()]
        notes = [*ledger.verify()]
    with reader() as seen:
        assert seen.head() == head
        assert [row.serial_number for row in seen.each()] == rows
        assert [*seen.drift()] == []
        assert [*seen.verify()] == notes
        assert [*seen.verify(jobs=2)] == notes
        assert [*verify_hashes(seen.database)] == []


def test_every_kind_of_difference_is_found(place: Place, reader: Callable[[], Ledger]) -> None:
    clock = FakeClock()
    with Ledger(place.url, clock=clock) as ledger:
        populate(ledger, clock)
        edit(
            place,
            "UPDATE certificates SET status = 'revoked', not_valid_after = 'infinity' WHERE id = 1",
            "UPDATE certificates SET uuid = NULL WHERE id = 2",
            "DELETE FROM certificates WHERE id = 3",
            "INSERT INTO certificates SELECT -7, '-7', common_name, status, not_valid_before, "
            "not_valid_after, key_type, certificate_pem FROM certificates WHERE id = 4",
            "INSERT INTO certificates SELECT 9000, '9000', common_name, status, not_valid_before, "
            "not_valid_after, key_type, certificate_pem FROM certificates WHERE id = 4",
            "DELETE FROM retired WHERE seq = (SELECT min(seq) FROM retired)",
            "UPDATE retired SET not_valid_after = '1999-12-31 23:59:59.000001'",
        )
        wanted = [*ledger.drift()]
        found = [*ledger.verify()]
    with reader() as seen:
        differences = [*seen.drift()]
        assert [one.kind for one in seen.verify()] == [one.kind for one in found]
    assert [(d.table, d.key, d.serial_number, d.kind) for d in differences] == [
        (d.table, d.key, d.serial_number, d.kind) for d in wanted
    ]
    for difference, other in zip(differences, wanted, strict=True):
        assert difference.columns == {
            name: tuple(map(as_text, values)) for name, values in other.columns.items()
        }


def as_text(value: object) -> object:
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def test_more_strange_rows_than_are_looked_at_at_once_are_found(
    place: Place, reader: Callable[[], Ledger]
) -> None:
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    edit(
        place,
        "INSERT INTO certificates SELECT n, n::text, common_name, status, not_valid_before, "
        "not_valid_after, key_type, certificate_pem FROM certificates, "
        f"generate_series(100, {100 + 2 * ROWS}) AS n",
    )
    with reader() as seen:
        assert [one.key for one in seen.drift()] == list(range(100, 101 + 2 * ROWS))


def test_a_changed_entry_is_found(place: Place, reader: Callable[[], Ledger]) -> None:
    with Ledger(place.url) as ledger:
        for serial in (1, 2, 3):
            ledger.issue(make_certificate(serial=serial))
    edit(
        place,
        "ALTER TABLE log_entry DISABLE TRIGGER log_entry_no_update",
        "UPDATE log_entry SET entry = set_byte(entry, 20, 33) WHERE seq = 1",
    )
    with reader() as seen:
        kinds = {one.kind for one in seen.verify()}
        assert "leaf-hash" in {one.kind for one in verify_hashes(seen.database)}
    assert {"leaf-hash", "trigger-missing"} <= kinds


def test_nothing_is_written(place: Place, reader: Callable[[], Ledger]) -> None:
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    with reader() as seen:
        for change in (
            lambda: seen.issue(make_certificate()),
            lambda: seen.revoke(1),
            seen.rebuild,
            lambda: seen.rebuild(recreate=True),
        ):
            with pytest.raises(ReadOnlyRegistry):
                change()
        with pytest.raises(ReadOnlyRegistry, match="takes no temporary tables"):
            seen.rebuild()
        assert seen.head().size == 1


def test_a_handler_reads(place: Place, reader: Callable[[], Ledger]) -> None:
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1, end=utc_now() + timedelta(days=1)))
        ledger.revoke(1)
    with reader() as seen:
        handler = SyncDBHandler.over(seen)
        record = handler.get_by_serial(1)
        assert record is not None
        assert record.status == "revoked"
        assert [row.serial_number for row in handler.get_revoked_certificates()] == ["1"]
        assert not handler.register_cert_in_db(make_certificate(), None)


def test_a_new_registry_is_not_made_on_a_standby(
    servers: tuple[OwnPostgreSQL, Standby], place: Place
) -> None:
    primary, standby = servers
    standby.catch_up()
    with pytest.raises(ReadOnlyRegistry, match="use the primary"):
        Ledger(place.url.replace(f":{primary.port}/", f":{standby.port}/"))


def test_of_several_servers_the_primary_is_found(
    servers: tuple[OwnPostgreSQL, Standby], place: Place
) -> None:
    primary, standby = servers
    hosts = [f"127.0.0.1:{one.port}" for one in (standby, primary)]
    url = make_url(place.url).set(host=None, port=None)
    url = url.update_query_dict({"host": hosts, "target_session_attrs": "read-write"})
    with Ledger(url) as ledger:
        assert ledger.issue(make_certificate()).seq == 0


def test_the_temporary_tables_are_no_files_of_the_registrys(
    place: Place, reader: Callable[[], Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SQLite writes is unlinked already."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    with reader() as seen:
        for _ in seen.verify():
            raise AssertionError
    assert list(tmp_path.iterdir()) == []
