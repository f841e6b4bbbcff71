"""The real lifecycle manager of tiny_ca over our handler."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags

import certledger
from certledger.db import SyncDBHandler
from certledger.testing.rules import covers


@pytest.fixture
def registry(url: str) -> Iterator[SyncDBHandler]:
    with SyncDBHandler(url) as handler:
        yield handler


@pytest.fixture
def manager(tiny_ca: ModuleType, registry: SyncDBHandler, tmp_path: Path) -> Any:
    """A lifecycle manager with a CA of its own, registered."""
    lifecycle = importlib.import_module("tiny_ca.managers").CertLifecycleManager
    storage = tiny_ca.LocalStorage(base_folder=tmp_path / "files")
    made = lifecycle(storage=storage, db_handler=registry)
    certificate, key = made.create_self_signed_ca(tiny_ca.CAConfig(common_name="Root"))
    made.factory = tiny_ca.CertificateFactory(tiny_ca.CAFileLoader(certificate, key))
    return made


def config(tiny_ca: ModuleType, name: str, **options: Any) -> Any:
    options = {"serial_type": tiny_ca.CertType.SERVICE, "days_valid": 30} | options
    return tiny_ca.ClientConfig(common_name=name, **options)


def statuses(registry: SyncDBHandler) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in registry.list_all():
        counts[record.status] = counts.get(record.status, 0) + 1
    return counts


@covers("drop_in.manager", "key_type.spellings")
def test_issuing_registers_ca_and_certificate_with_their_types(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    certificate, _key, _csr = manager.issue_certificate(config(tiny_ca, "svc"))
    record = registry.get_by_serial(certificate.serial_number)
    assert record is not None
    assert (record.common_name, record.key_type, record.status) == ("svc", "service", "valid")
    assert record.uuid
    assert [one.key_type for one in registry.list_all()] == ["service", "ca"]
    for member in tiny_ca.CertType:
        assert [one.key_type for one in manager.list_certificates(key_type=member.value)] == (
            {"SVC": ["service"], "CA": ["ca"]}.get(member.value, [])
        )


@covers("drop_in.manager")
def test_a_second_certificate_of_a_name_is_refused_by_the_manager(
    manager: Any, tiny_ca: ModuleType
) -> None:
    manager.issue_certificate(config(tiny_ca, "svc"))
    with pytest.raises(importlib.import_module("tiny_ca.exc").NotUniqueCertOwner):
        manager.issue_certificate(config(tiny_ca, "svc"))


@covers("drop_in.manager")
def test_overwriting_revokes_the_present_one(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    old, _, _ = manager.issue_certificate(config(tiny_ca, "svc"))
    new, _, _ = manager.issue_certificate(config(tiny_ca, "svc"), is_overwrite=True)
    (row,) = registry.get_revoked_certificates()
    assert (row.serial_number, row.revocation_reason) == (str(old.serial_number), 1)
    record = registry.get_by_name("svc")
    assert record is not None
    assert record.serial_number == str(new.serial_number)


@covers("drop_in.manager")
def test_revoking_is_seen_by_status_verification_and_crl(manager: Any, tiny_ca: ModuleType) -> None:
    status = tiny_ca.CertificateStatus
    certificate, _, _ = manager.issue_certificate(config(tiny_ca, "svc"))
    serial = certificate.serial_number
    assert manager.get_certificate_status(serial=serial) == status.VALID
    assert manager.verify_certificate(certificate) is True
    assert manager.revoke_certificate(serial=serial, reason=ReasonFlags.key_compromise) is True
    assert manager.revoke_certificate(serial=serial, reason=ReasonFlags.superseded) is False
    assert manager.get_certificate_status(serial=serial) == status.REVOKED
    assert manager.get_certificate_status(serial=404) == status.UNKNOWN
    with pytest.raises(importlib.import_module("tiny_ca.exc").ValidationCertError):
        manager.verify_certificate(certificate)
    crl = manager.generate_crl()
    assert isinstance(crl, x509.CertificateRevocationList)
    assert [entry.serial_number for entry in crl] == [serial]
    manager.verify_crl(crl)


@covers("drop_in.manager")
def test_no_crl_is_signed_when_the_database_fails(
    manager: Any, registry: SyncDBHandler, tmp_path: Path
) -> None:
    with registry._db._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE certificates")
    with pytest.raises(certledger.errors.StorageUnavailable):
        manager.generate_crl()
    assert list((tmp_path / "files").rglob("crl*")) == []


@covers("drop_in.manager")
def test_rotating_supersedes_and_issues_anew(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    old, _, _ = manager.issue_certificate(config(tiny_ca, "svc"))
    new, _, _ = manager.rotate_certificate(old.serial_number, config(tiny_ca, "svc"))
    (row,) = registry.get_revoked_certificates()
    assert (row.serial_number, row.revocation_reason) == (str(old.serial_number), 4)
    record = registry.get_by_name("svc")
    assert record is not None
    assert record.serial_number == str(new.serial_number)
    assert statuses(registry) == {"valid": 2, "revoked": 1}


@covers("drop_in.manager", "get_by_name.latest_start")
def test_renewing_reads_the_stored_certificate_and_the_renewal_can_be_registered(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    old, _, _ = manager.issue_certificate(config(tiny_ca, "svc"))
    start = old.not_valid_before_utc + timedelta(minutes=1)
    renewed = manager.renew_certificate(serial=old.serial_number, days_valid=60, valid_from=start)
    assert renewed.public_key() == old.public_key()
    assert registry.register_cert_in_db(cert=renewed, uuid=None, key_type=tiny_ca.CertType.SERVICE)
    record = registry.get_by_name("svc")
    assert record is not None
    assert record.serial_number == str(renewed.serial_number)


@covers("drop_in.manager")
def test_deleting_removes_row_and_files_and_keeps_the_revocation(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler, tmp_path: Path
) -> None:
    certificate, _, _ = manager.issue_certificate(config(tiny_ca, "svc"))
    serial = certificate.serial_number
    record = registry.get_by_serial(serial)
    assert record is not None
    assert record.uuid is not None
    manager.revoke_certificate(serial=serial, reason=ReasonFlags.superseded)
    assert manager.delete_certificate(serial=serial) is True
    assert manager.delete_certificate(serial=serial) is False
    assert not list((tmp_path / "files").rglob(record.uuid))
    assert manager.get_certificate_status(serial=serial) == tiny_ca.CertificateStatus.UNKNOWN
    assert [entry.serial_number for entry in manager.generate_crl()] == [serial]


@covers("drop_in.manager")
def test_what_expires_and_what_has_expired(
    manager: Any, tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    manager.issue_certificate(config(tiny_ca, "soon", days_valid=5))
    manager.issue_certificate(config(tiny_ca, "later", days_valid=90))
    assert [one.common_name for one in manager.get_expiring_soon(within_days=30)] == ["soon"]
    assert manager.refresh_expired_statuses() == 0
    assert list(registry._ledger.drift()) == []


@covers("drop_in.isinstance")
def test_our_handlers_pass_the_check_of_tiny_ca(
    tiny_ca: ModuleType, registry: SyncDBHandler
) -> None:
    assert isinstance(registry, tiny_ca.BaseDB)
    assert issubclass(SyncDBHandler, tiny_ca.BaseDB)
    assert not isinstance(object(), tiny_ca.BaseDB)
    with pytest.raises(TypeError):
        importlib.import_module("tiny_ca.managers").CertLifecycleManager(db_handler=object())


TINY_CA = "import logging, tiny_ca.db.base_db as theirs\n"
HANDLER = "from certledger.db import SyncDBHandler\nhandler = SyncDBHandler('sqlite://')\n"
LOADED = "import sys\nprint('tiny_ca' in sys.modules)\n"
CHECK = "print(isinstance(handler, theirs.BaseDB))\n"


@covers("drop_in.isinstance", "drop_in.no_import")
@pytest.mark.parametrize(
    ("script", "answer"),
    [
        (HANDLER + LOADED, "False"),
        (TINY_CA + HANDLER + CHECK, "True"),
        (HANDLER + TINY_CA + CHECK, "True"),
        (HANDLER + TINY_CA + "import tiny_ca.managers as m\n"
         "print(bool(m.CertLifecycleManager(db_handler=handler)))\n", "True"),
    ],
    ids=["not imported", "imported before", "imported after", "manager, imported after"],
)  # fmt: skip
def test_the_order_of_imports_does_not_matter(script: str, answer: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [answer]
