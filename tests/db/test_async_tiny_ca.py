"""The real asynchronous lifecycle manager of tiny_ca over our handler."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags
from sqlalchemy import select

import certledger
from certledger.db import CertificateRecord
from certledger.db.async_db_manager import AsyncDBHandler
from certledger.testing.rules import covers

pytest.importorskip("aiofiles", reason="tiny_ca's asynchronous storage needs it")


class Caller:
    """An application of tiny_ca that changed nothing but where its handler comes from."""

    def __init__(self, tiny_ca: ModuleType, url: str, folder: Path) -> None:
        self.tiny_ca = tiny_ca
        self.registry = AsyncDBHandler(url)
        self.folder = folder
        storage = importlib.import_module("tiny_ca.storage.async_local_storage")
        lifecycle = importlib.import_module("tiny_ca.managers.async_lifecycle_manager")
        self.manager = lifecycle.AsyncCertLifecycleManager(
            storage=storage.AsyncLocalStorage(base_folder=folder), db_handler=self.registry
        )

    async def prepare(self) -> None:
        """Make the tables, as tiny_ca's callers must, and a CA of its own."""
        await self.registry._db.init_db()
        config = self.tiny_ca.CAConfig(common_name="Root")
        certificate, key = await self.manager.create_self_signed_ca(config)
        loader = self.tiny_ca.CAFileLoader(certificate, key)
        self.manager.factory = self.tiny_ca.CertificateFactory(loader)

    def config(self, name: str, **options: Any) -> Any:
        options = {"serial_type": self.tiny_ca.CertType.SERVICE, "days_valid": 30} | options
        return self.tiny_ca.ClientConfig(common_name=name, **options)

    async def issue(self, name: str, **options: Any) -> x509.Certificate:
        overwrite = options.pop("is_overwrite", False)
        config = self.config(name, **options)
        certificate, _, _ = await self.manager.issue_certificate(config, is_overwrite=overwrite)
        assert isinstance(certificate, x509.Certificate)
        return certificate


@pytest.fixture
def caller(tiny_ca: ModuleType, url: str, tmp_path: Path) -> Caller:
    return Caller(tiny_ca, url, tmp_path / "files")


def run(caller: Caller, work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        await caller.prepare()
        await work
        assert [finding async for finding in caller.registry._ledger.verify()] == []
        await caller.registry.close()

    asyncio.run(main())


@covers("drop_in.manager", "drop_in.isinstance")
def test_issuing_registers_ca_and_certificate_with_their_types(caller: Caller) -> None:
    async def work() -> None:
        certificate = await caller.issue("svc")
        record = await caller.registry.get_by_serial(certificate.serial_number)
        assert record is not None
        assert (record.common_name, record.key_type, record.status) == ("svc", "service", "valid")
        listed = await caller.manager.list_certificates()
        assert [one.key_type for one in listed] == ["service", "ca"]
        with pytest.raises(importlib.import_module("tiny_ca.exc").NotUniqueCertOwner):
            await caller.issue("svc")

    assert isinstance(caller.registry, caller.tiny_ca.BaseDB)
    run(caller, work())


@covers("drop_in.manager")
def test_revoking_is_seen_by_status_verification_and_crl(caller: Caller) -> None:
    status = caller.tiny_ca.CertificateStatus

    async def work() -> None:
        manager = caller.manager
        certificate = await caller.issue("svc")
        serial = certificate.serial_number
        assert await manager.get_certificate_status(serial=serial) == status.VALID
        assert await manager.verify_certificate(certificate) is True
        revoke = manager.revoke_certificate
        assert await revoke(serial=serial, reason=ReasonFlags.key_compromise) is True
        assert await revoke(serial=serial, reason=ReasonFlags.superseded) is False
        assert await manager.get_certificate_status(serial=serial) == status.REVOKED
        assert await manager.get_certificate_status(serial=404) == status.UNKNOWN
        with pytest.raises(importlib.import_module("tiny_ca.exc").ValidationCertError):
            await manager.verify_certificate(certificate)
        crl = await manager.generate_crl()
        assert [entry.serial_number for entry in crl] == [serial]
        await manager.verify_crl(crl)

    run(caller, work())


@covers("drop_in.manager")
def test_overwriting_rotating_and_renewing_replace_the_present_one(caller: Caller) -> None:
    async def work() -> None:
        first = await caller.issue("svc")
        second = await caller.issue("svc", is_overwrite=True)
        third, _, _ = await caller.manager.rotate_certificate(
            second.serial_number, caller.config("svc")
        )
        rows = [row async for row in caller.registry.get_revoked_certificates()]
        assert {(row.serial_number, row.revocation_reason) for row in rows} == {
            (str(first.serial_number), 1),
            (str(second.serial_number), 4),
        }
        start = third.not_valid_before_utc + timedelta(minutes=1)
        renewed = await caller.manager.renew_certificate(
            serial=third.serial_number, days_valid=60, valid_from=start
        )
        assert await caller.registry.register_cert_in_db(cert=renewed, uuid=None)
        record = await caller.registry.get_by_name("svc")
        assert record is not None
        assert record.serial_number == str(renewed.serial_number)

    run(caller, work())


@covers("drop_in.manager")
def test_deleting_removes_row_and_files_and_keeps_the_revocation(caller: Caller) -> None:
    async def work() -> None:
        certificate = await caller.issue("svc")
        serial = certificate.serial_number
        record = await caller.registry.get_by_serial(serial)
        assert record is not None
        assert record.uuid is not None
        await caller.manager.revoke_certificate(serial=serial, reason=ReasonFlags.superseded)
        assert await caller.manager.delete_certificate(serial=serial) is True
        assert await caller.manager.delete_certificate(serial=serial) is False
        assert not list(caller.folder.rglob(record.uuid))
        crl = await caller.manager.generate_crl()
        assert [entry.serial_number for entry in crl] == [serial]

    run(caller, work())


@covers("drop_in.manager")
def test_what_expires_and_what_has_expired(caller: Caller) -> None:
    async def work() -> None:
        await caller.issue("soon", days_valid=5)
        await caller.issue("later", days_valid=90)
        soon = await caller.manager.get_expiring_soon(within_days=30)
        assert [one.common_name for one in soon] == ["soon"]
        assert await caller.manager.refresh_expired_statuses() == 0

    run(caller, work())


@covers("drop_in.manager")
def test_no_crl_is_signed_when_the_database_fails(caller: Caller) -> None:
    async def main() -> None:
        await caller.prepare()
        async with caller.registry._db.engine.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE certificates")
        with pytest.raises(certledger.errors.StorageUnavailable):
            await caller.manager.generate_crl()
        await caller.registry.close()

    asyncio.run(main())
    assert list(caller.folder.rglob("crl*")) == []


@covers("drop_in.manager")
def test_many_are_issued_at_once(caller: Caller) -> None:
    async def work() -> None:
        certificates = await asyncio.gather(*(caller.issue(f"svc-{n}") for n in range(20)))
        async with caller.registry._db.get_session() as session:
            serials = set(await session.scalars(select(CertificateRecord.serial_number)))
        assert {str(one.serial_number) for one in certificates} < serials

    run(caller, work())
