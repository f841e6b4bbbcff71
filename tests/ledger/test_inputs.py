"""What the registry makes of odd input, three ways; `docs/reference/bad-input.md` has the table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from certledger import Ledger, acting_as
from certledger.cli.main import cli
from certledger.db import SyncDBHandler
from certledger.errors import LedgerError
from certledger.testing.certificates import der, make_certificate, pem
from certledger.testing.clock import FakeClock
from certledger.testing.raw import CERTIFICATES as COLUMNS
from tests.support import odd_input
from tests.support.odd_input import SERIAL, plain
from tests.support.patched import with_serial

# `cryptography` warns of names outside of RFC 5280's bounds, and of zero and negative serials.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be"),
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
]

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md"
UUID: Final = "folder-1"
FIRST: Final = plain()

Before = Callable[[Ledger, FakeClock], object]


def nothing(_ledger: Ledger, _clock: FakeClock) -> None:
    """An empty registry."""


def registered(ledger: Ledger, _clock: FakeClock) -> None:
    ledger.issue(FIRST, uuid="folder-0")


def uuid_taken(ledger: Ledger, _clock: FakeClock) -> None:
    ledger.issue(make_certificate("another"), uuid=UUID)


def deleted(ledger: Ledger, _clock: FakeClock) -> None:
    ledger.issue(FIRST)
    ledger.delete(SERIAL)


def revoked_and_deleted(ledger: Ledger, _clock: FakeClock) -> None:
    ledger.issue(FIRST)
    ledger.revoke(SERIAL)
    ledger.delete(SERIAL)


def recorded_ahead(**delta: float) -> Before:
    """The last entry was recorded by a clock that was ahead."""

    def before(ledger: Ledger, clock: FakeClock) -> None:
        clock.step(**delta)
        ledger.issue(make_certificate("another"))
        clock.step(**{unit: -value for unit, value in delta.items()})

    return before


@dataclass(frozen=True)
class Case:
    """An attempt to register, and what it comes to."""

    input: str
    """As the document names it."""
    facade: str
    """What `register_cert_in_db` returns, or the exception that leaves it."""
    ledger: str
    """"recorded", or the error of `Ledger.issue`."""
    exit_code: int
    """Of `certledger register`."""
    data: bytes
    before: Before = nothing
    comment: str | None = None
    actor: str = "alice"
    common_name: str | None = None
    """Recorded, where that is not obvious."""


def recorded(name: str, data: bytes, **more: object) -> Case:
    return Case(name, "True", "recorded", 0, data, **more)  # type: ignore[arg-type] # fields by name


def refused(name: str, error: str, data: bytes, **more: object) -> Case:
    return Case(name, "False", error, 1, data, **more)  # type: ignore[arg-type] # as above


CASES: Final = [
    refused("empty file", "InvalidCertificate", b""),
    refused("PEM, truncated", "InvalidCertificate", odd_input.truncated_pem()),
    refused("PEM, garbled", "InvalidCertificate", odd_input.garbled_pem()),
    refused("DER, truncated", "InvalidCertificate", odd_input.truncated_der()),
    refused("DER, garbled", "InvalidCertificate", odd_input.garbled_der()),
    refused("PEM of a public key", "InvalidCertificate", odd_input.public_key_pem()),
    refused("PEM of a private key", "InvalidCertificate", odd_input.private_key_pem()),
    refused("PEM of a certificate request", "InvalidCertificate", odd_input.request_pem()),
    recorded("DER", der(make_certificate())),
    Case("no CN", "IndexError", "recorded", 0, plain(None), common_name=""),
    recorded("empty CN", plain(""), common_name=""),
    recorded("CN of 512 characters", plain("x" * 512), common_name="x" * 512),
    refused("CN of 513 characters", "InvalidCertificate", plain("x" * 513)),
    refused("NUL in the CN", "InvalidCertificate", plain("device\0.example.org")),
    recorded("UTF-8 in the CN", plain("gerät-≥1-🔑"), common_name="gerät-≥1-🔑"),
    recorded("control characters in the CN", plain("a\r\nb\tc"), common_name="a\r\nb\tc"),
    recorded("terminal escapes in the CN", plain("\x1b[2Jx\x07"), common_name="\x1b[2Jx\x07"),
    refused("certificate of more than 50,000 bytes", "EntryTooLarge", odd_input.too_large()),
    recorded("negative serial", with_serial(b"\x80" + b"\x11" * 7)),
    recorded("serial 0", with_serial(b"\x00")),
    recorded("serial of 20 bytes", with_serial(b"\x7f" + b"\x11" * 19)),
    recorded("serial of 20 bytes and a sign byte", with_serial(b"\x00" + b"\xee" * 20)),
    refused("serial of 21 bytes", "InvalidCertificate", with_serial(b"\x01" + b"\x11" * 20)),
    recorded(
        "valid from 1950 to 9999",
        plain(
            start=datetime(1950, 1, 1, tzinfo=UTC),
            end=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        ),
    ),
    recorded("expired before it is registered", odd_input.ended_yesterday()),
    Case("serial present, the same certificate", "False", "DuplicateSerial", 0, FIRST, registered),
    refused(
        "serial present, another certificate", "DuplicateSerial", plain("b"), before=registered
    ),
    refused("uuid of a present certificate", "DuplicateUuid", FIRST, before=uuid_taken),
    recorded("again after deletion", FIRST, before=deleted),
    recorded("another with the serial of a deleted one", plain("b"), before=deleted),
    refused(
        "again after deletion while revoked", "IllegalTransition", FIRST, before=revoked_and_deleted
    ),
    refused(
        "another with the serial of one deleted while revoked",
        "IllegalTransition",
        plain("b"),
        before=revoked_and_deleted,
    ),
    recorded("comment with line breaks", FIRST, comment="CHG-1\r\nsecond line\n"),
    Case("actor with a line break", "InvalidValue", "InvalidValue", 2, FIRST, actor="a\nb"),
    recorded("clock a minute behind the log", FIRST, before=recorded_ahead(minutes=1)),
    refused(
        "clock two days behind the log", "ClockBehindLog", FIRST, before=recorded_ahead(days=2)
    ),
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.input)


@each_case
def test_the_ledger(case: Case, ledger: Ledger, clock: FakeClock) -> None:
    case.before(ledger, clock)
    before = _contents(ledger)
    try:
        with acting_as(case.actor, comment=case.comment):
            event = ledger.issue(case.data, uuid=UUID)
    except LedgerError as error:
        result = type(error).__name__
        assert _contents(ledger) == before
    else:
        result = "recorded"
        assert event.data.comment == case.comment
        _check_recorded(case, ledger)
    assert result == case.ledger


@each_case
def test_the_facade(case: Case, ledger: Ledger, clock: FakeClock) -> None:
    case.before(ledger, clock)
    before = _contents(ledger)
    try:
        with acting_as(case.actor, comment=case.comment), SyncDBHandler.over(ledger) as handler:
            # A caller who has no certificate object has bytes; the facade takes them too.
            result = repr(handler.register_cert_in_db(case.data, uuid=UUID))  # type: ignore[arg-type]
    except IndexError:
        result = "IndexError"
    except LedgerError as error:
        result = type(error).__name__
    assert result == case.facade
    if result == "True":
        _check_recorded(case, ledger)
    else:
        assert _contents(ledger) == before


@each_case
def test_the_command_line(case: Case, ledger: Ledger, clock: FakeClock, tmp_path: Path) -> None:
    case.before(ledger, clock)
    before = _contents(ledger)
    source = tmp_path / "input"
    source.write_bytes(case.data)
    options = ["--db", ledger.url, "--actor", case.actor]
    options += [] if case.comment is None else ["--comment", case.comment]
    with warnings.catch_warnings(record=True) as warned:
        result = CliRunner().invoke(cli, [*options, "register", str(source), "--uuid", UUID])
    assert warned == []
    assert result.exit_code == case.exit_code, result.output
    assert "Traceback" not in result.output
    assert not re.search(r"[^\n\x20-\x7e\x80-\U0010ffff]", result.output)
    if case.exit_code == 0 and case.before is not registered:
        _check_recorded(case, ledger)
    else:
        assert _contents(ledger) == before


def _contents(ledger: Ledger) -> tuple[object, ...]:
    return ledger.head(), [
        tuple(getattr(record, name) for name in COLUMNS) for record in ledger.list(limit=None)
    ]


def _check_recorded(case: Case, ledger: Ledger) -> None:
    newest = ledger.list()[0]
    assert (newest.status, newest.uuid) == ("valid", UUID)
    if case.common_name is not None:
        assert newest.common_name == case.common_name
    assert list(ledger.drift()) == []
    assert [finding for finding in ledger.verify() if finding.level == "finding"] == []


def test_the_documented_table_has_these_rows_and_values() -> None:
    rows = [
        tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    assert rows[0] == ("input", "register_cert_in_db", "Ledger.issue", "certledger register")
    assert rows[1:] == [
        (case.input, case.facade, case.ledger, str(case.exit_code)) for case in CASES
    ]


@pytest.mark.parametrize("name", ["a\r\nb", "\x1b[2Jx\x07", "\u202egro.elpmaxe"])
@pytest.mark.parametrize("command", ["list", "show", "history", "log"])
def test_no_name_reaches_the_terminal_as_it_is(name: str, command: str, ledger: Ledger) -> None:
    ledger.issue(pem(make_certificate(name, serial=SERIAL)))
    arguments = [command] if command in {"list", "log"} else [command, str(SERIAL)]
    result = CliRunner().invoke(cli, ["--db", ledger.url, *arguments])
    assert result.exit_code == 0, result.output
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", result.output)
    assert len(result.output.splitlines()) == len(result.output.split("\n")) - 1
