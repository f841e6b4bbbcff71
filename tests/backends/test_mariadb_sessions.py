"""What the registry's sessions are does not depend on the defaults of the MariaDB server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from certledger import AsyncDBHandler, Ledger
from certledger.bulk import Registration
from certledger.errors import ReadOnlyRegistry, StorageUnavailable
from certledger.eventstore.backends.mariadb_sessions import SETTINGS, SMALLEST_PACKET
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.places import administrator, empty_place
from tests.support.mariadb import execute
from tests.support.own_servers import NO_MARIADB, OwnMariaDB, mariadb_programs

HOSTILE = (
    "TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE'",
    "completion_type = 'CHAIN'",
    "autocommit = 0",
    "foreign_key_checks = 0",
    "unique_checks = 0",
    "sql_safe_updates = 1",
    "sql_auto_is_null = 1",
    "sql_select_limit = 1",
    "character_set_server = 'latin1'",
    "collation_server = 'latin1_swedish_ci'",
    "default_storage_engine = 'MyISAM'",
    "default_tmp_storage_engine = 'MyISAM'",
    "innodb_default_row_format = 'compact'",
    "time_zone = '-11:00'",
    "init_connect = 'SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY'",
)
"""Defaults that turn one thing or another against an application that relies on its own."""


@pytest.fixture(scope="module")
def server() -> Iterator[OwnMariaDB]:
    """A server of this module with such defaults."""
    if mariadb_programs() is None:
        pytest.skip(NO_MARIADB)
    with OwnMariaDB() as own:
        with administrator(own.url) as connection:
            connection.exec_driver_sql("CREATE USER app IDENTIFIED BY 'secret'")
            for each in HOSTILE:
                connection.exec_driver_sql(f"SET GLOBAL {each}")
        yield own


@pytest.fixture
def url(server: OwnMariaDB) -> Iterator[str]:
    """An empty database on that server, of a user who may do anything in it and nothing else."""
    with empty_place("mariadb", server.url) as place:
        with place.administrator() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {place.name} CHARACTER SET latin1")
            connection.exec_driver_sql(f"GRANT ALL ON {place.name}.* TO app")
        yield place.url.replace("root@", "app:secret@")


def test_the_defaults_of_the_server_do_not_reach_the_registry(url: str) -> None:
    clock = FakeClock()
    with Ledger(url, clock=clock) as ledger:
        for serial in range(1, 6):
            name = f"device '{serial}' \\ {chr(0x1F600)}"
            certificate = make_certificate(
                name, serial=serial, start=clock() - timedelta(hours=1), days=serial
            )
            ledger.issue(certificate, uuid=f"folder\\{serial}'")
        ledger.revoke(5)
        clock.now += timedelta(days=1, seconds=1)
        assert ledger.expire_due() == 1
        ledger.delete(2)
        ledger.database.write(lambda c, _: c.exec_driver_sql("DELETE FROM certificates LIMIT 1"))
        assert ledger.rebuild().missing == 1
        assert ledger.rebuild(recreate=True).differences == 0
        assert list(ledger.drift()) == []
        assert list(ledger.verify()) == []
        record = ledger.get(4)
        assert record.common_name == f"device '4' \\ {chr(0x1F600)}"
        assert len(list(ledger.list())) == 4


def test_tables_are_kept_by_innodb_in_a_format_with_room_for_long_keys(url: str) -> None:
    Ledger(url).close()
    tables = execute(
        url,
        "SELECT table_name AS name, engine, row_format AS format, table_collation AS collation "
        "FROM information_schema.tables WHERE table_schema = database()",
    )
    assert len(tables) == 8
    for table in tables:
        assert (table["engine"], table["format"]) == ("InnoDB", "Dynamic"), table
        assert table["collation"].startswith("utf8mb4"), table


def test_texts_are_compared_byte_by_byte_whatever_the_database_does(url: str) -> None:
    Ledger(url).close()
    columns = execute(
        url,
        "SELECT DISTINCT collation_name AS name FROM information_schema.columns "
        "WHERE table_schema = database() AND collation_name IS NOT NULL "
        "AND table_name <> 'alembic_version'",
    )
    assert [row["name"] for row in columns] == ["utf8mb4_nopad_bin"]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, retry_seconds=5)
    Ledger(opened)
    yield opened
    opened.close()


def transaction(connection: Connection) -> tuple[str, bool]:
    """Isolation and access of the transaction that a connection is in, once it has read a row."""
    connection.exec_driver_sql("SELECT * FROM log_head").all()
    name, read_only = connection.exec_driver_sql(
        "SELECT @@session.tx_isolation, @@session.tx_read_only"
    ).one()
    return str(name), bool(read_only)


def test_each_transaction_is_isolated_as_its_purpose_asks(database: Database) -> None:
    for _ in range(2):
        assert database.write(lambda connection, _: transaction(connection)) == (
            "READ-COMMITTED",
            False,
        )
        assert database.read(transaction) == ("REPEATABLE-READ", True)
        with database.connect_alone() as connection:
            with database.transaction(connection):
                assert transaction(connection) == ("REPEATABLE-READ", False)
            with database.transaction(connection, writing=True):
                assert transaction(connection) == ("READ-COMMITTED", False)
        with database.engine.begin() as connection:
            assert transaction(connection) == ("READ-COMMITTED", False)


def test_isolation_that_a_caller_asks_for_is_the_callers_and_does_not_stay(
    database: Database,
) -> None:
    """There is one connection in the pool, which all of these use."""
    assert database.read(transaction) == ("REPEATABLE-READ", True)
    for level in ("SERIALIZABLE", "READ UNCOMMITTED"):
        with (
            database.engine.connect().execution_options(isolation_level=level) as own,
            own.begin(),
        ):
            assert transaction(own)[0] == level.replace(" ", "-")
        with database.engine.begin() as connection:
            assert transaction(connection) == ("READ-COMMITTED", False)
        assert database.read(transaction) == ("REPEATABLE-READ", True)


def test_a_session_has_the_settings_that_the_registry_counts_on(database: Database) -> None:
    def settings(connection: Connection) -> dict[str, Any]:
        rows = connection.exec_driver_sql("SHOW SESSION VARIABLES")
        return {str(name): str(value) for name, value in rows}

    found = database.read(settings)
    assert set(found["sql_mode"].split(",")) == set(str(SETTINGS["sql_mode"]).split(","))
    assert found["autocommit"] == "OFF"
    assert found["completion_type"] == "NO_CHAIN"
    assert (found["foreign_key_checks"], found["unique_checks"]) == ("ON", "ON")
    assert (found["sql_safe_updates"], found["sql_auto_is_null"]) == ("OFF", "OFF")
    assert (found["time_zone"], found["character_set_connection"]) == ("+00:00", "utf8mb4")
    assert (found["innodb_lock_wait_timeout"], found["lock_wait_timeout"]) == ("5", "5")


def test_a_transaction_that_reads_can_write_nothing(database: Database) -> None:
    with pytest.raises(ReadOnlyRegistry, match="READ ONLY transaction"):
        database.read(lambda c: c.exec_driver_sql("DELETE FROM certificates"))


def test_a_reader_sees_one_snapshot(database: Database, url: str) -> None:
    with Ledger(url) as ledger:

        def read(connection: Connection) -> list[object]:
            first = connection.exec_driver_sql("SELECT size FROM log_head").scalar_one()
            ledger.issue(make_certificate())
            rows = connection.exec_driver_sql("SELECT count(*) FROM log_entry").scalar_one()
            return [first, rows]

        assert database.read(read) == [0, 0]
        assert ledger.head().size == 1


@pytest.mark.parametrize(
    "query", ["charset=latin1", "charset=ascii&use_unicode=0", "autocommit=true", "autocommit=1"]
)
def test_no_option_of_a_url_weakens_a_session(url: str, query: str) -> None:
    with Ledger(f"{url}?{query}") as ledger:
        with pytest.raises(ZeroDivisionError):
            ledger.database.write(lambda c, _: spoil(c))
        ledger.issue(make_certificate(f"caf{chr(0xE9)} {chr(0x1F600)}", serial=7))
        record = ledger.get(7)
        assert record.common_name == f"caf{chr(0xE9)} {chr(0x1F600)}"
        assert list(ledger.verify()) == []


def spoil(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO projection VALUES ('other', 0, 1)")
    raise ZeroDivisionError


def test_a_server_that_takes_only_short_statements_is_refused(server: OwnMariaDB, url: str) -> None:
    with administrator(server.url) as connection:
        before = connection.exec_driver_sql("SELECT @@global.max_allowed_packet").scalar_one()
        connection.exec_driver_sql(f"SET GLOBAL max_allowed_packet = {SMALLEST_PACKET - 1024}")
        try:
            with pytest.raises(StorageUnavailable, match="SET GLOBAL max_allowed_packet"):
                Ledger(url)
            left = "SELECT count(*) FROM information_schema.processlist WHERE user = 'app'"
            wait_until(lambda: connection.exec_driver_sql(left).scalar_one() == 0)
            connection.exec_driver_sql(f"SET GLOBAL max_allowed_packet = {SMALLEST_PACKET}")
            with Ledger(url) as ledger:
                many = [Registration(make_certificate(serial=n)) for n in range(1, 1_001)]
                assert all(outcome.event for outcome in ledger.issue_many(many))
                assert list(ledger.verify()) == []
        finally:
            connection.exec_driver_sql(f"SET GLOBAL max_allowed_packet = {before}")


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


# Several registries on one server


def test_registries_of_one_server_have_a_database_each(mariadb_server: str) -> None:
    """Named in the URL, or beside it."""
    with (
        empty_place("mariadb", mariadb_server) as one,
        empty_place("mariadb", mariadb_server) as other,
        Ledger(one.url, origin="one.example.org") as first,
        Ledger(mariadb_server, schema=other.name, origin="other.example.org") as second,
    ):
        first.issue(make_certificate(serial=1), uuid="same")
        second.issue(make_certificate(serial=1), uuid="same")
        first.revoke(1)
        assert second.get(1).status == "valid"
        assert (first.head().size, second.head().size) == (2, 1)
        assert [*first.verify(), *second.verify()] == []
        with Ledger(other.url) as again:
            assert again.head().origin == "other.example.org"


def test_sessions_of_callers_on_the_asynchronous_driver_are_set_up_alike(url: str) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncDBHandler(url) as handler:
            assert await handler.register_cert_in_db(make_certificate(serial=1), None)
            async with handler._db.get_session() as session:
                settings = "SELECT @@sql_mode, @@tx_isolation, @@time_zone, @@foreign_key_checks"
                return tuple((await session.execute(text(settings))).one())

    mode, *others = asyncio.run(ask())
    assert set(mode.split(",")) == set(str(SETTINGS["sql_mode"]).split(","))
    assert others == ["READ-COMMITTED", "+00:00", 1]
