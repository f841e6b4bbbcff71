"""Drives tiny_ca in an interpreter of its own: a command in JSON per line in, an answer out.

Started by `rival`; it imports nothing of certledger.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tiny_ca.db.async_db_manager import AsyncDBHandler  # type: ignore[import-untyped]
from tiny_ca.db.models import CertificateRecord  # type: ignore[import-untyped]
from tiny_ca.db.sync_db_manager import SyncDBHandler  # type: ignore[import-untyped]


class Worker:
    """The commands; each that is measured gives its count and times."""

    def __init__(self) -> None:
        self._handler: Any = None
        self._started = (0.0, 0.0)

    def open(self, url: str, quiet: bool) -> dict[str, Any]:
        """Open or make a registry; `quiet` gives it a logger that prints nothing."""
        logger = None
        if quiet:
            logger = logging.getLogger("quiet")
            logger.setLevel(logging.CRITICAL)
        self._handler = SyncDBHandler(url, logger)
        return {}

    def close(self) -> dict[str, Any]:
        """Close the registry, by the only way there is."""
        self._handler._db._engine.dispose()  # noqa: SLF001 # as its own callers do
        return {}

    def fill(self, files: list[str]) -> dict[str, Any]:
        """Add rows in one transaction, to have something to look up."""
        rows = []
        for certificate in _load(files):
            (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            rows.append(
                CertificateRecord(
                    serial_number=str(certificate.serial_number),
                    common_name=name.value,
                    not_valid_before=certificate.not_valid_before_utc,
                    not_valid_after=certificate.not_valid_after_utc,
                    certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
                    uuid=str(uuid4()),
                )
            )
        session = self._handler._db.session()  # noqa: SLF001 # as its own callers do
        session.add_all(rows)
        session.commit()
        session.close()
        return {"count": len(rows)}

    def register(self, files: list[str], uuids: list[str]) -> dict[str, Any]:
        """Register certificates one by one."""
        pairs = list(zip(_load(files), uuids, strict=True))
        self._start()
        while pairs:
            assert self._handler.register_cert_in_db(*pairs.pop())
        return self._times(len(files))

    def get_by_serial(self, serials: list[str]) -> dict[str, Any]:
        """Look up serial numbers."""
        numbers = [int(serial) for serial in serials]
        self._start()
        for number in numbers:
            assert self._handler.get_by_serial(number) is not None
        return self._times(len(numbers))

    def get_by_name(self, names: list[str]) -> dict[str, Any]:
        """Look up common names."""
        self._start()
        for name in names:
            assert self._handler.get_by_name(name) is not None
        return self._times(len(names))

    def list_all(self, times: int, limit: int) -> dict[str, Any]:
        """List the newest, several times."""
        self._start()
        for _ in range(times):
            assert self._handler.list_all(limit=limit)
        return self._times(times)

    def sweep(self, expected: int, times: int) -> dict[str, Any]:
        """Expire what is due, each time as many as expected."""
        self._start()
        for _ in range(times):
            assert self._handler.update_status_expired() == expected
        return self._times(times)

    def register_async(self, url: str, files: list[str], uuids: list[str]) -> dict[str, Any]:
        """Register certificates by its asynchronous handler, awaiting one after another."""
        pairs = list(zip(_load(files), uuids, strict=True))

        async def work(handler: Any) -> None:
            while pairs:
                assert await handler.register_cert_in_db(*pairs.pop())

        return self._asynchronously(url, len(files), work)

    def get_by_serial_async(self, url: str, serials: list[str]) -> dict[str, Any]:
        """Look up serial numbers by its asynchronous handler, awaiting one after another."""
        numbers = [int(serial) for serial in serials]

        async def work(handler: Any) -> None:
            for number in numbers:
                assert await handler.get_by_serial(number) is not None

        return self._asynchronously(url, len(numbers), work)

    def list_all_async(self, url: str, times: int, limit: int) -> dict[str, Any]:
        """List the newest by its asynchronous handler, several times."""

        async def work(handler: Any) -> None:
            for _ in range(times):
                assert await handler.list_all(limit=limit)

        return self._asynchronously(url, times, work)

    def _asynchronously(
        self, url: str, count: int, work: Callable[[Any], Awaitable[None]]
    ) -> dict[str, Any]:
        async def measure() -> dict[str, Any]:
            handler = AsyncDBHandler(url.replace("sqlite:", "sqlite+aiosqlite:"))
            await handler._db.init_db()  # noqa: SLF001 # as its own callers do
            assert await handler.get_by_serial(0) is None  # opens the connection
            self._start()
            await work(handler)
            times = self._times(count)
            await handler._db.engine.dispose()  # noqa: SLF001 # as its own callers do
            return times

        return asyncio.run(measure())

    def _start(self) -> None:
        self._started = (time.perf_counter(), time.process_time())

    def _times(self, count: int) -> dict[str, Any]:
        cpu = time.process_time() - self._started[1]
        return {"count": count, "wall": time.perf_counter() - self._started[0], "cpu": cpu}


def _load(files: list[str]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(Path(file).read_bytes()) for file in files]


def main() -> None:
    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


main()
