"""Registries in schemas of one PostgreSQL database do not see each other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, Table, text

from certledger import DatabaseManager, Ledger, SyncDBHandler
from certledger.async_ledger import AsyncLedger
from certledger.db.async_db_manager import AsyncDBHandler
from certledger.errors import InvalidValue, NotARegistry, ReadOnlyRegistry, StorageUnavailable
from certledger.eventstore.database import Database
from certledger.eventstore.head import take_lock
from certledger.projections.models import Base
from certledger.testing.certificates import make_certificate
from tests.support.postgresql import database, named, role, with_options
from tests.support.servers import Place, administrator

NAMES = [
    "plain",
    "Upper Case",
    'quo"te',
    "apo'strophe",
    "back\\slash",
    "com,ma",
    "semi;colon--",
    "per%cent%s",
    "tür",
    " edge ",
    "select",
    "n" * 63,
]


@pytest.fixture(scope="module")
def shared(postgresql_server: str) -> Iterator[str]:
    """A database in which the tests of this module make schemas."""
    with database(postgresql_server) as url:
        yield url


def create_schema(url: str, name: str) -> None:
    with administrator(url.replace("postgresql://", "postgresql+psycopg://")) as sql:
        quoted = name.replace('"', '""').replace("%", "%%")
        sql.exec_driver_sql(f'CREATE SCHEMA "{quoted}"')


@pytest.mark.parametrize("name", NAMES)
def test_a_registry_lies_in_the_schema_that_is_named(shared: str, name: str) -> None:
    create_schema(shared, name)
    with Ledger(shared, schema=name, origin="ca.example.org/one") as ledger:
        ledger.issue(make_certificate(serial=1))
        found = ledger.database.read(lambda c: c.scalar(text("SELECT current_schema()")))
        assert found == name
        assert [*ledger.verify()] == []
        assert [*ledger.drift()] == []
        assert ledger.rebuild(recreate=True).differences == 0
        again = ledger.url
    with Ledger(again, create=False) as ledger:  # the URL that is shown says all but a password
        assert ledger.get(1).serial_number == "1"


def test_registries_of_one_database_are_independent(shared: str) -> None:
    names = ["red", "green", "blue"]
    for name in names:
        create_schema(shared, name)
    ledgers = [Ledger(shared, schema=name, origin=f"{name}.example.org") for name in names]
    try:
        for at, ledger in enumerate(ledgers):
            for serial in range(at + 1):
                ledger.issue(
                    make_certificate(f"{at}.example.org", serial=serial + 1),
                    uuid="one" if serial == 0 else None,
                )
        for at, ledger in enumerate(ledgers):
            assert ledger.head().size == at + 1
            assert [row.common_name for row in ledger.each()] == [f"{at}.example.org"] * (at + 1)
            assert [*ledger.verify()] == []
            assert ledger.rebuild().differences == 0
    finally:
        for ledger in ledgers:
            ledger.close()


def test_writers_of_different_registries_do_not_wait_for_each_other(shared: str) -> None:
    for name in ("left", "right"):
        create_schema(shared, name)
    with (
        Ledger(shared, schema="left") as left,
        Ledger(shared, schema="right", retry_seconds=0) as right,
    ):

        def work(connection: Connection, _retrying: bool) -> int:
            take_lock(connection)
            return right.issue(make_certificate()).seq

        assert left.database.write(work) == 0


def test_many_make_their_registries_at_once(shared: str) -> None:
    names = [f"at_once_{at}" for at in range(4)]
    for name in names:
        create_schema(shared, name)

    def make(name: str) -> str:
        with Ledger(shared, schema=name) as ledger:
            return ledger.head().origin

    with ThreadPoolExecutor(16) as pool:
        origins = list(pool.map(make, names * 4))
    assert len(set(origins)) == len(names)
    assert origins == origins[:4] * 4


# A search_path of several schemas


@pytest.fixture
def both(postgresql_server: str) -> Iterator[str]:
    """A database with a registry in `public` and an empty schema `front`."""
    with database(postgresql_server) as url:
        with Ledger(url, origin="back.example.org") as ledger:
            ledger.issue(make_certificate("back.example.org", serial=1))
        create_schema(url, "front")
        yield url


PATH = "-csearch_path=front,public"


def test_a_registry_behind_another_schema_is_not_taken_for_that_schemas(both: str) -> None:
    with pytest.raises(NotARegistry, match="there is no registry"):
        Ledger(with_options(both, PATH), create=False)


def test_a_registry_in_front_of_another_is_made_whole(both: str) -> None:
    with Ledger(with_options(both, PATH), origin="front.example.org") as front:
        front.issue(make_certificate("front.example.org", serial=1))
        front.issue(make_certificate("front.example.org", serial=2))
        assert front.rebuild(recreate=True).differences == 0
        assert [*front.verify()] == []
    with Ledger(both) as back:
        assert back.head().origin == "back.example.org"
        assert [row.common_name for row in back.each()] == ["back.example.org"]
        assert [*back.verify()] == []


def test_a_table_that_is_missing_is_not_borrowed_from_the_schema_behind(both: str) -> None:
    url = with_options(both, PATH)
    with Ledger(url) as front:
        front.issue(make_certificate(serial=7))
    with administrator(both.replace("postgresql:", "postgresql+psycopg:")) as sql:
        sql.exec_driver_sql("DROP TABLE front.certificates")
    with Ledger(url) as front:
        with pytest.raises(StorageUnavailable, match='"certificates" does not exist'):
            front.issue(make_certificate(serial=8))
        assert front.rebuild(recreate=True).missing == 0
        assert front.get(7).serial_number == "7"
    with Ledger(both) as back:
        assert [*back.drift()] == []


def test_a_session_of_the_callers_sees_the_schemas_behind(both: str) -> None:
    with administrator(both.replace("postgresql:", "postgresql+psycopg:")) as sql:
        sql.exec_driver_sql("CREATE TABLE public.mine AS SELECT 7 AS x")
    with SyncDBHandler(with_options(both, PATH)) as handler:
        handler.register_cert_in_db(make_certificate(serial=7), None)
        for _ in range(2):
            with handler._db.session() as session:
                assert session.execute(text("SELECT x FROM mine")).all() == [(7,)]
                assert session.execute(text("SELECT count(*) FROM certificates")).scalar() == 1
        assert handler.get_by_serial(7)


@pytest.fixture
def callers_table() -> Iterator[Table]:
    table = Table("badges", Base.metadata, Column("id", Integer, primary_key=True))
    yield table
    Base.metadata.remove(table)


def test_tables_of_callers_are_made_in_the_registrys_schema(
    both: str, callers_table: Table
) -> None:
    """Also where the schema behind has tables of the same names."""
    SyncDBHandler(both).close()
    with SyncDBHandler(both, schema="front") as handler, handler._db.session() as session:
        found = session.execute(
            text("SELECT schemaname FROM pg_tables WHERE tablename = 'badges' ORDER BY 1")
        )
        assert list(found.scalars()) == ["front", "public"]


def test_the_schema_of_a_role_comes_before_public(both: str) -> None:
    """As PostgreSQL's own default, "$user", public, says."""
    server = both.replace("postgresql:", "postgresql+psycopg:")
    with role(server) as url:
        with administrator(server) as sql:
            name = named(url)
            sql.exec_driver_sql(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        with pytest.raises(NotARegistry, match="there is no registry"):
            Ledger(url, create=False)
        with Ledger(url, origin="mine.example.org") as ledger:
            assert ledger.head().origin == "mine.example.org"


# What is no schema


@pytest.mark.parametrize("path", ["-csearch_path=nowhere", "-csearch_path=nowhere,public"])
def test_a_schema_that_is_not_there_is_named(both: str, path: str) -> None:
    with pytest.raises(NotARegistry, match=r"schema nowhere is not there.*CREATE SCHEMA"):
        Ledger(with_options(both, path))


def test_a_schema_that_the_role_may_not_use_is_named(postgresql: Place) -> None:
    with role(postgresql.server) as url, pytest.raises(NotARegistry, match="GRANT USAGE"):
        Ledger(url, schema=postgresql.name)


def test_a_schema_in_which_the_role_may_create_nothing_stays_empty(postgresql: Place) -> None:
    with role(postgresql.server) as url:
        with postgresql.administrator() as sql:
            sql.exec_driver_sql(f"GRANT USAGE ON SCHEMA {postgresql.name} TO {named(url)}")
        with pytest.raises(ReadOnlyRegistry, match="permission denied for schema"):
            Ledger(url, schema=postgresql.name)


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 64, "ü" * 32])
def test_a_name_that_can_be_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="a name has 1 to 63 bytes"):
        Database("postgresql://nobody@127.0.0.1:1/none", schema=name)


