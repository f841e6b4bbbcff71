"""Many processes and threads on one registry at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from cryptography import x509

from certledger.async_ledger import AsyncLedger
from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.eventstore.event import Event
from certledger.eventstore.reasons import NAME_BY_CODE
from certledger.ledger import Ledger
from certledger.testing import tasks
from certledger.testing.backend import Backend, Flavour
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.processes import Report, Worker, crowd, rest_of
from certledger.testing.replay import replay
from certledger.testing.suite import LOGGER, Open, Suite
from certledger.testing.told import record_of
from certledger.testing.whole import check_tables, check_whole

REFUSALS = {"DuplicateSerial", "DuplicateUuid", "IllegalTransition", "UnknownSerial"}


class Concurrency(Suite):
    """No error that a caller sees, no lost update, no gap in the log: 8 processes, 32 threads."""

    processes: ClassVar[int] = 8
    threads: ClassVar[int] = 32
    commands: ClassVar[int] = 50
    """Of each process."""
    tasks: ClassVar[int] = 200
    """Of one event loop."""
    rounds: ClassVar[int] = 5
    """In which all fight for one certificate."""

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        backend.require_certledger()

    def test_processes_with_overlapping_commands_lose_nothing(
        self, backend: Backend, url: str, flavour: Flavour
    ) -> None:
        backend.require_shared()
        Ledger(url).close()
        work = [(tasks.mixed, url, flavour, seed, self.commands) for seed in range(self.processes)]
        with crowd(work) as workers:
            reports = rest_of(workers)
        assert len(reports) == self.processes * self.commands
        refusals = [report for report in reports if "refused" in report]
        assert {refusal["refused"] for refusal in refusals} <= REFUSALS

        events = check_whole(url)
        check_tables(url, replay(events, refusals))
        acknowledged = Counter(report["event"] for report in reports if "event" in report)
        swept = {event.id for event in events if event.type.split(".")[-2] == "expired"}
        assert set(acknowledged.values()) == {1}
        assert acknowledged.keys() | swept == {event.id for event in events}
        assert len(swept) == sum(report.get("expired", 0) for report in reports)

    def test_of_processes_that_revoke_one_certificate_exactly_one_wins(
        self, backend: Backend, url: str, flavour: Flavour
    ) -> None:
        backend.require_shared()
        codes = sorted(NAME_BY_CODE)[: self.processes]
        work = [(tasks.revoke_each, url, flavour, code) for code in codes]
        with Ledger(url) as ledger, crowd(work) as workers:
            for worker in workers:
                worker.say()
            for serial in range(1, self.rounds + 1):
                ledger.issue(make_certificate(serial=serial))
                winner, event = _race(serial, dict(zip(codes, workers, strict=True)))
                assert ledger.get(serial).revocation_reason == winner
                assert ledger.history(serial)[-1].id == event
            assert rest_of(workers) == []
        assert len(check_whole(url)) == 2 * self.rounds

    def test_processes_that_open_an_empty_database_at_once_make_one_registry(
        self, backend: Backend, url: str, flavour: Flavour
    ) -> None:
        backend.require_shared()
        with crowd([(tasks.first, url, flavour)] * self.processes) as workers:
            reports = rest_of(workers)
        events = check_whole(url)
        assert {report["event"] for report in reports} == {event.id for event in events}
        assert len(reports) == len(events) == self.processes
        assert len({event.source for event in events}) == 1

    def test_no_reader_ever_sees_a_position_before_the_one_below_it(
        self, backend: Backend, url: str, flavour: Flavour
    ) -> None:
        backend.require_shared()
        Ledger(url).close()
        each = self.commands // 2
        work = [(tasks.register, url, flavour, each)] * self.processes
        with crowd([(tasks.watch, url)] * 2) as watchers, crowd(work) as workers:
            for watcher in watchers:
                watcher.say()
            reports = rest_of(workers)
            for watcher in watchers:
                watcher.say("enough")
            seen = [watcher.hear() for watcher in watchers]
        assert sorted(report["seq"] for report in reports) == list(range(self.processes * each))
        assert [one["gaps"] for one in seen] == [0, 0]
        assert min(one["looks"] for one in seen) > 1

    def test_threads_on_one_handler_see_no_error_and_read_their_own_writes(
        self, open_again: Open, issue: Issue
    ) -> None:
        opened = open_again(raise_errors=True)
        handler, ledger = opened.handler, opened.ledger
        assert ledger is not None

        def work(number: int) -> None:
            for serial in range(1 + number * 3, 4 + number * 3):
                assert handler.register_cert_in_db(issue("name", serial=serial), f"{serial}")
                assert record_of(handler, serial).status == "valid"
                assert handler.get_by_name("name") is not None
                assert handler.revoke_certificate(serial) == (True, RevokeStatus.OK)
                assert record_of(handler, serial).status == "revoked"
            assert handler.delete_by_uuid(f"{1 + number * 3}") is True
            assert handler.get_by_serial(1 + number * 3) is None

        self._at_once(work)
        assert ledger.head().size == self.threads * 7
        assert len(handler.list_all(limit=1000)) == self.threads * 2
        assert len(list(handler.get_revoked_certificates())) == self.threads * 3
        assert [f for f in ledger.verify() if f.level == "finding"] == []

    def test_of_threads_that_do_the_same_exactly_one_is_told_that_it_did(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        told: list[tuple[str, object]] = []

        def work(number: int) -> None:
            for serial in range(1, self.rounds + 1):
                made = handler.register_cert_in_db(issue(serial=serial), f"{serial}")
                revoked = handler.revoke_certificate(serial, _reason(number))
                told.extend([("register", made), ("revoke", revoked[0])])
                if revoked[0]:
                    assert record_of(handler, serial).revocation_reason == _reason(number)

        self._at_once(work)
        counted = Counter(told)
        assert counted["register", True] == counted["revoke", True] == self.rounds
        assert ledger.head().size == 2 * self.rounds

    def test_the_sweep_counts_each_certificate_once_however_many_sweep(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        due = [issue(serial=serial, starts=-9, ends=-1) for serial in range(1, 21)]
        assert all(handler.register_cert_in_db(certificate, None) for certificate in due)
        counts: list[int] = []
        self._at_once(lambda _: counts.append(handler.update_status_expired()))
        assert sum(counts) == len(due)
        assert ledger.head().size == 2 * len(due)

    def test_tasks_of_one_event_loop_see_no_error(
        self, backend: Backend, url: str, clock: FakeClock, issue: Issue
    ) -> None:
        opened = backend.open(url, "async", clock=clock, logger=LOGGER, raise_errors=True)

        async def work(serial: int) -> None:
            assert await handler.register_cert_in_db(issue(serial=serial), f"{serial}")
            assert (await handler.get_by_serial(serial)).status == "valid"
            if serial % 4 == 0:
                assert await handler.revoke_certificate(serial) == (True, RevokeStatus.OK)

        async def burst() -> None:
            await asyncio.gather(*map(work, range(1, self.tasks + 1)))
            revoked = [row async for row in handler.get_revoked_certificates()]
            assert len(revoked) == self.tasks // 4

        with opened:
            handler: Any = opened.handler.wrapped  # type: ignore[attr-defined] # of `Blocking`
            asyncio.run(burst())
            assert opened.ledger is not None
            assert opened.ledger.head().size == self.tasks + self.tasks // 4

    def test_a_command_that_is_cancelled_and_sent_again_happens_once(
        self, backend: Backend, url: str, issue: Issue
    ) -> None:
        certificates = [issue(serial=serial) for serial in range(1, self.threads + 1)]

        async def impatient() -> int:
            async with AsyncLedger(url) as ledger:

                async def send(certificate: x509.Certificate) -> Event:
                    return await ledger.issue(
                        certificate, command_id=f"{certificate.serial_number}"
                    )

                await ledger.head()
                calls = [asyncio.create_task(send(one)) for one in certificates]
                done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                for call in waiting:
                    call.cancel()
                told = await asyncio.gather(*waiting, return_exceptions=True)
                assert all(isinstance(one, Event | asyncio.CancelledError) for one in told)
                events = await asyncio.gather(*map(send, certificates))
                assert {call.result().id for call in done} <= {event.id for event in events}
                assert len({event.id for event in events}) == len(events)
                return (await ledger.head()).size

        assert asyncio.run(impatient()) == self.threads

    def _at_once(self, work: Callable[[int], None]) -> None:
        """Run work in all threads at once; raises what one of them raises."""
        start = threading.Barrier(self.threads)

        def begin(number: int) -> None:
            start.wait()
            work(number)

        with ThreadPoolExecutor(self.threads) as pool:
            for done in [pool.submit(begin, number) for number in range(self.threads)]:
                done.result()


def _reason(number: int) -> Any:
    codes = sorted(NAME_BY_CODE)
    return codes[number % len(codes)]


def _race(serial: int, workers: dict[int, Worker]) -> tuple[int, str]:
    """Have all revoke at one instant; return the reason and the event of the only one that did."""
    instant = time.monotonic() + 0.03
    for worker in workers.values():
        worker.say((serial, instant))
    answers: dict[int, Report] = {code: worker.hear() for code, worker in workers.items()}
    (winner,) = (code for code, answer in answers.items() if "event" in answer)
    others = [answer for code, answer in answers.items() if code != winner]
    assert others == [{"refused": "IllegalTransition"}] * (len(workers) - 1)
    return winner, answers[winner]["event"]
