"""`AsyncLedger`: the calls of `Ledger`, for tasks of any event loop."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from certledger import AsyncLedger, Event, Ledger, Registration, acting_as
from certledger.errors import (
    DuplicateSerial,
    InvalidValue,
    NotARegistry,
    UnknownSerial,
)
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.clock import FakeClock
from certledger.unit_of_work import random_id

NOT_FOR_TASKS = {"close", "now", "url", "file"}
"""Members of `Ledger` that do not block, or are a coroutine of their own."""

PUBLIC = sorted(
    name
    for name, member in inspect.getmembers(Ledger, callable)
    if not name.startswith("_") and name not in NOT_FOR_TASKS
)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_of_the_ledger_is_there_with_its_arguments(name: str) -> None:
    ours, theirs = getattr(AsyncLedger, name), getattr(Ledger, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    if "Iterator" not in str(inspect.signature(theirs).return_annotation):
        assert inspect.iscoroutinefunction(ours)


def test_it_is_made_with_the_arguments_of_the_ledger() -> None:
    assert inspect.signature(AsyncLedger) == inspect.signature(Ledger)


# Opening and closing


def test_nothing_is_opened_before_the_first_call(url: str, file: Path) -> None:
    ledger = AsyncLedger(url, origin="ca.example.org/registry")
    assert (ledger.url, ledger.file, ledger.is_open) == (url, file, False)
    assert not file.exists()
    assert asyncio.run(ledger.head()).origin == "ca.example.org/registry"
    assert ledger.is_open
    asyncio.run(ledger.close())


def test_what_is_no_url_is_refused_at_once() -> None:
    with pytest.raises(InvalidValue):
        AsyncLedger("no url")


def test_a_context_manager_opens_at_once_and_closes(url: str, file: Path) -> None:
    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            await ledger.issue(make_certificate(serial=1))
            assert file.with_name(f"{file.name}-wal").exists()
        assert not file.with_name(f"{file.name}-wal").exists()
        with pytest.raises(NotARegistry):
            async with AsyncLedger(f"{url}-missing", create=False):
                pass

    asyncio.run(main())


def test_an_error_of_opening_is_raised_by_the_calls_until_it_is_gone(url: str) -> None:
    async def main() -> None:
        ledger = AsyncLedger(url, create=False)
        for call in (ledger.head, ledger.list, ledger.expire_due):
            with pytest.raises(NotARegistry):
                await call()
        with pytest.raises(NotARegistry):
            await anext(ledger.events())
        Ledger(url).close()
        assert (await ledger.head()).size == 0
        await ledger.close()

    asyncio.run(main())


def test_many_first_calls_at_once_make_one_registry(url: str) -> None:
    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            heads = await asyncio.gather(*(ledger.head() for _ in range(50)))
        assert len({head.origin for head in heads}) == 1

    asyncio.run(main())


@pytest.mark.parametrize("kept", [True, False], ids=["file", "in memory"])
def test_a_closed_one_opens_again_when_it_is_used(url: str, kept: bool) -> None:
    ledger = AsyncLedger(url if kept else "sqlite://")

    async def main(serial: int) -> int:
        async with ledger:
            await ledger.issue(make_certificate(serial=serial))
            return await ledger.count()

    assert [asyncio.run(main(serial)) for serial in (1, 2, 3)] == ([1, 2, 3] if kept else [1] * 3)


def test_it_can_be_put_over_an_open_ledger(ledger: Ledger, clock: FakeClock) -> None:
    async def main() -> Event:
        above = AsyncLedger.over(ledger)
        event = await above.issue(make_certificate(serial=1))
        await above.close()
        return event

    assert asyncio.run(main()).recordedtime == clock.now
    assert ledger.get(1).serial_number == "1"


# Calls


def test_the_whole_life_of_certificates(ledger: Ledger, clock: FakeClock) -> None:
    start = clock.now.replace(microsecond=0)
    end = start + timedelta(days=1)
    certificates = [make_certificate(serial=n, start=start, end=end) for n in range(1, 6)]
    ca = make_ca()

    async def main() -> None:
        above = AsyncLedger.over(ledger)
        await above.issue(certificates[0], uuid="one")
        batch = [Registration(certificate, "batch") for certificate in certificates]
        outcomes = [outcome async for outcome in above.issue_many(batch)]
        assert [outcome.already_there for outcome in outcomes] == [True, *[False] * 4]
        await above.revoke(2, "keyCompromise")
        await above.delete(uuid="one")
        assert (await above.crl(ca.certificate, ca.key)).crl[0].serial_number == 2
        clock.step(days=2)
        assert await above.expire_due() == 3
        assert [e.type.split(".")[2] async for e in above.events(since=5)] == [
            "revoked", "deleted", "published", "expired", "expired", "expired",
        ]  # fmt: skip
        assert [record.id for record in await above.list()] == [
            record.id async for record in above.each()
        ]
        assert await above.count(status="expired") == 3
        assert [e.seq for e in await above.history(2)] == [1, 5]
        assert (await above.status()).counts == ledger.status().counts
        assert [_ async for _ in above.drift()] == []
        assert (await above.rebuild()).differences == 0
        assert [_ async for _ in above.verify()] == []
        await above.close()

    asyncio.run(main())


def test_errors_are_those_of_the_ledger(url: str) -> None:
    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            await ledger.issue(make_certificate(serial=1))
            with pytest.raises(DuplicateSerial):
                await ledger.issue(make_certificate(serial=1))
            with pytest.raises(UnknownSerial):
                await ledger.get(404)
            with pytest.raises(InvalidValue):
                await anext(ledger.events(limit=-1))

    asyncio.run(main())


def test_progress_is_told_from_a_thread(url: str) -> None:
    told: list[tuple[int, str]] = []

    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            batch = [Registration(make_certificate(serial=n)) for n in range(1, 4)]
            stream = ledger.issue_many(
                batch,
                progress=lambda done: told.append((done, threading.current_thread().name)),
            )
            assert [outcome.event is not None async for outcome in stream] == [True] * 3

    asyncio.run(main())
    ((done, thread),) = told
    assert (done, thread.rpartition("_")[0]) == (3, "certledger-job")


# Who acts


def test_the_actor_is_the_calling_tasks(url: str) -> None:
    async def task(ledger: AsyncLedger, serial: int) -> None:
        with acting_as(f"user-{serial}", comment=f"order {serial}"):
            await asyncio.sleep(0)
            await ledger.issue(make_certificate(serial=serial))

    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            await asyncio.gather(*(task(ledger, serial) for serial in range(1, 31)))
            async for event in ledger.events():
                serial = event.subject.partition("/")[2]
                assert event.authid == f"user-{serial}"

    asyncio.run(main())


def test_the_actor_of_many_is_who_asked_for_them(url: str) -> None:
    async def main() -> None:
        async with AsyncLedger(url) as ledger:
            with acting_as("importer"):
                outcomes = ledger.issue_many([Registration(make_certificate(serial=1))])
            with acting_as("somebody else"):
                (outcome,) = [outcome async for outcome in outcomes]
            assert outcome.event is not None
            assert outcome.event.authid == "importer"

    asyncio.run(main())


# Cancelling


class Watched:
    """Makes event ids, and tells that a command has begun."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)

    def __call__(self) -> str:
        self.begun.release()
        return random_id()


