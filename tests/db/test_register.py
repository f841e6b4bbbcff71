"""`register_cert_in_db`."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

import certledger
from certledger.db import SyncDBHandler
from certledger.eventstore.cert_type import CertType
from tests.support.certificates import name_of
from tests.support.contract import covers
from tests.support.facade import Issue, lines


class TinyCertType(Enum):
    """The members and codes of tiny_ca's enum."""

    USER = "USR"
    SERVICE = "SVC"
    DEVICE = "DEV"
    INTERNAL = "INT"
    CA = "CA"


def size(handler: SyncDBHandler) -> int:
    return handler._ledger.head().size


def uuids(handler: SyncDBHandler) -> list[str | None]:
    return [record.uuid for record in handler.list_all()]


@covers("register.durable")
def test_a_registered_certificate_is_there_for_another_handler(
    handler: SyncDBHandler, issue: Issue, url: str
) -> None:
    certificate = issue()
    assert handler.register_cert_in_db(certificate, "u") is True
    with SyncDBHandler(url) as other:
        record = other.get_by_serial(certificate.serial_number)
    assert record is not None
    assert record.uuid == "u"


@covers("register.duplicate_serial", "register.log_line", "log.refusal")
def test_a_second_certificate_with_the_same_serial_is_refused(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture
) -> None:
    handler.register_cert_in_db(issue("first", serial=77), "first")
    assert handler.register_cert_in_db(issue("second", serial=77), "second") is False
    assert (size(handler), uuids(handler)) == (1, ["first"])
    (line,) = lines(log, logging.WARNING)
    assert "registering the certificate with serial 77, uuid 'second' was refused" in line
    assert "'first'" in line


@covers("register.duplicate_serial")
def test_the_same_certificate_again_is_refused(handler: SyncDBHandler, issue: Issue) -> None:
    certificate = issue()
    assert handler.register_cert_in_db(certificate, "u") is True
    assert handler.register_cert_in_db(certificate, "v") is False
    assert (size(handler), uuids(handler)) == (1, ["u"])


@covers("register.duplicate_uuid", "register.log_line")
def test_a_uuid_that_is_taken_is_refused(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture
) -> None:
    handler.register_cert_in_db(issue(serial=1), "u")
    assert handler.register_cert_in_db(issue(serial=2), "u") is False
    assert size(handler) == 1
    (line,) = lines(log, logging.WARNING)
    assert "serial 2" in line
    assert "uuid 'u' belongs to the certificate with serial 1" in line


@covers("register.failure")
@pytest.mark.parametrize("junk", [None, 5, "no certificate", b"\x30\x00", object()])
def test_what_is_no_certificate_is_refused(
    handler: SyncDBHandler, log: pytest.LogCaptureFixture, junk: Any
) -> None:
    assert handler.register_cert_in_db(junk, "u") is False
    assert size(handler) == 0
    assert len(log.records) == 1
    assert log.records[0].levelno >= logging.WARNING


@covers("register.no_cn")
def test_a_certificate_without_a_common_name_is_an_index_error(
    handler: SyncDBHandler, issue: Issue
) -> None:
    certificate = issue(subject=name_of(None, "Example"))
    with pytest.raises(IndexError, match="common name"):
        handler.register_cert_in_db(certificate, "u")
    assert size(handler) == 0


@covers("register.no_cn")
def test_the_ledger_records_a_certificate_without_a_common_name(
    handler: SyncDBHandler, issue: Issue, ledger: certledger.Ledger
) -> None:
    certificate = issue(subject=name_of(None, "Example"))
    ledger.issue(certificate)
    record = handler.get_by_serial(certificate.serial_number)
    assert record is not None
    assert record.common_name == ""


@covers("register.expired", "sweep.rows")
def test_an_expired_certificate_is_valid_until_the_next_sweep(
    handler: SyncDBHandler, issue: Issue
) -> None:
    certificate = issue(starts=-10, ends=-1)
    assert handler.register_cert_in_db(certificate, None) is True
    record = handler.get_by_serial(certificate.serial_number)
    assert record is not None
    assert record.status == "valid"
    assert handler.update_status_expired() == 1
    record = handler.get_by_serial(certificate.serial_number)
    assert record is not None
    assert record.status == "expired"


@covers("register.first_cn")
def test_of_several_common_names_the_first_counts(handler: SyncDBHandler, issue: Issue) -> None:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in ("one", "two")]
    handler.register_cert_in_db(issue(subject=x509.Name(names)), None)
    assert [record.common_name for record in handler.list_all()] == ["one"]


