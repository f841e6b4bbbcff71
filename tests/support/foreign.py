"""Databases that are not registries of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support import raw

# As tiny_ca 0.2.1 makes it.
TINY_CA = [
    """CREATE TABLE certificates (
        id INTEGER NOT NULL, serial_number VARCHAR NOT NULL, common_name VARCHAR NOT NULL,
        status VARCHAR NOT NULL, not_valid_before DATETIME NOT NULL,
        not_valid_after DATETIME NOT NULL, key_type VARCHAR NOT NULL,
        certificate_pem VARCHAR NOT NULL, revocation_date DATETIME, revocation_reason VARCHAR,
        uuid VARCHAR NOT NULL, PRIMARY KEY (id), UNIQUE (uuid))""",
    "CREATE UNIQUE INDEX ix_certificates_serial_number ON certificates (serial_number)",
    "CREATE INDEX ix_certificates_not_valid_after ON certificates (not_valid_after)",
    """INSERT INTO certificates VALUES (1, '4711', 'device.example.org', 'valid',
        '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'DEV', '-', NULL, NULL, 'u')""",
]


def _by_sql(*statements: str) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        with raw.opened(file) as connection:
            for statement in statements:
                connection.execute(statement)

    return make


def _by_bytes(data: bytes) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        file.write_bytes(data)

    return make


NOT_REGISTRIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (_by_bytes(b"serial;name\n4711;device\n" * 100), "not an SQLite database"),
    "two bytes": (_by_bytes(b"x\n"), "not an SQLite database"),
    "another program's binary": (_by_bytes(bytes(range(256)) * 64), "not an SQLite database"),
    "half a header": (_by_bytes(b"SQLite format 3\0" + b"\xff" * 600), "not an SQLite database"),
    "tiny_ca's": (_by_sql(*TINY_CA), "as tiny_ca makes it.*certledger adopt"),
    "tiny_ca's in WAL mode": (
        _by_sql("PRAGMA journal_mode=WAL", *TINY_CA),
        "as tiny_ca makes it.*certledger adopt",
    ),
    "another application's": (
        _by_sql("CREATE TABLE users (id)", "CREATE TABLE orders (id)"),
        r"tables of something else \(orders, users\)",
    ),
    "another application's in WAL mode": (
        _by_sql("PRAGMA journal_mode=WAL", "CREATE TABLE users (id)"),
        r"tables of something else \(users\)",
    ),
    "another application's with migrations": (
        _by_sql("CREATE TABLE alembic_version (version_num)", "CREATE TABLE users (id)"),
        r"tables of something else \(users\)",
    ),
}
"""By name: what makes the file, and what the error must say."""
