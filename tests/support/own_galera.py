"""A Galera cluster of MariaDB servers on this machine, which a test owns."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy.pool import NullPool

from tests.support.own_servers import OwnMariaDB, _free_port, mariadb_programs

NO_GALERA = "needs a MariaDB server, the library of Galera and rsync on this machine"
PLACES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")


def galera_library() -> str | None:
    """What makes a MariaDB a node, where all that a cluster needs is there."""
    if mariadb_programs() is None or shutil.which("rsync") is None:
        return None
    return next((path for path in PLACES if Path(path).exists()), None)


class GaleraNode(OwnMariaDB):
    """One server of a cluster; the first one makes the cluster, others join it."""

    def __init__(self, first: GaleraNode | None = None) -> None:
        self._first = first
        self.cluster_port, self._state_port, self._copy_port = (_free_port() for _ in range(3))
        super().__init__()

    def _command(self) -> list[str]:
        peers = "" if self._first is None else f"127.0.0.1:{self._first.cluster_port}"
        own = f"127.0.0.1:{self.cluster_port}"
        provider = {
            "gmcast.listen_addr": f"tcp://{own}",
            "ist.recv_addr": f"127.0.0.1:{self._state_port}",
            "gcache.size": "16M",
        }
        settings = {
            "wsrep-on": "ON",
            "wsrep-provider": galera_library(),
            "wsrep-provider-options": ";".join(f"{key}={value}" for key, value in provider.items()),
            "wsrep-cluster-address": f"gcomm://{peers}",
            "wsrep-node-address": own,
            "wsrep-sst-method": "rsync",
            "wsrep-sst-receive-address": f"127.0.0.1:{self._copy_port}",
            "binlog-format": "ROW",
            "innodb-autoinc-lock-mode": 2,
        }
        return [*super()._command(), *(f"--{name}={value}" for name, value in settings.items())]

    def _answers(self) -> bool:
        """Whether it has joined, and has all that the others had."""
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql("SHOW STATUS LIKE 'wsrep_ready'").all()
        except sqlalchemy.exc.DBAPIError:
            return False
        return [tuple(row) for row in found] == [("wsrep_ready", "ON")]


@contextmanager
def cluster(nodes: int) -> Iterator[list[GaleraNode]]:
    """Nodes that have joined one another."""
    with ExitStack() as stack:
        joined: list[GaleraNode] = []
        for _ in range(nodes):
            joined.append(stack.enter_context(GaleraNode(joined[0] if joined else None)))
        yield joined
