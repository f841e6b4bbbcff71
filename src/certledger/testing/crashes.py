"""Clients and servers that die, and connections that are cut, in the middle of changes."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest

from certledger.bulk import Registration
from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.eventstore.event import Event
from certledger.eventstore.head import lock_head
from certledger.ledger import Ledger
from certledger.testing import tasks
from certledger.testing.backend import Backend, Flavour
from certledger.testing.certificates import make_certificate
from certledger.testing.issue import Issue
from certledger.testing.processes import Report, Worker
from certledger.testing.replay import replay
from certledger.testing.suite import LOGGER, Open, Suite
from certledger.testing.told import record_of
from certledger.testing.whole import check_tables, check_whole

OK = (True, RevokeStatus.OK)


class Crashes(Suite):
    """What was acknowledged is there, once, and nothing is half done.

    `seed` 0 draws the moments of the kills anew each time.
    """

    kills: ClassVar[int] = 10
    seed: ClassVar[int] = 0

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        backend.require_certledger()

    @pytest.fixture
    def rng(self) -> random.Random:
        seed = self.seed or random.SystemRandom().randrange(1, 10**6)
        LOGGER.warning("seed %s", seed)  # shown where the test fails, so that it can be repeated
        return random.Random(seed)

    def test_what_was_acknowledged_survives_a_kill_of_the_client_and_nothing_is_half_done(
        self, backend: Backend, url: str, flavour: Flavour, rng: random.Random
    ) -> None:
        backend.require_shared()
        Ledger(url).close()
        acknowledged: set[str] = set()
        for run in range(self.kills):
            with Worker(tasks.churn, url, flavour, run) as worker:
                assert worker.hear() == {"ready": True}
                worker.say()
                heard = [worker.hear() for _ in range(rng.randrange(15))]
                pause(rng, 0.01)
                worker.kill()
                acknowledged |= {report["operation"] for report in heard + worker.rest()}
            settle(url)
            recorded = check_operations(check_whole(url), acknowledged)
            unheard = [name for name in recorded if name.startswith(f"{run}-")]
            assert len(set(unheard) - acknowledged) <= 1, "one began before the one before it ended"
        check_tables(url, replay(check_whole(url)))

    def test_a_kill_while_the_registry_is_made_leaves_nothing_in_the_way(
        self, backend: Backend, flavour: Flavour, rng: random.Random
    ) -> None:
        backend.require_shared()
        for _ in range(max(4, self.kills // 2)):
            with backend.empty() as url:
                with Worker(tasks.first, url, flavour) as worker:
                    assert worker.hear() == {"ready": True}
                    worker.say()
                    pause(rng, 0.1)
                    worker.kill()
                with Ledger(url) as ledger:
                    before = ledger.head().size
                    ledger.issue(make_certificate())
                assert len(check_whole(url)) == before + 1 <= 2

    def test_clients_outlive_a_kill_of_the_server_and_lose_nothing(
        self, backend: Backend, flavour: Flavour
    ) -> None:
        with backend.own_server() as server, ExitStack() as stack:
            Ledger(server.url).close()
            work: list[tuple[Any, ...]] = [
                (tasks.churn, server.url, flavour, 1, 60),
                *((tasks.register, server.url, flavour, 40) for _ in range(3)),
            ]
            workers = [stack.enter_context(Worker(*task)) for task in work]
            for worker in workers:
                assert worker.hear() == {"ready": True}
                worker.say()
            reports: list[Report] = []
            for _ in range(2):
                reports += [workers[-1].hear() for _ in range(10)]
                server.kill()
                server.start()
            reports += [report for worker in workers for report in worker.rest()]

            registered = [report["event"] for report in reports if "event" in report]
            operations = {report["operation"] for report in reports if "operation" in report}
            assert len(registered) == len(set(registered)) == 3 * 40
            events = check_whole(server.url)
            assert set(registered) == {event.id for event in events if not event.correlationid}
            named = [event for event in events if event.correlationid]
            assert check_operations(named, operations).keys() == operations

    @pytest.mark.parametrize("committed", [True, False], ids=["after COMMIT", "before COMMIT"])
    def test_a_change_whose_connection_is_cut_at_its_commit_happens_once(
        self,
        backend: Backend,
        url: str,
        open_again: Open,
        issue: Issue,
        committed: bool,
    ) -> None:
        with backend.proxy(url) as proxy:
            opened = open_again(proxy.url, raise_errors=True)
            ledger = opened.ledger
            assert ledger is not None
            size = 0
            for number, (act, answer, events) in enumerate(changes(issue), 1):
                proxy.lose_next_commit(committed=committed)
                assert act(opened.handler) == answer
                size += events
                assert (proxy.lost, ledger.head().size) == (number, size)
            assert record_of(opened.handler, 2).status == "expired"
            assert opened.handler.get_by_serial(1) is None
        assert len(check_whole(url)) == size

    @pytest.mark.parametrize("committed", [True, False], ids=["after COMMIT", "before COMMIT"])
    def test_a_batch_whose_connection_is_cut_at_its_commit_happens_once(
        self, backend: Backend, url: str, committed: bool
    ) -> None:
        batch = [Registration(make_certificate()) for _ in range(20)]
        with backend.proxy(url) as proxy, Ledger(proxy.url) as ledger:
            proxy.lose_next_commit(committed=committed)
            outcomes = list(ledger.issue_many(batch))
            assert proxy.lost == 1
        assert [outcome.event for outcome in outcomes] == check_whole(url)

    def test_a_connection_that_was_cut_while_nothing_was_asked_is_made_anew(
        self, backend: Backend, url: str, open_again: Open, issue: Issue
    ) -> None:
        with backend.proxy(url) as proxy:
            handler = open_again(proxy.url, raise_errors=True).handler
            for number in range(3):
                assert handler.register_cert_in_db(issue(), None) is True
                proxy.cut()
                assert len(handler.list_all()) == number + 1
                proxy.cut()


def changes(issue: Issue) -> Iterator[tuple[Callable[[BaseDB], object], object, int]]:
    """Every change of the contract, its answer, and how many events it makes."""
    first, due = issue(serial=1), issue(serial=2, starts=-9, ends=-1)
    yield lambda handler: handler.register_cert_in_db(first, "u"), True, 1
    yield lambda handler: handler.register_cert_in_db(due, None), True, 1
    yield lambda handler: handler.revoke_certificate(1), OK, 1
    yield lambda handler: handler.delete_by_uuid("u"), True, 1
    yield lambda handler: handler.update_status_expired(), 1, 1


def check_operations(events: list[Event], acknowledged: set[str]) -> Counter[str]:
    """Every acknowledged operation is recorded, and each that is recorded is whole."""
    recorded = Counter(str(event.correlationid) for event in events)
    assert acknowledged <= recorded.keys()
    assert all(count == int(name.split("-")[2]) for name, count in recorded.items())
    return recorded


def settle(url: str) -> None:
    """Wait until a server has done what clients that are dead had asked for."""
    with Ledger(url) as ledger:
        ledger.database.write(lambda connection, _: lock_head(connection))


def pause(rng: random.Random, longest: float) -> None:
    """Let a random time pass, so that the kill comes at a random moment."""
    time.sleep(rng.uniform(0, longest))