def test_sqlite_has_no_schemas(url: str) -> None:
    with pytest.raises(InvalidValue, match="sqlite has none"):
        Ledger(url, schema="one")


def test_a_schema_beside_a_database_is_refused(postgresql: Place) -> None:
    other = Database(postgresql.url)
    with pytest.raises(InvalidValue, match="a Database has its own"):
        Ledger(other, schema="one")


# Everybody who takes a URL


def test_every_way_in_takes_a_schema(postgresql: Place) -> None:
    server, name = postgresql.server, postgresql.name
    with SyncDBHandler(server, schema=name) as handler:
        assert handler.register_cert_in_db(make_certificate(serial=3), None)
    manager = DatabaseManager(server, schema=name)
    with manager.session() as session:
        assert session.execute(text("SELECT serial_number FROM certificates")).scalar() == "3"
    manager.close()
    assert asyncio.run(asynchronous(server, name)) == ["3", "3", "3"]


async def asynchronous(server: str, name: str) -> list[str | None]:
    async with AsyncLedger(server, schema=name) as ledger:
        found: list[str | None] = [(await ledger.get(3)).serial_number]
    async with AsyncDBHandler(server, schema=name) as handler:
        record = await handler.get_by_serial(3)
        found.append(record.serial_number if record else None)
        async with handler._db.get_session() as session:
            answer = await session.execute(text("SELECT serial_number FROM certificates"))
            found.append(answer.scalar())
    return found


def test_the_command_line_takes_the_schema_in_the_url(postgresql: Place, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "certledger"), "--db", postgresql.url]
    for arguments in (["init", "--origin", "ca.example.org"], ["verify", "--jobs", "2"]):
        run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert run.stderr == ""
    with Ledger(postgresql.server, schema=postgresql.name) as ledger:
        assert ledger.head().origin == "ca.example.org"
