"""The source is read only, believed in nothing, and what is found in it is told."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from certledger import Ledger
from certledger.copying import copy
from certledger.errors import (
    FormatTooNew,
    IncompleteCopy,
    LogCorrupt,
    NotARegistry,
    StorageError,
    UnknownEventType,
    UpgradeNeeded,
)
from certledger.eventstore.canonical import canonical
from certledger.eventstore.merkle import leaf_hash
from tests.copying.contents import SIZE, contents, findings, image, url_of
from tests.support import postgresql, raw
from tests.support.intruder import forge, intruder
from tests.support.old_schema import copy_first
from tests.support.processes import run_unprivileged
from tests.support.servers import Place

AT = 1_500
"""An entry in the middle of the second batch."""


def refused(source: Path, target: Path, error: type[Exception], match: str) -> Any:
    with pytest.raises(error, match=match) as caught:
        copy(url_of(source), url_of(target))
    return caught.value


# Reading and nothing else


def test_the_source_keeps_every_byte(source_file: Path, target_file: Path) -> None:
    before = image(source_file)
    copy(url_of(source_file), url_of(target_file))
    assert image(source_file) == before


COPIER = """
import sys
from certledger.copying import copy
print(copy(*sys.argv[1:]).size)
"""


def test_a_file_that_cannot_be_written_is_copied(
    original: Path, tmp_path: Path, target_file: Path
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    source = Path(shutil.copyfile(original, folder / "source.db"))
    source.chmod(0o444)
    folder.chmod(0o555)
    try:
        printed = run_unprivileged(COPIER, url_of(source), url_of(target_file))
    finally:
        folder.chmod(0o755)
    assert printed == f"{SIZE}\n"
    assert contents(url_of(target_file)) == contents(url_of(original))


@contextmanager
def reader_of(place: Place) -> Iterator[str]:
    """The URL of somebody who may read the tables of a registry, and do nothing else."""
    if place.kind == "postgresql":
        with postgresql.role(place.server) as url, place.administrator() as sql:
            name = postgresql.named(url)
            sql.exec_driver_sql(f"GRANT USAGE ON SCHEMA {place.name} TO {name}")
            sql.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.name} TO {name}")
            yield postgresql.with_options(url, f"-csearch_path={place.name}")
        return
    name, password = f"t{secrets.token_hex(6)}", secrets.token_hex(8)
    with place.administrator() as sql:
        sql.exec_driver_sql(f"CREATE USER {name} IDENTIFIED BY '{password}'")
        sql.exec_driver_sql(f"GRANT SELECT ON {place.name}.* TO {name}")
        try:
            reader = make_url(place.url).set(username=name, password=password)
            yield reader.render_as_string(hide_password=False)
        finally:
            sql.exec_driver_sql(f"DROP USER {name}")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_reading_is_all_that_the_role_of_the_source_must_be_allowed(
    original: Path, target_file: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    place: Place = request.getfixturevalue(kind)
    copy(url_of(original), place.url)
    with reader_of(place) as url:
        report = copy(url, url_of(target_file))
    assert (report.source_drift, report.source_fault) == (0, None)
    assert contents(url_of(target_file)) == contents(url_of(original))


def test_tables_of_an_older_version_become_new_ones(source_file: Path, target_file: Path) -> None:
    copy_first(source_file)
    report = copy(url_of(source_file), url_of(target_file))
    assert (report.size, report.source_drift) == (21, 0)
    assert contents(url_of(target_file)) == contents(url_of(source_file))
    assert findings(url_of(target_file)) == []
    with pytest.raises(UpgradeNeeded):
        Ledger(url_of(source_file))


# No registry that could be copied


def test_a_source_that_is_not_there(tmp_path: Path, target_file: Path) -> None:
    refused(tmp_path / "missing.db", target_file, NotARegistry, "there is no registry")
    assert not target_file.exists()


@pytest.mark.parametrize(
    "edit",
    ["UPDATE alembic_version SET version_num = '9999'", "UPDATE log_head SET format = 2"],
)
def test_a_source_of_a_newer_version(source_file: Path, target_file: Path, edit: str) -> None:
    raw.edit(source_file, edit)
    refused(source_file, target_file, FormatTooNew, "upgrade certledger")
    assert not target_file.exists()


def test_an_event_type_of_a_newer_version(source_file: Path, target_file: Path) -> None:
    raw.edit(source_file, f"UPDATE log_entry SET type = 'org.new.v1' WHERE seq = {AT}")
    refused(source_file, target_file, UnknownEventType, f"entry {AT} has the type 'org.new.v1'")
    assert not target_file.exists()


def test_an_event_type_of_a_newer_version_that_only_the_bytes_tell(
    source_file: Path, target_file: Path
) -> None:
    def bless(seq: int, members: dict[str, Any]) -> None:
        if seq == AT:
            members["type"] = "certledger.certificate.blessed.v1"

    with intruder(source_file, log=True) as sql:
        sql.execute("DELETE FROM log_checkpoint")
        forge(sql, bless, columns=False)
    refused(source_file, target_file, UnknownEventType, f"entry {AT} has the type")


# Damage


DAMAGE = {
    "other bytes": ("entry = x'7b7d'", "its bytes are not those that were hashed"),
    "no bytes": ("entry = NULL", "its bytes are missing"),
    "another hash": ("hashes = zeroblob(32)", "its bytes are not those that were hashed"),
    "another subtree": (
        "hashes = CAST(hashes || zeroblob(32) AS BLOB)",
        "the column hashes says",
    ),
    "another id": ("event_id = 'other'", "the column event_id says 'other', its bytes say"),
    "another actor": ("actor = 'mallory'", "the column actor says 'mallory', its bytes say"),
    "an actor in no alphabet": ("actor = CAST(x'ff' AS TEXT)", r"the column actor says b'\\xff'"),
    "another uuid": ("uuid = 'taken'", "the column uuid says 'taken', its bytes say None"),
    "another time": (
        "recorded_at = '2026-01-01 00:00:00.000000'",
        "the column recorded_at says",
    ),
    "no time": ("recorded_at = 'late'", "late"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_its_entry_and_nothing_behind_it_is_written(
    source_file: Path, target_file: Path, name: str
) -> None:
    edit, why = DAMAGE[name]
    raw.edit(source_file, f"UPDATE log_entry SET {edit} WHERE seq = {AT}")
    assert refused(source_file, target_file, LogCorrupt, why).seq == AT
    with pytest.raises(IncompleteCopy) as unfinished:
        Ledger(url_of(target_file))
    assert unfinished.value.present == 1_000


def test_a_missing_entry_is_named(source_file: Path, target_file: Path) -> None:
    raw.edit(source_file, f"DELETE FROM log_entry WHERE seq = {AT}")
    assert refused(source_file, target_file, LogCorrupt, "it is missing").seq == AT


BEFORE_ANYTHING = {
    "an end that is missing": (
        f"DELETE FROM log_entry WHERE seq = {SIZE - 1}",
        f"states {SIZE} entries, the last one is the {SIZE - 1}th",
    ),
    "a head that is too short": ("UPDATE log_head SET size = 5", "do not fit a tree of 5"),
    "another root": ("UPDATE log_head SET root = zeroblob(32)", "the frontier does not add up"),
    "no head": ("DELETE FROM log_head", "0 rows instead of one"),
    "a checkpoint of another root": (
        "UPDATE log_checkpoint SET root = zeroblob(32) WHERE number = 1",
        "checkpoint 1 says another size or root than its columns",
    ),
    "a checkpoint that is none": (
        "UPDATE log_checkpoint SET note = x'00' WHERE number = 2",
        "checkpoint 2 cannot be read",
    ),
    "a missing checkpoint": (
        "DELETE FROM log_checkpoint WHERE number = 1",
        "the stored checkpoint 1 is missing",
    ),
}


@pytest.mark.parametrize("name", BEFORE_ANYTHING)
def test_damage_that_is_seen_at_once_is_refused_before_any_entry_is_written(
    source_file: Path, target_file: Path, name: str
) -> None:
    edit, why = BEFORE_ANYTHING[name]
    raw.edit(source_file, edit)
    refused(source_file, target_file, LogCorrupt, why)
    if target_file.exists():
        assert contents(url_of(target_file))["entries"] == []


def test_a_log_that_was_rewritten_contradicts_its_checkpoints(
    source_file: Path, target_file: Path
) -> None:
    def edit(seq: int, members: dict[str, Any]) -> None:
        if seq == 3:
            members["authid"] = "mallory"

    with intruder(source_file, log=True) as sql:
        forge(sql, edit)
    refused(source_file, target_file, LogCorrupt, "checkpoint 0 has the root .* was rewritten")


def test_hashes_that_are_not_those_of_the_head_are_refused(
    source_file: Path, target_file: Path
) -> None:
    """Bytes, hashes and columns of an entry fit each other, but not the tree above them."""
    (row,) = raw.rows(source_file, f"SELECT entry FROM log_entry WHERE seq = {SIZE - 1}")
    other = canonical(json.loads(row["entry"]) | {"authid": "mallory"})
    raw.edit(
        source_file,
        f"UPDATE log_entry SET actor = 'mallory', entry = x'{other.hex()}', "
        f"hashes = CAST(x'{leaf_hash(other).hex()}' || substr(hashes, 33) AS BLOB) "
        f"WHERE seq = {SIZE - 1}",
    )
    refused(source_file, target_file, LogCorrupt, "log_head states the root")


def test_a_history_that_the_lifecycle_forbids_is_refused(
    source_file: Path, target_file: Path
) -> None:
    """Revoked twice: somebody has appended past the library."""

    def twice(seq: int, members: dict[str, Any]) -> None:
        if seq == SIZE - 1:
            members["subject"] = "certificate/10000"
            members["data"]["serial_number"] = "10000"
            members["streamversion"] = 2

    with intruder(source_file, log=True) as sql:
        forge(sql, twice)
    why = "certificate/10000 is revoked: .*revoked.v1 cannot follow"
    assert refused(source_file, target_file, LogCorrupt, why).seq == SIZE - 1
    with pytest.raises(StorageError):
        Ledger(url_of(target_file))


# What is told


def test_the_copy_of_a_drifted_registry_has_what_the_log_demands(
    source_file: Path, target_file: Path, original: Path
) -> None:
    raw.edit(
        source_file,
        "UPDATE certificates SET status = 'valid' WHERE serial_number = '10000'",
        "UPDATE certificates SET not_valid_after = 'soon' WHERE serial_number = '10005'",
        "UPDATE certificates SET common_name = CAST(x'ff' AS TEXT) WHERE serial_number = '11000'",
        "DELETE FROM certificates WHERE serial_number = '10003'",
        "INSERT INTO certificates SELECT 999999, '5', common_name, status, not_valid_before, "
        "not_valid_after, key_type, certificate_pem, NULL, NULL, NULL FROM certificates LIMIT 1",
        "UPDATE retired SET last_state = 'revoked' WHERE seq = (SELECT min(seq) FROM retired)",
    )
    before = image(source_file)
    report = copy(url_of(source_file), url_of(target_file))
    assert (report.source_drift, report.source_fault) == (6, None)
    assert contents(url_of(target_file)) == contents(url_of(original))
    assert image(source_file) == before


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ("DROP TABLE retired", "the table retired is not built as it must be: it does not exist"),
        ("ALTER TABLE certificates RENAME COLUMN status TO state", "column status is missing"),
    ],
)
def test_broken_tables_are_told_and_not_needed(
    source_file: Path, target_file: Path, original: Path, edit: str, fault: str
) -> None:
    raw.edit(source_file, edit)
    report = copy(url_of(source_file), url_of(target_file))
    assert report.source_fault is not None
    assert fault in report.source_fault
    assert (report.source_drift, report.size) == (0, SIZE)
    assert contents(url_of(target_file)) == contents(url_of(original))


def test_tables_and_columns_of_others_are_named_and_not_copied(
    source_file: Path, target_file: Path
) -> None:
    raw.edit(
        source_file,
        "CREATE TABLE orders (certificate INTEGER REFERENCES certificates (id))",
        "ALTER TABLE certificates ADD COLUMN colour TEXT",
    )
    report = copy(url_of(source_file), url_of(target_file))
    assert report.not_copied == ("orders", "certificates.colour")
    assert report.source_drift == 0
    assert raw.rows(target_file, "SELECT * FROM sqlite_master WHERE name = 'orders'") == []
