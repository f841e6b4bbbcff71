"""Servers of MariaDB with options of a test's own, and a replica of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.mariadb import execute
from tests.support.own_servers import OwnMariaDB


class OptionedMariaDB(OwnMariaDB):
    """A server that is started with further options."""

    def __init__(self, *options: str) -> None:
        self._options = options
        super().__init__()

    def _command(self) -> list[str]:
        return [*super()._command(), *self._options]


@contextmanager
def replicated() -> Iterator[tuple[OptionedMariaDB, OptionedMariaDB]]:
    """A server and a replica of it."""
    with (
        OptionedMariaDB("--server-id=1", "--log-bin=binlog") as primary,
        OptionedMariaDB("--server-id=2", "--read-only=1") as replica,
    ):
        execute(
            replica.url,
            f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary.port}, "
            "MASTER_USER = 'root', MASTER_USE_GTID = slave_pos",
            "START SLAVE",
        )
        yield primary, replica
        execute(replica.url, "STOP SLAVE")


def catch_up(primary: OptionedMariaDB, replica: OptionedMariaDB) -> None:
    """Wait until a replica has all that its primary has."""
    (position,) = execute(primary.url, "SELECT @@gtid_binlog_pos AS at")
    (waited,) = execute(replica.url, f"SELECT master_gtid_wait('{position['at']}', 30) AS result")
    assert waited["result"] == 0