class BytesCertificate:
    """A certificate whose CN is given as bytes, as versions of `cryptography` have done."""

    def __init__(self, certificate: x509.Certificate, common_name: bytes) -> None:
        self._certificate = certificate
        attribute: Any = x509.NameAttribute(NameOID.COMMON_NAME, "text")
        attribute._value = common_name
        self.subject = x509.Name([attribute])

    @property  # type: ignore[misc] # read only
    def __class__(self) -> type[x509.Certificate]:  # type: ignore[override] # poses as one
        return x509.Certificate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._certificate, name)


@covers("register.bytes_cn")
def test_a_common_name_of_bytes_is_read_as_utf_8(handler: SyncDBHandler, issue: Issue) -> None:
    certificate: Any = BytesCertificate(issue(), "Bär".encode())
    assert handler.register_cert_in_db(certificate, None) is True
    assert [record.common_name for record in handler.list_all()] == ["Bär"]


@covers("register.bytes_cn", "register.failure")
def test_a_common_name_that_is_no_utf_8_is_refused(handler: SyncDBHandler, issue: Issue) -> None:
    certificate: Any = BytesCertificate(issue(), b"\xff")
    assert handler.register_cert_in_db(certificate, None) is False
    assert size(handler) == 0


@covers("register.default_key_type", "key_type.spellings")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        *((member, member.value) for member in CertType),
        *((member, CertType[member.name].value) for member in TinyCertType),
        ("usr", "user"),
        ("Svc", "service"),
        ("DEVICE", "device"),
        ("ca", "ca"),
    ],
)
def test_key_types_are_understood_in_every_spelling(
    handler: SyncDBHandler, issue: Issue, given: Any, stored: str
) -> None:
    assert handler.register_cert_in_db(issue(), "u", given) is True
    assert [record.key_type for record in handler.list_all()] == [stored]
    assert [record.uuid for record in handler.list_all(key_type=given)] == ["u"]


@covers("key_type.unknown")
@pytest.mark.parametrize("given", ["printer", "", None, 5])
def test_an_unknown_key_type_is_refused_with_the_known_ones(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture, given: Any
) -> None:
    assert handler.register_cert_in_db(issue(), "u", given) is False
    assert size(handler) == 0
    (line,) = lines(log, logging.WARNING)
    assert "user, service, device, internal, ca" in line


@covers("register.cn_limits")
@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")  # RFC 5280's bound is 64
@pytest.mark.parametrize(
    ("name", "accepted"), [("x" * 512, True), ("x" * 513, False), ("nul\0here", False)]
)
def test_common_names_have_at_most_512_characters_and_no_nul(
    handler: SyncDBHandler, issue: Issue, name: str, accepted: bool
) -> None:
    assert handler.register_cert_in_db(issue(name), None) is accepted
    assert size(handler) == int(accepted)


@covers("uuid.text", "uuid.too_long", "uuid.empty")
@pytest.mark.parametrize(
    ("uuid", "accepted"),
    [
        ("x", True),
        (" Ünï/✓ ", True),
        ("x" * 255, True),
        ("x" * 256, False),
        ("", False),
    ],
)
def test_a_uuid_is_any_text_of_1_to_255_characters_kept_as_given(
    handler: SyncDBHandler, issue: Issue, uuid: str, accepted: bool
) -> None:
    assert handler.register_cert_in_db(issue(), uuid) is accepted
    assert uuids(handler) == ([uuid] if accepted else [])


@covers("uuid.object")
def test_a_uuid_object_is_stored_as_its_text(handler: SyncDBHandler, issue: Issue) -> None:
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    assert handler.register_cert_in_db(issue(), uuid) is True
    assert uuids(handler) == [str(uuid)]
    assert handler.delete_by_uuid(uuid) is True


@covers("uuid.none")
def test_many_certificates_may_have_no_uuid(handler: SyncDBHandler, issue: Issue) -> None:
    assert handler.register_cert_in_db(issue(), None) is True
    assert handler.register_cert_in_db(issue(), None) is True
    assert uuids(handler) == [None, None]


@covers("uuid.free_again")
def test_a_uuid_is_free_again_after_deletion(handler: SyncDBHandler, issue: Issue) -> None:
    assert handler.register_cert_in_db(issue(serial=1), "u") is True
    assert handler.delete_by_uuid("u") is True
    assert handler.register_cert_in_db(issue(serial=2), "u") is True
    assert [record.serial_number for record in handler.list_all()] == ["2"]
