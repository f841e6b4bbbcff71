"""`register_cert_in_db`."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certledger.db.base_db import BaseDB
from certledger.eventstore.cert_type import CertType
from certledger.ledger import Ledger
from certledger.testing.backend import Backend
from certledger.testing.certificates import name_of
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Open, State, Suite
from certledger.testing.told import lines, record_of, uuids


class TinyCertType(Enum):
    """The members and codes of tiny_ca's enum."""

    USER = "USR"
    SERVICE = "SVC"
    DEVICE = "DEV"
    INTERNAL = "INT"
    CA = "CA"


SPELLINGS: list[tuple[Any, str]] = [
    *((member, member.value) for member in CertType),
    *((member, CertType[member.name].value) for member in TinyCertType),
    ("usr", "user"),
    ("Svc", "service"),
    ("DEVICE", "device"),
    ("ca", "ca"),
]


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


class Registering(Suite):
    """Registering certificates: what is recorded, and what is refused."""

    @covers("register.durable")
    def test_a_registered_certificate_is_there_for_another_handler(
        self, backend: Backend, handler: BaseDB, issue: Issue, open_again: Open
    ) -> None:
        backend.require_shared()
        certificate = issue()
        assert handler.register_cert_in_db(certificate, "u") is True
        assert record_of(open_again().handler, certificate.serial_number).uuid == "u"

    @covers("register.duplicate_serial", "register.log_line", "log.refusal")
    def test_a_second_certificate_with_the_same_serial_is_refused(
        self, handler: BaseDB, issue: Issue, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue("first", serial=77), "first")
        before = state()
        assert handler.register_cert_in_db(issue("second", serial=77), "second") is False
        assert state() == before
        (line,) = lines(log, logging.WARNING)
        assert "77" in line
        assert "'second'" in line

    @covers("register.duplicate_serial")
    def test_the_same_certificate_again_is_refused(
        self, handler: BaseDB, issue: Issue, state: State
    ) -> None:
        certificate = issue()
        assert handler.register_cert_in_db(certificate, "u") is True
        before = state()
        assert handler.register_cert_in_db(certificate, "v") is False
        assert state() == before

    @covers("register.duplicate_uuid", "register.log_line")
    def test_a_uuid_that_is_taken_is_refused(
        self, handler: BaseDB, issue: Issue, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue(serial=1), "u")
        before = state()
        assert handler.register_cert_in_db(issue(serial=2), "u") is False
        assert state() == before
        (line,) = lines(log, logging.WARNING)
        assert "serial 2" in line
        assert "'u'" in line

    @covers("register.duplicate_uuid")
    @pytest.mark.parametrize("one", ["u", "Ü", "é"])
    def test_uuids_that_a_collation_may_take_for_equal_are_not(
        self, handler: BaseDB, issue: Issue, one: str
    ) -> None:
        alike = [one, one.upper(), one.lower(), f"{one} ", f" {one}", f"{one}\u0301"]
        for uuid in dict.fromkeys(alike):
            assert handler.register_cert_in_db(issue(), uuid) is True
        assert uuids(handler.list_all()) == list(reversed(dict.fromkeys(alike)))

    @covers("register.failure")
    def test_what_is_no_certificate_is_refused(
        self, handler: BaseDB, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        before = state()
        junk: Any
        for junk in (None, 5, "no certificate", b"\x30\x00", object()):
            log.clear()
            assert handler.register_cert_in_db(junk, "u") is False
            (record,) = log.records
            assert record.levelno >= logging.WARNING
        assert state() == before

    @covers("register.no_cn")
    def test_a_certificate_without_a_common_name_is_an_index_error(
        self, handler: BaseDB, issue: Issue, state: State
    ) -> None:
        before = state()
        with pytest.raises(IndexError):
            handler.register_cert_in_db(issue(subject=name_of(None, "Example")), "u")
        assert state() == before

    @covers("register.no_cn")
    def test_the_ledger_records_a_certificate_without_a_common_name(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        certificate = issue(subject=name_of(None, "Example"))
        ledger.issue(certificate)
        assert record_of(handler, certificate.serial_number).common_name == ""

    @covers("register.expired", "sweep.rows")
    def test_an_expired_certificate_is_valid_until_the_next_sweep(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        certificate = issue(starts=-10, ends=-1)
        assert handler.register_cert_in_db(certificate, None) is True
        assert record_of(handler, certificate.serial_number).status == "valid"
        assert handler.update_status_expired() == 1
        assert record_of(handler, certificate.serial_number).status == "expired"

    @covers("register.first_cn")
    def test_of_several_common_names_the_first_counts(self, handler: BaseDB, issue: Issue) -> None:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in ("one", "two")]
        handler.register_cert_in_db(issue(subject=x509.Name(names)), None)
        assert [record.common_name for record in handler.list_all()] == ["one"]

    @covers("register.bytes_cn")
    def test_a_common_name_of_bytes_is_read_as_utf_8(self, handler: BaseDB, issue: Issue) -> None:
        certificate: Any = BytesCertificate(issue(), "Bär".encode())
        assert handler.register_cert_in_db(certificate, None) is True
        assert [record.common_name for record in handler.list_all()] == ["Bär"]

    @covers("register.bytes_cn", "register.failure")
    def test_a_common_name_that_is_no_utf_8_is_refused(
        self, handler: BaseDB, issue: Issue, state: State
    ) -> None:
        before = state()
        certificate: Any = BytesCertificate(issue(), b"\xff")
        assert handler.register_cert_in_db(certificate, None) is False
        assert state() == before

    @covers("register.default_key_type", "key_type.spellings")
    def test_key_types_are_understood_in_every_spelling(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for number, (given, stored) in enumerate(SPELLINGS):
            assert handler.register_cert_in_db(issue(), f"{number}", given) is True
            (newest, *_) = handler.list_all(key_type=given)
            assert (newest.uuid, newest.key_type) == (f"{number}", stored)

    @covers("key_type.unknown")
    def test_an_unknown_key_type_is_refused_with_the_known_ones(
        self, handler: BaseDB, issue: Issue, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        before = state()
        given: Any
        for given in ("printer", "", None, 5):
            log.clear()
            assert handler.register_cert_in_db(issue(), "u", given) is False
            (line,) = lines(log, logging.WARNING)
            assert "user, service, device, internal, ca" in line
        assert state() == before

    @covers("register.cn_limits")
    @pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")  # RFC 5280's bound is 64
    def test_common_names_have_at_most_512_characters_and_no_nul(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        assert handler.register_cert_in_db(issue("x" * 512), None) is True
        assert handler.register_cert_in_db(issue("x" * 513), None) is False
        assert handler.register_cert_in_db(issue("nul\0here"), None) is False
        assert [record.common_name for record in handler.list_all()] == ["x" * 512]

    @covers("register.cn_limits", "record.common_name")
    def test_a_common_name_may_hold_any_character_of_unicode(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        name = "Ünï ✓ 😀 \N{GOTHIC LETTER AHSA}"
        assert handler.register_cert_in_db(issue(name), None) is True
        record = handler.get_by_name(name)
        assert record is not None
        assert record.common_name == name

    @covers("uuid.text", "uuid.too_long", "uuid.empty")
    def test_a_uuid_is_any_text_of_1_to_255_characters_kept_as_given(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for uuid in ("x", " Ünï/✓ ", "x" * 255, "😀" * 255):
            assert handler.register_cert_in_db(issue(), uuid) is True
        for uuid in ("x" * 256, ""):
            assert handler.register_cert_in_db(issue(), uuid) is False
        assert uuids(handler.list_all()) == ["😀" * 255, "x" * 255, " Ünï/✓ ", "x"]
        assert handler.delete_by_uuid("😀" * 255) is True

    @covers("uuid.object")
    def test_a_uuid_object_is_stored_as_its_text(self, handler: BaseDB, issue: Issue) -> None:
        uuid = UUID("12345678-1234-5678-1234-567812345678")
        assert handler.register_cert_in_db(issue(), uuid) is True
        assert uuids(handler.list_all()) == [str(uuid)]
        assert handler.delete_by_uuid(uuid) is True

    @covers("uuid.none")
    def test_many_certificates_may_have_no_uuid(self, handler: BaseDB, issue: Issue) -> None:
        assert handler.register_cert_in_db(issue(), None) is True
        assert handler.register_cert_in_db(issue(), None) is True
        assert uuids(handler.list_all()) == [None, None]

    @covers("uuid.free_again")
    def test_a_uuid_is_free_again_after_deletion(self, handler: BaseDB, issue: Issue) -> None:
        assert handler.register_cert_in_db(issue(serial=1), "u") is True
        assert handler.delete_by_uuid("u") is True
        assert handler.register_cert_in_db(issue(serial=2), "u") is True
        assert [record.serial_number for record in handler.list_all()] == ["2"]
