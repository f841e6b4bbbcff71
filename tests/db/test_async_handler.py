"""`AsyncDBHandler`: the contract's answers, for tasks of any event loop.

What the calls answer is held to the contract by the conformance suite, for both handlers.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import certledger
from certledger import AsyncDBHandler, Ledger, acting_as
from certledger.db import BaseDB, RevokeStatus, SyncDBHandler
from certledger.errors import InvalidValue, NotARegistry, StorageUnavailable
from certledger.projections.queries import RevokedRow
from certledger.testing.certificates import make_certificate
from certledger.testing.issue import Issue
from certledger.testing.told import lines

COROUTINES = sorted(BaseDB.__abstractmethods__ - {"get_revoked_certificates"})


@pytest.fixture
def foreign(url: str, file: Path) -> str:
    """A database made by tiny_ca, which is not opened."""
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE certificates (id INTEGER PRIMARY KEY, serial_number VARCHAR)")
    other.close()
    return url


async def revoked(handler: AsyncDBHandler, **options: Any) -> list[RevokedRow]:
    return [row async for row in handler.get_revoked_certificates(**options)]


# What it is


def test_eight_methods_are_coroutines_and_one_is_an_asynchronous_generator() -> None:
    assert all(inspect.iscoroutinefunction(getattr(AsyncDBHandler, name)) for name in COROUTINES)
    assert len(COROUTINES) == 8
    assert inspect.isasyncgenfunction(AsyncDBHandler.get_revoked_certificates)


def test_it_is_a_registry_and_truthy() -> None:
    handler = AsyncDBHandler("sqlite://")
    assert isinstance(handler, BaseDB)
    assert bool(handler) is True
    assert handler._logger is certledger.DEFAULT_LOGGER


def test_nothing_is_opened_before_the_first_call(url: str, file: Path) -> None:
    handler = AsyncDBHandler(url)
    assert not file.exists()
    assert asyncio.run(handler.list_all()) == []
    assert file.exists()
    asyncio.run(handler.close())


@pytest.mark.parametrize("url", ["no url", "nosuch://x", ""])
def test_what_is_no_url_raises_a_typed_error_at_once(url: str) -> None:
    with pytest.raises(InvalidValue):
        AsyncDBHandler(url)


def test_a_url_may_name_the_driver_of_either_kind(file: Path) -> None:
    for serial, driver in enumerate(("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"), 1):
        handler = AsyncDBHandler(f"{driver}:///{file}")
        assert asyncio.run(handler.register_cert_in_db(make_certificate(serial=serial), None))
        asyncio.run(handler.close())
    with SyncDBHandler(f"sqlite:///{file}") as after:
        assert len(after.list_all()) == 3


# What it answers


def test_the_life_of_a_certificate(url: str) -> None:
    certificate = make_certificate("life.example.org", serial=7)

    async def main() -> None:
        async with AsyncDBHandler(url) as handler:
            assert await handler.register_cert_in_db(cert=certificate, uuid="life")
            assert not await handler.register_cert_in_db(cert=certificate, uuid="life")
            record = await handler.get_by_serial(serial=7)
            named = await handler.get_by_name(common_name="life.example.org")
            assert record is not None
            assert named is not None
            assert (record.serial_number, named.id) == ("7", record.id)
            assert [one.uuid for one in await handler.get_expiring(within_days=100)] == ["life"]
            assert await handler.revoke_certificate(serial_number=7) == (True, RevokeStatus.OK)
            assert await handler.revoke_certificate(7) == (False, RevokeStatus.NOT_FOUND)
            assert [row.serial_number for row in await revoked(handler)] == ["7"]
            assert await handler.delete_by_uuid(uuid="life")
            assert [row.serial_number for row in await revoked(handler, window=None)] == ["7"]
            assert await handler.update_status_expired() == 0
            assert await handler.get_by_serial(7) is None

    asyncio.run(main())


def test_a_certificate_without_a_common_name_is_an_index_error(url: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(url) as handler:
            with pytest.raises(IndexError):
                await handler.register_cert_in_db(make_certificate(None), "u")

    asyncio.run(main())


def test_revoke_takes_the_keyword_of_the_published_example(url: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(url) as handler:
            await handler.register_cert_in_db(make_certificate(serial=1), None)
            revoke: Any = handler.revoke_certificate
            with pytest.raises(TypeError):
                await revoke(serial=1, serial_number=1)
            assert await revoke(serial=1) == (True, RevokeStatus.OK)

    asyncio.run(main())


def test_it_can_be_put_over_an_open_ledger(ledger: Ledger, issue: Issue) -> None:
    """With its clock, too."""
    handler = AsyncDBHandler.over(ledger)

    async def main() -> None:
        await handler.register_cert_in_db(issue(serial=1, starts=-9, ends=-1), None)
        assert await handler.update_status_expired() == 1

    asyncio.run(main())
    assert ledger.get(1).status == "expired"
    asyncio.run(handler.close())


# Who acts, and what is logged


def test_the_actor_is_the_calling_tasks(ledger: Ledger) -> None:
    handler = AsyncDBHandler.over(ledger)

    async def task(serial: int) -> None:
        with acting_as(f"user-{serial}"):
            assert await handler.register_cert_in_db(make_certificate(serial=serial), None)

    async def main() -> None:
        await asyncio.gather(*(task(serial) for serial in range(1, 21)))

    asyncio.run(main())
    assert {event.subject: event.authid for event in ledger.events()} == {
        f"certificate/{serial}": f"user-{serial}" for serial in range(1, 21)
    }
    asyncio.run(handler.close())


def test_a_line_of_the_log_is_written_in_the_context_of_its_task(url: str) -> None:
    """So that filters which add a request's id go on working."""
    request: ContextVar[str] = ContextVar("request")
    logger = logging.getLogger("tests.async")
    seen: list[tuple[str, str]] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((request.get(), record.getMessage().partition(",")[0]))

    note = Note()
    logger.setLevel(logging.INFO)
    logger.addHandler(note)

    async def task(handler: AsyncDBHandler, serial: int) -> None:
        request.set(f"request {serial}")
        await handler.register_cert_in_db(make_certificate(serial=serial), None)

    async def main() -> None:
        async with AsyncDBHandler(url, logger) as handler:
            assert handler._logger is logger
            await asyncio.gather(*(task(handler, serial) for serial in (1, 2, 3)))

    asyncio.run(main())
    logger.removeHandler(note)
    assert sorted(seen) == [(f"request {n}", f"registered serial {n}") for n in (1, 2, 3)]


