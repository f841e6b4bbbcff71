"""The reference on servers: the driver by itself, an event and a row in each transaction."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import psycopg
import pymysql
from cryptography import x509
from sqlalchemy.engine import URL, make_url

from benchmarks.raw import described

_COLUMNS = """
    serial_number VARCHAR(50) NOT NULL,
    common_name VARCHAR(512) NOT NULL,
    status VARCHAR(16) NOT NULL,
    not_valid_before {instant} NOT NULL,
    not_valid_after {instant} NOT NULL,
    key_type VARCHAR(16) NOT NULL,
    certificate_pem {text} NOT NULL,
    revocation_date {instant},
    revocation_reason INTEGER,
    uuid VARCHAR(255)
"""
_INDEXES = (
    "CREATE UNIQUE INDEX ix_serial_number ON certificates (serial_number)",
    "CREATE UNIQUE INDEX ix_uuid ON certificates (uuid)",
    "CREATE INDEX ix_common_name ON certificates (common_name)",
    "CREATE INDEX ix_not_valid_after ON certificates (not_valid_after)",
)
_EVENT = "INSERT INTO event (event_id, body) VALUES (%s, %s)"
_ROW = """
INSERT INTO certificates (serial_number, common_name, status, not_valid_before, not_valid_after,
                          key_type, certificate_pem, revocation_date, revocation_reason, uuid)
VALUES (%s, %s, 'valid', %s, %s, 'device', %s, NULL, NULL, %s)
"""


class RawServer:
    """A registry that is nothing but the two inserts, on a connection that is kept."""

    _types: ClassVar[dict[str, str]]
    _key: ClassVar[str]

    def __init__(self, url: str) -> None:
        self._connection = self._connect(make_url(url))
        cursor = self._cursor = self._connection.cursor()
        columns = _COLUMNS.format(**self._types)
        cursor.execute(
            f"CREATE TABLE event (seq {self._key}, event_id VARCHAR(36) NOT NULL UNIQUE, "
            f"body {self._types['text']} NOT NULL)"
        )
        cursor.execute(f"CREATE TABLE certificates (id {self._key}, {columns})")
        for index in _INDEXES:
            cursor.execute(index)
        self._connection.commit()

    def _connect(self, url: URL) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def register(self, certificate: x509.Certificate, uuid: str | None) -> None:
        """Write one certificate durably."""
        event, row = described(certificate, uuid)
        self._cursor.execute(_EVENT, event)
        self._cursor.execute(_ROW, row)
        self._connection.commit()

    def count(self) -> int:
        """Return how many certificates there are."""
        self._cursor.execute("SELECT count(*) FROM certificates")
        (count,) = self._cursor.fetchone()
        return int(count)


class RawPostgreSql(RawServer):
    """psycopg 3, as it comes."""

    _types: ClassVar = {"instant": "TIMESTAMP", "text": "TEXT"}
    _key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def _connect(self, url: URL) -> Any:
        return psycopg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False)
        )


class RawMariaDb(RawServer):
    """PyMySQL, as it comes."""

    _types: ClassVar = {"instant": "DATETIME(6)", "text": "MEDIUMTEXT"}
    _key = "BIGINT AUTO_INCREMENT PRIMARY KEY"

    def _connect(self, url: URL) -> Any:
        return pymysql.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.database,
        )
