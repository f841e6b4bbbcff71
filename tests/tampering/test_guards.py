"""What guards the log, and the settings of its file, are looked at too."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger.eventstore.triggers.sqlite import TRIGGERS
from tests.tampering.registry import Log, as_unchanging, findings_of, run

NAMES = sorted(TRIGGERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_trigger_is_found_and_named(log: Log, file: Path, name: str) -> None:
    file.write_bytes(log.image)
    run(file, f"DROP TRIGGER {name}")
    (found,) = findings_of(file)
    assert (found.level, found.kind) == ("finding", "trigger-missing")
    assert f"the trigger {name} is missing" in found.message


@pytest.mark.parametrize("name", NAMES)
def test_a_trigger_that_does_nothing_any_more_is_found(log: Log, file: Path, name: str) -> None:
    file.write_bytes(log.image)
    run(file, f"DROP TRIGGER {name}")
    run(file, harmless(name))
    (found,) = findings_of(file)
    assert (found.level, found.kind) == ("finding", "trigger-missing")
    assert f"the trigger {name} is not the registry's" in found.message


def test_a_file_that_loses_what_was_appended_last_is_found(log: Log, file: Path) -> None:
    """Opened for writing it is set right, so that only a reader can see it."""
    file.write_bytes(log.image)
    run(file, "PRAGMA journal_mode=DELETE")
    (found,) = findings_of(as_unchanging(file))
    assert (found.level, found.kind) == ("finding", "durability")
    assert "journal_mode" in found.message


def test_a_file_that_is_only_opened_as_unchanging_is_not_weakened(log: Log, file: Path) -> None:
    file.write_bytes(log.image)
    assert findings_of(as_unchanging(file)) == []


def harmless(name: str) -> str:
    """The same trigger with a condition that never holds."""
    text = TRIGGERS[name]
    head, begin, body = text.partition("BEGIN")
    condition = " AND 0 " if "WHEN" in head else " WHEN 0 "
    return head.rstrip() + condition + begin + body