# What cannot be opened


def test_an_error_of_opening_is_answered_as_the_contract_says(
    foreign: str, log: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate()

    async def main() -> list[Any]:
        handler = AsyncDBHandler(foreign)
        answers = [
            await handler.register_cert_in_db(certificate, None),
            await handler.get_by_serial(1),
            await handler.get_by_name("x"),
            await handler.list_all(),
            await handler.get_expiring(),
            await handler.revoke_certificate(1),
            await handler.delete_by_uuid("u"),
            await handler.update_status_expired(),
        ]
        with pytest.raises(NotARegistry):
            await revoked(handler)
        with pytest.raises(NotARegistry):
            await handler._db.init_db()
        with pytest.raises(NotARegistry):
            async with AsyncDBHandler(foreign):
                pass
        await handler.close()
        return answers

    unknown = (False, RevokeStatus.UNKNOWN_ERROR)
    assert asyncio.run(main()) == [False, None, None, [], [], unknown, False, 0]
    assert len(lines(log, logging.ERROR)) == 9


def test_an_error_of_opening_is_raised_where_errors_are(foreign: str) -> None:
    async def main() -> None:
        handler = AsyncDBHandler(foreign, raise_errors=True)
        for call in (handler.list_all, handler.update_status_expired):
            with pytest.raises(NotARegistry):
                await call()
        await handler.close()

    asyncio.run(main())


def test_it_works_as_soon_as_it_can_be_opened(tmp_path: Path) -> None:
    async def main() -> None:
        handler = AsyncDBHandler(f"sqlite:///{tmp_path}/later/registry.db")
        assert not await handler.register_cert_in_db(make_certificate(serial=1), None)
        (tmp_path / "later").mkdir()
        assert await handler.register_cert_in_db(make_certificate(serial=1), None)
        await handler.close()

    asyncio.run(main())


def test_the_list_for_a_crl_raises_and_is_not_empty(ledger: Ledger) -> None:
    handler = AsyncDBHandler.over(ledger)
    with ledger.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE certificates")

    async def main() -> None:
        with pytest.raises(StorageUnavailable):
            await revoked(handler)
        await handler.close()

    asyncio.run(main())


# Many at once


@pytest.mark.parametrize("place", ["file", "in memory"])
def test_200_tasks_at_once_read_and_write_without_an_error_and_lose_nothing(
    url: str, place: str, log: pytest.LogCaptureFixture
) -> None:
    certificates = [make_certificate(f"host-{n}", serial=n) for n in range(1, 201)]

    async def task(handler: AsyncDBHandler, n: int) -> None:
        assert await handler.register_cert_in_db(certificates[n - 1], f"folder-{n}")
        record, named, page = await asyncio.gather(
            handler.get_by_serial(n), handler.get_by_name(f"host-{n}"), handler.list_all(limit=5)
        )
        assert record is not None
        assert named is not None
        assert (record.uuid, named.uuid, bool(page)) == (f"folder-{n}", f"folder-{n}", True)
        if n % 2:
            assert await handler.revoke_certificate(n) == (True, RevokeStatus.OK)
            assert str(n) in {row.serial_number for row in await revoked(handler)}
        if n % 4 == 0:
            assert await handler.delete_by_uuid(f"folder-{n}")
            assert await handler.get_by_serial(n) is None

    async def main() -> None:
        async with AsyncDBHandler(url if place == "file" else "sqlite://") as handler:
            await asyncio.gather(*(task(handler, n) for n in range(1, 201)))
            left = {record.serial_number for record in await handler.list_all(limit=1_000)}
            assert left == {str(n) for n in range(1, 201) if n % 4}
            assert {row.serial_number for row in await revoked(handler)} == {
                str(n) for n in range(1, 201, 2)
            }
            ledger = handler._ledger
            assert [event.seq async for event in ledger.events()] == list(range(350))
            assert [finding async for finding in ledger.verify()] == []

    asyncio.run(main())
    assert {record.levelno for record in log.records} == {logging.INFO}


def test_of_many_who_revoke_one_certificate_one_is_told_that_he_did(url: str) -> None:
    async def main() -> None:
        async with AsyncDBHandler(url) as handler:
            await handler.register_cert_in_db(make_certificate(serial=1), None)
            told = await asyncio.gather(*(handler.revoke_certificate(1) for _ in range(100)))
            assert sorted(done for done, _ in told) == [False] * 99 + [True]
            assert (await handler._ledger.head()).size == 2

    asyncio.run(main())


def test_waiting_writers_do_not_keep_readers_waiting(url: str, file: Path) -> None:
    """All of them wait for the lock of another process; what reads goes on meanwhile."""
    other = sqlite3.connect(file, isolation_level=None)

    async def main() -> None:
        async with AsyncDBHandler(url) as handler:
            await handler.register_cert_in_db(make_certificate(serial=1), None)
            other.execute("BEGIN IMMEDIATE")
            writers = [asyncio.create_task(handler.revoke_certificate(1)) for _ in range(50)]
            await asyncio.sleep(0)
            assert all(await asyncio.gather(*(handler.get_by_serial(1) for _ in range(100))))
            assert await revoked(handler) == []
            assert not any(task.done() for task in writers)
            other.execute("ROLLBACK")
            assert sum(done for done, _ in await asyncio.gather(*writers)) == 1

    asyncio.run(main())
    other.close()


# Several event loops


def test_event_loops_one_after_another_use_one_handler(url: str) -> None:
    """As programs do that call `asyncio.run` for each of their jobs."""
    handler = AsyncDBHandler(url)
    for serial in range(1, 6):
        certificate = make_certificate(serial=serial)
        assert asyncio.run(handler.register_cert_in_db(certificate, None))
        assert len(asyncio.run(handler.list_all())) == serial
        assert asyncio.run(revoked(handler)) == []
    asyncio.run(handler.close())


def test_event_loops_of_several_threads_use_one_handler_at_once(url: str) -> None:
    handler = AsyncDBHandler(url)
    start = threading.Barrier(8)

    def loop(thread: int) -> None:
        async def job(serial: int) -> bool:
            certificate = make_certificate(serial=serial)
            done = await handler.register_cert_in_db(certificate, f"folder-{serial}")
            return done and await handler.get_by_serial(serial) is not None

        async def main() -> None:
            start.wait()
            serials = range(thread * 100, thread * 100 + 10)
            assert all(await asyncio.gather(*(job(serial) for serial in serials)))

        asyncio.run(main())

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(loop, thread) for thread in range(1, 9)]:
            done.result()
    asyncio.run(handler.close())
    with Ledger(url) as after:
        assert after.head().size == 80
        assert list(after.verify()) == []
