"""`CertificateRecord`: what callers read, and how they make one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy
from cryptography.hazmat.primitives.serialization import Encoding

from certledger.db.base_db import BaseDB
from certledger.db.models import CertificateRecord
from certledger.testing.backend import Backend
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Open, Suite
from certledger.testing.told import COLUMNS, record_of

BIGGEST = 2**159 - 1


class Records(Suite):
    """What the records of certificates say."""

    @covers("record.serial_number", "record.common_name", "record.certificate_pem", "record.uuid")
    def test_a_record_shows_the_certificate(self, handler: BaseDB, issue: Issue) -> None:
        certificate = issue("name.example.org", serial=BIGGEST)
        handler.register_cert_in_db(certificate, "folder")
        record = record_of(handler, BIGGEST)
        assert record.serial_number == str(BIGGEST)
        assert record.common_name == "name.example.org"
        assert record.certificate_pem == certificate.public_bytes(Encoding.PEM).decode()
        assert record.uuid == "folder"

    @covers("record.not_valid_before", "record.not_valid_after")
    def test_dates_are_naive_and_in_utc(self, handler: BaseDB, issue: Issue) -> None:
        certificate = issue()
        handler.register_cert_in_db(certificate, None)
        record = record_of(handler, certificate.serial_number)
        assert record.not_valid_before == certificate.not_valid_before_utc.replace(tzinfo=None)
        assert record.not_valid_after == certificate.not_valid_after_utc.replace(tzinfo=None)

    @covers("record.not_valid_before", "record.not_valid_after")
    def test_dates_may_be_the_first_and_the_last_of_rfc_5280(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        """No expiry is said by 99991231235959Z (§4.1.2.5)."""
        start, end = issue.day(0).replace(year=1950), issue.day(0).replace(9999, 12, 31, 23, 59, 59)
        now = issue.clock.now
        certificate = issue(starts=(start - now).days, ends=(end - now).days)
        assert handler.register_cert_in_db(certificate, None) is True
        record = record_of(handler, certificate.serial_number)
        assert record.not_valid_before == certificate.not_valid_before_utc.replace(tzinfo=None)
        assert record.not_valid_after == certificate.not_valid_after_utc.replace(tzinfo=None)

    @covers(
        "record.status", "record.key_type", "record.revocation_date", "record.revocation_reason"
    )
    def test_a_new_record_is_valid_of_type_device_and_not_revoked(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        certificate = issue()
        handler.register_cert_in_db(certificate, None)
        record = record_of(handler, certificate.serial_number)
        assert (record.status, record.key_type) == ("valid", "device")
        assert (record.revocation_date, record.revocation_reason) == (None, None)
        assert record.uuid is None

    @covers("record.revocation_date", "record.revocation_reason")
    def test_a_revoked_record_has_a_naive_date_and_the_number_of_the_reason(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        certificate = issue()
        handler.register_cert_in_db(certificate, None)
        reason: Any = "keyCompromise"
        handler.revoke_certificate(certificate.serial_number, reason)
        record = record_of(handler, certificate.serial_number)
        assert record.revocation_date == time.now.replace(tzinfo=None)
        assert type(record.revocation_date) is datetime
        assert (record.revocation_reason, type(record.revocation_reason)) == (1, int)

    @covers("record.id")
    def test_ids_grow_and_are_not_used_again(self, handler: BaseDB, issue: Issue) -> None:
        first, second = issue(), issue()
        handler.register_cert_in_db(first, "first")
        before = record_of(handler, first.serial_number).id
        handler.delete_by_uuid("first")
        handler.register_cert_in_db(second, "second")
        assert record_of(handler, second.serial_number).id > before

    @covers("record.id")
    def test_ids_go_on_growing_when_the_registry_is_opened_again(
        self, backend: Backend, handler: BaseDB, issue: Issue, open_again: Open
    ) -> None:
        backend.require_shared()
        handler.register_cert_in_db(issue(serial=1), "u")
        before = record_of(handler, 1).id
        handler.delete_by_uuid("u")
        again = open_again().handler
        again.register_cert_in_db(issue(serial=2), "u")
        assert record_of(again, 2).id > before

    @covers("record.common_name")
    def test_a_common_name_may_occur_twice(self, handler: BaseDB, issue: Issue) -> None:
        assert handler.register_cert_in_db(issue("twice"), None)
        assert handler.register_cert_in_db(issue("twice"), None)

    @covers("record.serial_number", "record.uuid")
    @pytest.mark.parametrize("column", ["serial_number", "uuid"])
    def test_the_table_itself_keeps_serials_and_uuids_unique(
        self, backend: Backend, url: str, handler: BaseDB, issue: Issue, column: str
    ) -> None:
        handler.register_cert_in_db(issue(), "one")
        handler.register_cert_in_db(issue(), "two")
        with (
            backend.stranger(url) as stranger,
            pytest.raises(sqlalchemy.exc.IntegrityError),
        ):
            stranger.exec_driver_sql(f"UPDATE certificates SET {column} = 'same'")

    @covers("record.serial_number", "record.not_valid_after")
    def test_serials_and_ends_are_indexed(
        self, backend: Backend, url: str, handler: BaseDB
    ) -> None:
        with backend.stranger(url) as stranger:
            looked: Any = sqlalchemy.inspect(stranger)
            found = looked.get_indexes("certificates")
            found += looked.get_unique_constraints("certificates")
        first = {index["column_names"][0] for index in found}
        assert {"serial_number", "not_valid_after"} <= first

    @covers("record.detached")
    def test_every_column_is_readable_after_the_call_and_after_the_registry_is_closed(
        self, handler: Any, issue: Issue
    ) -> None:
        certificate = issue("detached", ends=5)
        handler.register_cert_in_db(certificate, "u")
        found = [
            handler.get_by_serial(certificate.serial_number),
            handler.get_by_name("detached"),
            *handler.list_all(),
            *handler.get_expiring(),
        ]
        handler.close()
        assert len(found) == 4
        assert all(isinstance(record, CertificateRecord) for record in found)
        rows = [tuple(getattr(record, name) for name in COLUMNS) for record in found]
        assert set(rows) == {rows[0]}

    @covers("record.truthy")
    def test_records_and_handlers_are_truthy(self, handler: BaseDB, issue: Issue) -> None:
        certificate = issue()
        handler.register_cert_in_db(certificate, None)
        assert bool(handler) is True
        assert bool(getattr(handler, "wrapped", handler)) is True
        assert bool(record_of(handler, certificate.serial_number)) is True