@pytest.fixture
def locked(url: str, file: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else's that has locked the registry against changes."""
    Ledger(url).close()
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


async def cancelled(*tasks: asyncio.Task[Any]) -> bool:
    """Cancel tasks, and tell whether that is how they ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return all(task.cancelled() for task in tasks)


def test_a_cancelled_command_is_either_done_or_not_and_its_id_tells(
    url: str, locked: sqlite3.Connection
) -> None:
    """Of two commands one has begun: it waits for the lock of another process."""
    watched = Watched()
    certificates = [make_certificate(serial=serial) for serial in (1, 2)]

    async def main() -> None:
        ledger = AsyncLedger(url, new_id=watched)
        begun, waiting = [
            asyncio.create_task(ledger.issue(one, command_id=f"order-{one.serial_number}"))
            for one in certificates
        ]
        await asyncio.to_thread(watched.begun.acquire)
        assert await cancelled(begun, waiting)
        assert (await ledger.head()).size == 0
        locked.execute("ROLLBACK")
        # Behind the one that goes on, and so told of its result.
        first = await ledger.issue(certificates[0], command_id="order-1")
        assert (first.seq, (await ledger.head()).size) == (0, 1)
        with pytest.raises(UnknownSerial):
            await ledger.get(2)
        second = await ledger.issue(certificates[1], command_id="order-2")
        assert second.seq == 1
        assert await ledger.issue(certificates[0], command_id="order-1") == first
        await ledger.close()

    asyncio.run(main())


def test_the_end_of_a_program_waits_for_the_command_that_has_begun(
    url: str, locked: sqlite3.Connection
) -> None:
    watched = Watched()
    ledger = AsyncLedger(url, new_id=watched)

    async def main() -> None:
        tasks = [
            asyncio.create_task(ledger.issue(make_certificate(serial=serial)))
            for serial in range(1, 11)
        ]
        await asyncio.to_thread(watched.begun.acquire)
        del tasks  # which the end of the loop cancels

    asyncio.run(main())
    locked.execute("ROLLBACK")
    asyncio.run(ledger.close())
    with Ledger(url) as after:
        assert [record.serial_number for record in after.list()] == ["1"]


def test_a_time_out_is_not_held_up_by_a_command_that_has_begun(
    url: str, locked: sqlite3.Connection
) -> None:
    watched = Watched()

    async def main() -> None:
        ledger = AsyncLedger(url, new_id=watched)
        task = asyncio.create_task(ledger.issue(make_certificate(serial=1)))
        await asyncio.to_thread(watched.begun.acquire)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.01)
        locked.execute("ROLLBACK")
        await ledger.close()
        assert (await ledger.get(1)).status == "valid"
        await ledger.close()

    asyncio.run(main())


def test_after_a_storm_of_cancelling_every_retried_command_has_happened_once(url: str) -> None:
    certificates = [make_certificate(serial=serial) for serial in range(1, 201)]

    async def main() -> None:
        async with AsyncLedger(url) as ledger:

            async def register(number: int) -> Event:
                return await ledger.issue(certificates[number], command_id=f"order-{number}")

            tasks = [asyncio.create_task(register(number)) for number in range(200)]
            for done in islice(asyncio.as_completed(tasks), 40):
                await done
            for task in tasks[::2]:
                task.cancel()
            first = await asyncio.gather(*tasks, return_exceptions=True)
            again = await asyncio.gather(*(register(number) for number in range(200)))
            for before, after in zip(first, again, strict=True):
                assert isinstance(before, asyncio.CancelledError) or before == after
            assert sorted(event.seq for event in again) == list(range(200))
            assert [finding async for finding in ledger.verify()] == []
            assert (await ledger.head()).size == 200

    asyncio.run(main())


# Event loops


def test_it_serves_event_loops_one_after_another(url: str) -> None:
    ledger = AsyncLedger(url)
    for serial in range(1, 6):
        asyncio.run(ledger.issue(make_certificate(serial=serial)))
        assert asyncio.run(ledger.count()) == serial
    asyncio.run(ledger.close())


def test_it_serves_event_loops_of_several_threads_at_once(url: str) -> None:
    ledger = AsyncLedger(url)
    start = threading.Barrier(4)

    def loop(thread: int) -> None:
        async def main() -> None:
            start.wait()
            serials = range(thread * 100, thread * 100 + 20)
            await asyncio.gather(*(ledger.issue(make_certificate(serial=n)) for n in serials))
            assert [int((await ledger.get(n)).serial_number) for n in serials] == [*serials]

        asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(loop, thread) for thread in range(1, 5)]:
            done.result()
    asyncio.run(ledger.close())
    with Ledger(url) as after:
        assert [event.seq for event in after.events()] == list(range(80))
        assert list(after.verify()) == []
