"""How values are written for people: safe text, serial numbers, instants, counts."""

from __future__ import annotations

from datetime import datetime

from certledger.eventstore.times import naive_utc


def safe(text: str) -> str:
    r"""Make text harmless on one line of a terminal.

    Names come from certificates, which anybody may have made. Control characters (terminal
    escapes, line breaks) and invisible ones (bidi controls, zero-width characters) are written as
    `\x1b` or `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def safe_lines(text: str) -> str:
    """Make text harmless but keep its line breaks, for a cell of a table or a PEM."""
    return "\n".join(safe(line) for line in text.splitlines())


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def serial_hex(serial: int) -> str:
    """Write a serial number as lower-case hex, `0x1f` or `-0x1f`."""
    return hex(serial)


def serial_text(serial: int) -> str:
    """Write a serial number both ways: `31 (0x1f)`."""
    return f"{serial} ({serial_hex(serial)})"


def serial_fields(serial: int | str) -> dict[str, object]:
    """Return the members `serial_number` and `serial_hex` of JSON objects and CSV rows."""
    try:
        return {"serial_number": str(serial), "serial_hex": serial_hex(int(serial))}
    except ValueError:
        # A row that somebody edited may hold anything; drift shows it as it is.
        return {"serial_number": str(serial), "serial_hex": None}


def iso(instant: datetime | None) -> str | None:
    """Write an instant (aware, or naive in UTC) as ISO 8601 with `Z`."""
    return None if instant is None else f"{_naive(instant).isoformat()}Z"


def moment(instant: datetime) -> str:
    """Write an instant for a reader, to the second: `2026-01-31 23:59:59Z`."""
    return f"{_naive(instant).isoformat(sep=' ', timespec='seconds')}Z"


def day(instant: datetime) -> str:
    """Write the date of an instant in UTC."""
    return _naive(instant).date().isoformat()


def _naive(instant: datetime) -> datetime:
    return instant if instant.tzinfo is None else naive_utc(instant)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: `1 entry`, `2,000 entries`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
