"""The asynchronous `DatabaseManager`, and what callers reach through a handler."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from certledger import AsyncDBHandler, Ledger
from certledger.db import CertificateRecord, SyncDBHandler
from certledger.db.async_db_manager import DatabaseManager
from certledger.db.models import Base
from certledger.errors import InvalidValue, NotARegistry, ReadOnlyRegistry
from certledger.testing.certificates import make_certificate
from tests.support.processes import run

NAMES = select(CertificateRecord.common_name).order_by(CertificateRecord.id)
TABLES = text("SELECT name FROM sqlite_master WHERE type = 'table'")
PLACES = ["file", "in memory"]


@pytest.fixture
def place(request: pytest.FixtureRequest, url: str) -> str:
    """A URL of a database in a file, or in memory."""
    return url if request.param == "file" else "sqlite+aiosqlite:///:memory:"


in_file_and_memory = pytest.mark.parametrize("place", PLACES, indirect=True)


async def all_of(manager: DatabaseManager, statement: Any) -> list[Any]:
    async with manager.get_session() as session:
        return list(await session.scalars(statement))


def test_the_manager_takes_a_url() -> None:
    parameters = inspect.signature(DatabaseManager).parameters.values()
    assert [(one.name, one.default) for one in parameters] == [
        ("db_url", "sqlite+aiosqlite:///ca_repository.db"),
        ("schema", None),
    ]


def test_the_default_file_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        manager = DatabaseManager()
        await manager.init_db()
        await manager.close()

    asyncio.run(main())
    assert (tmp_path / "ca_repository.db").is_file()


@pytest.mark.parametrize("url", ["no url", "nosuch://x", ""])
def test_what_is_no_url_raises_a_typed_error_at_once(url: str) -> None:
    with pytest.raises(InvalidValue):
        DatabaseManager(url)


def test_engine_and_sessions_can_be_reached_outside_of_a_loop(url: str, file: Path) -> None:
    handler = AsyncDBHandler(url)
    manager = handler._db
    assert isinstance(manager.engine, AsyncEngine)
    assert isinstance(manager.async_session, async_sessionmaker)
    session = manager.get_session()
    assert isinstance(session, AsyncSession)
    assert manager.engine is manager.engine
    assert session.bind is manager.engine
    assert not file.exists()


# Sessions


@in_file_and_memory
def test_sessions_see_what_calls_have_done_and_calls_what_sessions_have(place: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(place) as handler:
            assert await handler.register_cert_in_db(make_certificate("one", serial=1), "one")
            assert await all_of(handler._db, NAMES) == ["one"]
            async with handler._db.get_session() as session:
                record = (await session.scalars(select(CertificateRecord))).one()
                record.common_name = "edited"
                await session.commit()
                assert record.uuid == "one"
            edited = await handler.get_by_serial(1)
            assert edited is not None
            assert edited.common_name == "edited"
            # A write past the log, which is found.
            assert [row.kind async for row in handler._ledger.drift()] == ["changed"]

    asyncio.run(main())


@in_file_and_memory
def test_what_a_session_rolls_back_is_gone(place: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(place) as handler:
            await handler.register_cert_in_db(make_certificate("one", serial=1), None)
            async with handler._db.get_session() as session:
                await session.execute(text("DELETE FROM certificates"))
                await session.rollback()
            async with handler._db.get_session() as session:
                await session.execute(text("DELETE FROM certificates"))
            assert await all_of(handler._db, NAMES) == ["one"]

    asyncio.run(main())


@in_file_and_memory
def test_a_session_opens_the_registry_where_nothing_was_called_before(place: str) -> None:
    async def main() -> None:
        manager = DatabaseManager(place)
        assert await asyncio.gather(*(all_of(manager, NAMES) for _ in range(10))) == [[]] * 10
        assert {"log_entry", "certificates"} <= set(await all_of(manager, TABLES))
        await manager.close()

    asyncio.run(main())


def test_connections_of_sessions_are_as_durable_as_the_registrys(url: str) -> None:
    async def main() -> None:
        manager = DatabaseManager(url)
        async with manager.engine.connect() as connection:
            found = {
                name: await connection.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert found == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 10_000,
        }
        await manager.close()

    asyncio.run(main())


def test_a_session_left_open_after_reading_locks_nobody_out(url: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(url) as handler, handler._db.get_session() as session:
            assert (await session.scalars(NAMES)).all() == []
            assert await handler.register_cert_in_db(make_certificate(), None)
            assert (await session.scalars(NAMES)).all() == []  # one snapshot
            await session.rollback()
            assert len((await session.scalars(NAMES)).all()) == 1

    asyncio.run(main())


def test_in_memory_calls_wait_for_the_session_and_the_event_loop_goes_on() -> None:
    async def main() -> None:
        async with AsyncDBHandler("sqlite://") as handler:
            await handler.register_cert_in_db(make_certificate("one", serial=1), None)
            session = handler._db.get_session()
            assert (await session.scalars(NAMES)).all() == ["one"]
            call = asyncio.create_task(handler.get_by_serial(1))
            other = asyncio.create_task(all_of(handler._db, NAMES))
            await asyncio.sleep(0)
            assert [call.done(), other.done()] == [False, False]
            await session.close()
            assert await call is not None
            assert await other == ["one"]

    asyncio.run(main())


@in_file_and_memory
def test_the_engine_can_be_used_by_itself(place: str) -> None:
    async def main() -> None:
        manager = DatabaseManager(place)
        async with manager.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(text("CREATE TABLE mine (x INTEGER)"))
            await connection.execute(text("INSERT INTO mine VALUES (1)"))
        assert await all_of(manager, text("SELECT x FROM mine")) == [1]
        await manager.close()

    asyncio.run(main())


# Tables that callers declare


@in_file_and_memory
def test_a_table_declared_on_base_is_made_and_can_be_written(
    place: str, callers_table: type[Base]
) -> None:
    async def main() -> None:
        async with AsyncDBHandler(place) as handler:
            await handler.register_cert_in_db(make_certificate(serial=1), None)
            record = await handler.get_by_serial(1)
            assert record is not None
            async with handler._db.get_session() as session:
                session.add(callers_table(certificate_id=record.id, name="Ada"))
                await session.commit()
            owners: Any = callers_table
            assert await all_of(handler._db, select(owners.name)) == ["Ada"]
            assert [row async for row in handler._ledger.drift()] == []

    asyncio.run(main())


def test_the_first_call_makes_a_callers_table_without_init_db(
    url: str, callers_table: type[Base]
) -> None:
    async def main() -> None:
        handler = AsyncDBHandler(url)
        await handler.list_all()
        assert "owners" in await all_of(handler._db, TABLES)
        await handler.close()

    asyncio.run(main())


def test_init_db_makes_a_table_that_was_declared_after_the_first_call(
    url: str, request: pytest.FixtureRequest
) -> None:
    async def main() -> None:
        handler = AsyncDBHandler(url)
        await handler.list_all()
        request.getfixturevalue("callers_table")
        for _ in range(2):
            await handler._db.init_db()
        assert "owners" in await all_of(handler._db, TABLES)
        await handler.close()

    asyncio.run(main())


# Event loops


def test_sessions_of_event_loops_one_after_another(url: str) -> None:
    handler = AsyncDBHandler(url)
    for serial in range(1, 5):

        async def main(n: int = serial) -> list[str]:
            await handler.register_cert_in_db(make_certificate(f"host-{n}", serial=n), None)
            return await all_of(handler._db, NAMES)

        assert asyncio.run(main()) == [f"host-{n}" for n in range(1, serial + 1)]
    asyncio.run(handler.close())


@in_file_and_memory
def test_first_sessions_of_several_event_loops_at_once(place: str) -> None:
    manager = DatabaseManager(place)
    start = threading.Barrier(8)

    def loop() -> list[list[str]]:
        async def main() -> list[list[str]]:
            start.wait()
            return [*await asyncio.gather(*(all_of(manager, NAMES) for _ in range(3)))]

        return asyncio.run(main())

    with ThreadPoolExecutor(8) as pool:
        results = [done.result() for done in [pool.submit(loop) for _ in range(8)]]
    assert results == [[[], [], []]] * 8
    asyncio.run(manager.close())


# What cannot be opened


def test_a_database_of_tiny_ca_is_not_opened_and_stays_as_it_is(url: str, file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE certificates (id INTEGER PRIMARY KEY, serial_number VARCHAR)")
        other.execute("INSERT INTO certificates VALUES (1, '5')")
    other.close()
    before = file.read_bytes()

    async def main() -> None:
        manager = DatabaseManager(url)
        with pytest.raises(NotARegistry, match="`certledger "):
            await manager.init_db()
        with pytest.raises(NotARegistry, match="`certledger "):
            await all_of(manager, NAMES)
        await manager.close()

    asyncio.run(main())
    assert file.read_bytes() == before


def test_a_read_only_registry_can_be_read_by_sessions(url: str, file: Path) -> None:
    with SyncDBHandler(url) as handler:
        handler.register_cert_in_db(make_certificate("there", serial=1), None)

    async def main() -> None:
        manager = DatabaseManager(f"sqlite:///file:{file}?mode=ro&uri=true")
        assert await all_of(manager, NAMES) == ["there"]
        await manager.close()

    asyncio.run(main())


def test_a_read_only_registry_without_a_callers_table_is_refused(
    url: str, file: Path, request: pytest.FixtureRequest
) -> None:
    Ledger(url).close()
    request.getfixturevalue("callers_table")

    async def main() -> None:
        manager = DatabaseManager(f"sqlite:///file:{file}?mode=ro&uri=true")
        with pytest.raises(ReadOnlyRegistry):
            await manager.init_db()
        await manager.close()

    asyncio.run(main())


def test_only_sessions_need_the_asynchronous_driver() -> None:
    script = """
import asyncio, sys
sys.modules["aiosqlite"] = None  # as where it is not installed
from certledger import AsyncDBHandler
from certledger.errors import InvalidValue
handler = AsyncDBHandler("sqlite+aiosqlite://")
print(asyncio.run(handler.list_all()))
try:
    handler._db.get_session()
except InvalidValue as error:
    print(error)
"""
    answer, refusal = run(script).splitlines()
    assert answer == "[]"
    assert refusal == (
        "sessions need the package aiosqlite, which is not installed: pip install certledger[async]"
    )
