"""What MariaDB stores is what was given: letters, lengths, instants; and what is none is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from certledger import Ledger, acting_as
from certledger.errors import EntryTooLarge, LogCorrupt, UnreadableValue
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.places import Place
from tests.support.mariadb import execute, run, stranger

EMOJI = chr(0x1F600)
ALIKE = [
    *("a", "A", "a ", "a  ", " a", "A ", "aa"),
    *(chr(0xE4), "a" + chr(0x308), chr(0xC4), "ae"),
    *(chr(0xDF), "ss", chr(0x1E9E), "SS"),
    *(chr(0xFF41), chr(0x430), chr(0x3B1)),
    *(EMOJI, EMOJI + chr(0x200D), chr(0x1F601), EMOJI + " "),
    *("%", "_", "\\", "\\\\", "'", '"', "''", "a%", "{a}", "%(a)s", "-- a", "NULL", "0", "00"),
]
"""Texts that one collation or another takes for each other, or that some quoting spoils."""


@pytest.fixture(params=["latin1", "utf8mb3", "ascii"])
def ledger(request: pytest.FixtureRequest, mariadb: Place) -> Iterator[Ledger]:
    """A registry in a database whose default is another character set."""
    execute(mariadb.url, f"ALTER DATABASE {mariadb.name} CHARACTER SET {request.param}")
    with Ledger(mariadb.url) as opened:
        yield opened


def test_texts_that_look_alike_are_told_apart(ledger: Ledger) -> None:
    """uuid, common name and actor; in look-ups, in decisions and in the list of the log."""
    serials = dict(enumerate(ALIKE, start=1))
    for serial, name in serials.items():
        with acting_as(name.strip() or "blank"):
            ledger.issue(make_certificate(name, serial=serial), uuid=name)
    for serial, name in serials.items():
        record = ledger.get(serial)
        assert (record.common_name, record.uuid) == (name, name)
        found = ledger.find(name)
        assert found is not None
        assert found.serial_number == str(serial)
    for serial, name in serials.items():
        assert ledger.delete(uuid=name).subject == f"certificate/{serial}"
    for name in {name.strip() or "blank" for name in ALIKE}:
        wrote = list(ledger.events(actor=name))
        assert {event.authid for event in wrote} == {name}
    assert list(ledger.verify()) == []


LONG = chr(0x1F600) * 255


@pytest.mark.filterwarnings("ignore:Attribute's length")  # of a common name over 64 letters
def test_texts_of_the_greatest_length_are_kept_and_found(ledger: Ledger) -> None:
    """Of letters that take four bytes each."""
    with acting_as(LONG):
        ledger.issue(make_certificate(LONG * 2, serial=2**159 - 1), uuid=LONG)
    record = ledger.get(2**159 - 1)
    assert (record.serial_number, record.uuid) == (str(2**159 - 1), LONG)
    assert record.common_name == LONG * 2
    assert ledger.find(LONG * 2) is not None
    assert len(list(ledger.events(actor=LONG))) == 1
    assert list(ledger.verify()) == []


def test_an_entry_of_the_greatest_length_is_kept(ledger: Ledger) -> None:
    longest = 65_535
    certificate = make_certificate(serial=1)
    with acting_as("alice", comment="x"):
        ledger.issue(certificate)
    room = longest - length_of(ledger, 0) + 1
    for seq, comment in ((2, "x" * room), (4, chr(0xE9) * (room // 2))):
        ledger.delete(1)
        with acting_as("alice", comment=comment):
            ledger.issue(certificate)
        assert longest - 1 <= length_of(ledger, seq) <= longest
    ledger.delete(1)
    with acting_as("alice", comment="x" * (room + 1)), pytest.raises(EntryTooLarge):
        ledger.issue(certificate)
    assert list(ledger.verify()) == []


def length_of(ledger: Ledger, seq: int) -> int:
    """How long the bytes of an entry are."""
    found = ledger.database.read(
        lambda c: c.exec_driver_sql(
            "SELECT length(entry) FROM log_entry WHERE seq = %s", (seq,)
        ).scalar_one()
    )
    return int(found)


def test_a_pem_that_outgrows_the_shorter_kind_of_text_is_kept_whole(mariadb: Place) -> None:
    long = "x" * 90_000
    with Ledger(mariadb.url) as ledger, stranger(mariadb.url) as other:
        ledger.issue(make_certificate(serial=1))
        run(other, "UPDATE certificates SET certificate_pem = %s", long)
        record = ledger.get(1)
        assert record.certificate_pem == long
        (difference,) = ledger.drift()
        assert difference.columns["certificate_pem"][0] == long
        assert ledger.rebuild().changed == 1


INSTANTS = [
    datetime(2026, 11, 24, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, 0, 999_999, tzinfo=UTC),  # an hour that Berlin never had
    datetime(2028, 2, 29, 23, 59, 59, 500_000, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
def test_instants_keep_their_microseconds_and_are_shifted_by_no_zone(
    mariadb: Place, instant: datetime
) -> None:
    clock = FakeClock(instant)
    begun, over = datetime(1950, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    with Ledger(mariadb.url, clock=clock) as ledger:
        ledger.issue(make_certificate(serial=1, start=begun, end=over))
        ledger.revoke(1, revocation_date=instant - timedelta(microseconds=1))
        record = ledger.get(1)
        assert record.not_valid_before == begun.replace(tzinfo=None)
        assert record.not_valid_after == over.replace(tzinfo=None)
        assert record.revocation_date == instant.replace(tzinfo=None) - timedelta(microseconds=1)
        assert ledger.head().recorded_at == instant
    stored = execute(mariadb.url, "SELECT recorded_at AS at FROM log_entry WHERE seq = 0")
    assert stored == [{"at": instant.replace(tzinfo=None)}]
    with Ledger(mariadb.url, clock=clock) as ledger:
        assert list(ledger.verify()) == []


# What MySQL can store and Python cannot have

ZERO = ["0000-00-00 00:00:00", "2026-02-00 00:00:00", "0000-01-01 00:00:00.000001"]
LENIENT = "SET SESSION sql_mode = ''"


@pytest.mark.parametrize("value", ZERO)
def test_a_row_with_a_day_that_is_none_is_told_found_and_mended(mariadb: Place, value: str) -> None:
    with Ledger(mariadb.url) as ledger, stranger(mariadb.url, LENIENT) as other:
        for serial in (1, 2):
            ledger.issue(make_certificate(serial=serial))
        run(other, "UPDATE certificates SET not_valid_after = %s WHERE id = 2", value)
        with pytest.raises(UnreadableValue, match="certledger rebuild"):
            ledger.get(2)
        assert ledger.get(1).status == "valid"
        assert ledger.expire_due() == 0
        run(other, "UPDATE certificates SET not_valid_after = %s WHERE id = 2", value)
        assert [finding.kind for finding in ledger.verify()] == ["drift"]
        (difference,) = ledger.drift()
        assert str(difference.columns["not_valid_after"][0]).startswith(value[:10])
        assert ledger.rebuild().changed == 1
        run(other, "UPDATE certificates SET not_valid_before = %s WHERE id = 2", value)
        ledger.revoke(2)
        assert list(ledger.verify()) == []


@pytest.mark.parametrize("column", ["recorded_at", "created"])
def test_a_head_with_a_day_that_is_none_is_damaged(mariadb: Place, column: str) -> None:
    with Ledger(mariadb.url) as ledger, stranger(mariadb.url, LENIENT) as other:
        ledger.issue(make_certificate(serial=1))
        run(other, "DROP TRIGGER log_head_grows")
        run(other, f"UPDATE log_head SET {column} = '0000-00-00'")
        with pytest.raises(LogCorrupt, match="is no datetime"):
            ledger.issue(make_certificate(serial=2))
        kinds = {finding.kind for finding in ledger.verify()}
        assert "trigger-missing" in kinds
        assert len(kinds) > 1
