"""The reference: sqlite3 by itself, an event and a row in each transaction.

What a registry with an event log cannot do without, and nothing else: no hashes, no checks, no
look at what was there before but the unique indexes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

# The same settings as the registry's, the columns of the contract and the indexes it demands.
_SET_UP: Final = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
CREATE TABLE event (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE certificates (
    id INTEGER PRIMARY KEY,
    serial_number VARCHAR(50) NOT NULL,
    common_name VARCHAR(512) NOT NULL,
    status VARCHAR(16) NOT NULL,
    not_valid_before DATETIME NOT NULL,
    not_valid_after DATETIME NOT NULL,
    key_type VARCHAR(16) NOT NULL,
    certificate_pem TEXT NOT NULL,
    revocation_date DATETIME,
    revocation_reason INTEGER,
    uuid VARCHAR(255)
);
CREATE UNIQUE INDEX ix_serial_number ON certificates (serial_number);
CREATE UNIQUE INDEX ix_uuid ON certificates (uuid);
CREATE INDEX ix_common_name ON certificates (common_name);
CREATE INDEX ix_not_valid_after ON certificates (not_valid_after);
"""
_EVENT: Final = "INSERT INTO event (event_id, body) VALUES (?, ?)"
_ROW: Final = """
INSERT INTO certificates (serial_number, common_name, status, not_valid_before, not_valid_after,
                          key_type, certificate_pem, revocation_date, revocation_reason, uuid)
VALUES (?, ?, 'valid', ?, ?, 'device', ?, NULL, NULL, ?)
"""

_COLUMNS: Final = ("serial_number", "common_name", "start", "end", "certificate_pem", "uuid")

Event = tuple[str, str]
Row = tuple[str, str, str, str, str, str | None]


class RawRegistry:
    """A registry that is nothing but the two inserts."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_SET_UP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def register(self, certificate: x509.Certificate, uuid: str | None) -> None:
        """Write one certificate durably."""
        event, row = described(certificate, uuid)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_EVENT, event)
        connection.execute(_ROW, row)
        connection.execute("COMMIT")

    def register_files(self, batch: Sequence[Path], *, thoroughly: bool) -> None:
        """Read PEM files and write their certificates in one transaction.

        `thoroughly` reads from them all that the registry records.
        """
        read = described_thoroughly if thoroughly else described
        found = [read(x509.load_pem_x509_certificate(path.read_bytes()), None) for path in batch]
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_EVENT, [event for event, _ in found])
        connection.executemany(_ROW, [row for _, row in found])
        connection.execute("COMMIT")

    def count(self) -> int:
        """Return how many certificates there are."""
        (count,) = self._connection.execute("SELECT count(*) FROM certificates").fetchone()
        return int(count)


def described(certificate: x509.Certificate, uuid: str | None) -> tuple[Event, Row]:
    """Take from the certificate what the columns need."""
    row = _row(certificate, uuid)
    return (str(uuid4()), json.dumps(dict(zip(_COLUMNS, row, strict=True)))), row


def _row(certificate: x509.Certificate, uuid: str | None) -> Row:
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return (
        str(certificate.serial_number),
        str(name.value),
        _text(certificate.not_valid_before_utc),
        _text(certificate.not_valid_after_utc),
        certificate.public_bytes(Encoding.PEM).decode("ascii"),
        uuid,
    )


def described_thoroughly(certificate: x509.Certificate, uuid: str | None) -> tuple[Event, Row]:
    """Take from the certificate what the registry's event records, too."""
    row = _row(certificate, uuid)
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    body = {
        **dict(zip(_COLUMNS, row, strict=True)),
        "issuer": certificate.issuer.rfc4514_string(),
        "authority_key_identifier": (identifier.value.key_identifier or b"").hex(),
        "sha256": sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
    }
    return (str(uuid4()), json.dumps(body)), row


def _text(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(" ", "microseconds")
