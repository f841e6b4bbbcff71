"""A TCP proxy in front of a server, which can refuse, cut connections, and lose answers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url

COMMIT = b"COMMIT"
CHANGE = (b"INSERT INTO log_entry", b"specversion")
"""One of them is in what is sent for every change: its statement, or where that was prepared, the
bytes of an entry.
"""


class Proxy:
    """Passes everything on to the server of a URL, on a port of this machine, until told otherwise.

    It looks into what passes, so connections must not be encrypted.
    """

    def __init__(self, url: str) -> None:
        target = make_url(url)
        self._target = (target.host or "127.0.0.1", target.port or _PORTS[_kind(url)])
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        own = target.set(host=host, port=port)
        if _kind(url) == "postgresql":
            own = own.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
        self.url = own.render_as_string(hide_password=False)
        """The same database by way of the proxy."""
        self.lost = 0
        """How many commits of changes have lost their answer, or were lost themselves."""
        self._lock = threading.Lock()
        self._lose: bool | None = None
        self._pairs: list[_Pair] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Refuse new connections, and cut those that there are."""
        _shut(self._listener)
        self._acceptor.join()
        self.cut()

    def lose_next_commit(self, *, committed: bool) -> None:
        """Cut the connection that commits a change next: after the server did it, or before."""
        with self._lock:
            self._lose = committed

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append(_Pair(self, client, server))

    def cut(self) -> None:
        """Cut all connections; new ones can be made."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.cut()
            pair.join()

    def take_loss(self) -> bool | None:
        """Tell whether the commit that a client sends just now is to be lost, and how."""
        with self._lock:
            lose, self._lose = self._lose, None
            if lose is not None:
                self.lost += 1
            return lose


class _Pair:
    """A client's connection and the one that was made for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._dropping = False
        self._threads = [
            threading.Thread(target=self._upwards, daemon=True),
            threading.Thread(target=self._downwards, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        for one in (self._client, self._server):
            _shut(one)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _upwards(self) -> None:
        sent = b""
        with suppress(OSError):
            while data := self._client.recv(65_536):
                sent += data
                lose = None
                if COMMIT in data:
                    changed = any(mark in sent for mark in CHANGE)
                    lose = self._proxy.take_loss() if changed else None
                    sent = b""
                if lose is False:
                    break
                self._dropping = lose is True
                self._server.sendall(data)
        if not self._dropping:
            self.cut()

    def _downwards(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if self._dropping:
                    break
                self._client.sendall(data)
        self.cut()


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _kind(url: str) -> str:
    return make_url(url).get_backend_name()


_PORTS = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}
