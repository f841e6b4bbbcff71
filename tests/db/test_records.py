"""`CertificateRecord`: what callers read, and how they make one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import exc, inspect

from certledger.db import CertificateRecord, SyncDBHandler
from tests.support.clock import FakeClock
from tests.support.contract import covers
from tests.support.facade import Issue

COLUMNS = [column.name for column in inspect(CertificateRecord).columns]
BIGGEST = 2**159 - 1


def stored(handler: SyncDBHandler, serial: int) -> CertificateRecord:
    record = handler.get_by_serial(serial)
    assert record is not None
    return record


@covers("record.serial_number", "record.common_name", "record.certificate_pem", "record.uuid")
def test_a_record_shows_the_certificate(handler: SyncDBHandler, issue: Issue) -> None:
    certificate = issue("name.example.org", serial=BIGGEST)
    handler.register_cert_in_db(certificate, "folder")
    record = stored(handler, BIGGEST)
    assert record.serial_number == str(BIGGEST)
    assert record.common_name == "name.example.org"
    assert record.certificate_pem == certificate.public_bytes(Encoding.PEM).decode()
    assert record.uuid == "folder"


@covers("record.not_valid_before", "record.not_valid_after")
def test_dates_are_naive_and_in_utc(handler: SyncDBHandler, issue: Issue) -> None:
    certificate = issue()
    handler.register_cert_in_db(certificate, None)
    record = stored(handler, certificate.serial_number)
    assert record.not_valid_before == certificate.not_valid_before_utc.replace(tzinfo=None)
    assert record.not_valid_after == certificate.not_valid_after_utc.replace(tzinfo=None)


@covers("record.status", "record.key_type", "record.revocation_date", "record.revocation_reason")
def test_a_new_record_is_valid_of_type_device_and_not_revoked(
    handler: SyncDBHandler, issue: Issue
) -> None:
    certificate = issue()
    handler.register_cert_in_db(certificate, None)
    record = stored(handler, certificate.serial_number)
    assert (record.status, record.key_type) == ("valid", "device")
    assert (record.revocation_date, record.revocation_reason) == (None, None)
    assert record.uuid is None


@covers("record.revocation_date", "record.revocation_reason")
def test_a_revoked_record_has_a_naive_date_and_the_number_of_the_reason(
    handler: SyncDBHandler, issue: Issue, clock: FakeClock
) -> None:
    certificate = issue()
    handler.register_cert_in_db(certificate, None)
    handler.revoke_certificate(certificate.serial_number, "keyCompromise")
    record = stored(handler, certificate.serial_number)
    assert record.revocation_date == clock.now.replace(tzinfo=None)
    assert type(record.revocation_date) is datetime
    assert (record.revocation_reason, type(record.revocation_reason)) == (1, int)


@covers("record.id")
def test_ids_grow_and_are_not_used_again(handler: SyncDBHandler, issue: Issue) -> None:
    first, second = issue(), issue()
    handler.register_cert_in_db(first, "first")
    before = stored(handler, first.serial_number).id
    handler.delete_by_uuid("first")
    handler.register_cert_in_db(second, "second")
    assert stored(handler, second.serial_number).id > before


@covers("record.common_name")
def test_a_common_name_may_occur_twice(handler: SyncDBHandler, issue: Issue) -> None:
    assert handler.register_cert_in_db(issue("twice"), None)
    assert handler.register_cert_in_db(issue("twice"), None)


@covers("record.serial_number", "record.uuid")
@pytest.mark.parametrize("column", ["serial_number", "uuid"])
def test_the_table_itself_keeps_serials_and_uuids_unique(
    handler: SyncDBHandler, issue: Issue, column: str
) -> None:
    handler.register_cert_in_db(issue(), "one")
    handler.register_cert_in_db(issue(), "two")
    statement = f"UPDATE certificates SET {column} = 'same'"
    with pytest.raises(exc.IntegrityError), handler._db._engine.begin() as connection:
        connection.exec_driver_sql(statement)


@covers("record.serial_number", "record.not_valid_after")
@pytest.mark.parametrize("column", ["serial_number", "not_valid_after"])
def test_serials_and_ends_are_indexed(handler: SyncDBHandler, column: str) -> None:
    indexes = inspect(handler._db._engine).get_indexes("certificates")
    assert column in [index["column_names"][0] for index in indexes]


@covers("record.keywords", "record.status", "record.key_type", "record.id")
def test_a_record_can_be_made_and_stored_by_a_caller(
    handler: SyncDBHandler, clock: FakeClock
) -> None:
    now = clock.now.replace(tzinfo=None)
    record = CertificateRecord(
        serial_number="5",
        common_name="made",
        not_valid_before=now,
        not_valid_after=now,
        certificate_pem="",
    )
    assert (record.serial_number, record.common_name) == ("5", "made")
    with handler._db.session() as session:
        session.add(record)
        session.commit()
        assert record.id is not None
        assert (record.status, record.key_type, record.uuid) == ("valid", "device", None)


@covers("record.unknown_keyword")
def test_an_unknown_keyword_is_a_type_error() -> None:
    keywords: dict[str, Any] = {"serial": "5"}
    with pytest.raises(TypeError):
        CertificateRecord(**keywords)


@covers("record.detached")
def test_every_column_is_readable_after_the_call_and_after_the_registry_is_closed(
    handler: SyncDBHandler, issue: Issue
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


@covers("record.detached")
def test_a_record_can_join_a_callers_session(handler: SyncDBHandler, issue: Issue) -> None:
    certificate = issue()
    handler.register_cert_in_db(certificate, "u")
    record = stored(handler, certificate.serial_number)
    with handler._db.session() as session:
        joined = session.merge(record)
        session.refresh(joined)
        assert joined.uuid == "u"


@covers("record.truthy")
def test_records_and_handlers_are_truthy(handler: SyncDBHandler, issue: Issue) -> None:
    certificate = issue()
    handler.register_cert_in_db(certificate, None)
    assert bool(handler) is True
    assert bool(stored(handler, certificate.serial_number)) is True


def test_a_record_is_detached_and_unchanged_until_a_session_takes_it_in(
    handler: SyncDBHandler, issue: Issue
) -> None:
    handler.register_cert_in_db(issue(), None)
    (record,) = handler.list_all()

    state = inspect(record)
    assert (state.detached, state.modified, state.unloaded) == (True, False, set())

    with handler._db.session() as session:
        session.add(record)
        assert not session.dirty
        assert session.get(CertificateRecord, record.id) is record
