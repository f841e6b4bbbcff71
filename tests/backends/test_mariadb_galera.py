"""A Galera cluster of MariaDB: every node takes changes, and what collides is tried again."""

from __future__ import annotations

import fcntl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.testing.certificates import make_certificate
from certledger.testing.places import random_name
from certledger.unit_of_work import Context, UnitOfWork
from tests.support.mariadb import execute
from tests.support.own_galera import NO_GALERA, GaleraNode, cluster, galera_library

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[GaleraNode]]:
    if galera_library() is None:
        pytest.skip(NO_GALERA)
    # One cluster at a time: of two that start at once, each takes ports that the other found free.
    with ExitStack() as stack:
        lock = Path(tempfile.gettempdir()) / "certledger-galera.lock"
        fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        yield stack.enter_context(cluster(2))


@pytest.fixture
def urls(nodes: list[GaleraNode]) -> list[str]:
    """One new database by way of each node."""
    name = random_name()
    execute(nodes[0].url, f"CREATE DATABASE {name}")
    return [node.url.replace("+pymysql", "") + name for node in nodes]


def test_a_registry_that_one_node_made_is_written_through_all_of_them(urls: list[str]) -> None:
    # By one: the lock that lets others wait while tables are made is a node's own.
    Ledger(urls[0]).close()
    execute(urls[1], "SET SESSION wsrep_sync_wait = 1", "SELECT count(*) FROM log_head")

    def write(number: int) -> list[str]:
        with Ledger(urls[number % 2]) as ledger:
            serials = range(100 * number, 100 * number + 20)
            return [ledger.issue(make_certificate(serial=serial)).id for serial in serials]

    with ThreadPoolExecutor(6) as pool:
        acknowledged = [name for names in pool.map(write, range(1, 7)) for name in names]
    for url in urls:
        with Ledger(url) as ledger:
            # A node may lag behind what another one acknowledged.
            ledger.database.read(lambda c: c.exec_driver_sql("SET SESSION wsrep_sync_wait = 1"))
            assert sorted(event.id for event in ledger.events()) == sorted(acknowledged)
            assert list(ledger.verify()) == []


def _wait_until_it_arrives(connection: Connection) -> None:
    """Let the other node's change end the transaction that holds the lock which it needs."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        connection.exec_driver_sql("SELECT 1")
        time.sleep(0.01)


def test_a_change_that_collides_with_one_of_another_node_is_made_after_it(urls: list[str]) -> None:
    """What Galera says at the commit is that there was a deadlock."""
    Ledger(urls[0]).close()
    here, there = Database(urls[0]), Ledger(urls[1])
    tries: list[tuple[int, bool]] = []

    def work(connection: Connection, retrying: bool) -> None:
        unit = UnitOfWork(connection, Context())
        tries.append((unit.tail.size, retrying))
        if not retrying:
            there.issue(make_certificate(serial=1))
            _wait_until_it_arrives(connection)
        connection.exec_driver_sql("UPDATE log_head SET size = size WHERE size < 0")
        connection.exec_driver_sql("INSERT INTO projection VALUES ('other', 0, 1)")

    here.write(work)
    assert tries[0] == (0, False)
    assert tries[-1] == (1, True)
    assert here.read(read_head).size == 1
    assert list(there.verify()) == []
    here.close()
    there.close()
