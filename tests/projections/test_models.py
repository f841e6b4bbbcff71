"""The tables of the read model as they are in the file, and records made of their rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect

from certledger.errors import InvalidValue
from certledger.ledger import Ledger
from certledger.projections.models import CERTIFICATES, CertificateRecord, record_of
from certledger.projections.status import CertificateStatus
from tests.support import raw

# name, type, NOT NULL, part of the primary key: exactly the contract's columns
CONTRACT = [
    ("id", "INTEGER", 1, 1),
    ("serial_number", "VARCHAR(50)", 1, 0),
    ("common_name", "VARCHAR(512)", 1, 0),
    ("status", "VARCHAR(16)", 1, 0),
    ("not_valid_before", "DATETIME", 1, 0),
    ("not_valid_after", "DATETIME", 1, 0),
    ("key_type", "VARCHAR(16)", 1, 0),
    ("certificate_pem", "TEXT", 1, 0),
    ("revocation_date", "DATETIME", 0, 0),
    ("revocation_reason", "INTEGER", 0, 0),
    ("uuid", "VARCHAR(255)", 0, 0),
]
RETIRED = [
    ("seq", "INTEGER", 1, 1),
    ("serial_number", "VARCHAR(50)", 1, 0),
    ("last_state", "VARCHAR(16)", 1, 0),
    ("revocation_date", "DATETIME", 0, 0),
    ("revocation_reason", "INTEGER", 0, 0),
    ("not_valid_after", "DATETIME", 1, 0),
]
DAY = datetime(2026, 1, 1)  # noqa: DTZ001 # columns are naive


@pytest.fixture
def made(ledger: Ledger, file: Path) -> Path:
    """The file of an empty registry."""
    assert ledger.count() == 0
    return file


def columns(file: Path, table: str) -> list[tuple[object, ...]]:
    found = raw.rows(file, f"PRAGMA table_info({table})")
    return [(row["name"], row["type"], row["notnull"], row["pk"]) for row in found]


def indexes(file: Path, table: str) -> dict[tuple[str, ...], bool]:
    """The columns of each index, and whether it is unique."""
    return {
        tuple(
            str(column["name"]) for column in raw.rows(file, f"PRAGMA index_info('{row['name']}')")
        ): bool(row["unique"])
        for row in raw.rows(file, f"PRAGMA index_list({table})")
    }


def test_the_table_has_exactly_the_columns_of_the_contract(made: Path) -> None:
    assert columns(made, "certificates") == CONTRACT
    assert columns(made, "retired") == RETIRED


def test_serial_and_uuid_are_unique_and_what_is_asked_for_has_an_index(made: Path) -> None:
    found = indexes(made, "certificates")
    assert found[("serial_number",)]
    assert found[("uuid",)]
    unique = {("serial_number",), ("uuid",)}
    assert {key for key, is_unique in found.items() if is_unique} == unique
    assert {
        ("not_valid_after",),
        ("common_name", "status"),
        ("status", "not_valid_after"),
        ("status", "id"),
        ("key_type", "id"),
        ("revocation_date",),
    } <= set(found)
    assert {("serial_number",), ("revocation_date",)} <= set(indexes(made, "retired"))


def test_a_caller_s_own_insert_gets_an_id_from_the_database(ledger: Ledger, made: Path) -> None:
    with raw.opened(made) as stranger:
        stranger.execute(
            """INSERT INTO certificates (serial_number, common_name, status, not_valid_before,
            not_valid_after, key_type, certificate_pem) VALUES ('1', 'n', 'valid',
            '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'device', '-')"""
        )
    assert [record.id for record in ledger.list()] == [1]
    assert [difference.kind for difference in ledger.drift()] == ["unexpected"]


def test_the_projection_s_row_holds_the_version_of_the_projector(made: Path) -> None:
    assert raw.rows(made, "SELECT * FROM projection") == [
        {"name": "certificates", "position": 0, "version": 1}
    ]
    assert raw.rows(made, "SELECT * FROM alembic_version") == [{"version_num": "0002"}]


def test_a_record_of_a_row_is_detached_and_whole() -> None:
    values = (7, "4711", "n", "valid", DAY, DAY, "device", "-", None, None, "u")
    record = record_of(values)
    state = inspect(record)
    assert state.detached
    assert not state.modified
    assert state.identity == (7,)
    assert tuple(getattr(record, column.name) for column in CERTIFICATES.c) == values


def test_a_record_takes_keywords_and_no_others() -> None:
    record = CertificateRecord(serial_number="1", common_name="n")
    assert (record.serial_number, record.common_name) == ("1", "n")
    with pytest.raises(TypeError, match="subject"):
        CertificateRecord(subject="n")


@pytest.mark.parametrize("text", ["revoked", "REVOKED", " Revoked ", CertificateStatus.REVOKED])
def test_a_status_is_understood_in_any_case(text: str) -> None:
    assert CertificateStatus.parse(text) is CertificateStatus.REVOKED


@pytest.mark.parametrize("value", ["", "good", None, 1])
def test_an_unknown_status_is_refused_with_the_known_ones(value: object) -> None:
    with pytest.raises(InvalidValue, match="known are valid, revoked, expired, unknown"):
        CertificateStatus.parse(value)
