"""The commands that hold log and tables against each other: drift, rebuild, verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger import Ledger
from certledger.testing.certificates import make_certificate
from tests.support import raw
from tests.support.cli import Commands

DRIFT_KEYS = ["table", "key", "serial_number", "serial_hex", "kind", "columns"]
FINDING_KEYS = ["level", "kind", "seq", "serial_number", "serial_hex", "message"]


@pytest.fixture
def filled(run: Commands) -> Commands:
    """Three certificates, the second revoked."""
    run.register(*(make_certificate(f"c{serial}.example", serial=serial) for serial in (1, 2, 3)))
    run("revoke", 2, "--reason", "superseded", "--at", "2026-01-02")
    return run


@pytest.fixture
def edited(filled: Commands) -> Commands:
    """The same with three kinds of edit behind the registry's back."""
    filled.edit("UPDATE certificates SET common_name = '=evil\x1b' WHERE id = 1")
    filled.edit("DELETE FROM certificates WHERE id = 2")
    filled.edit(
        "INSERT INTO certificates SELECT 99, 'forged', common_name, status, not_valid_before, "
        "not_valid_after, key_type, certificate_pem, NULL, NULL, NULL FROM certificates "
        "WHERE id = 3"
    )
    return filled


# drift


def test_without_drift_the_exit_code_is_0(filled: Commands) -> None:
    assert filled("drift").stdout == "no drift: the tables are what the log says\n"
    assert filled.json("drift") == []
    assert filled.csv("drift") == []


def test_drift_names_every_row_and_column_and_exits_with_1(edited: Commands) -> None:
    found = edited.json("drift", code=1)
    assert [list(difference) for difference in found] == [DRIFT_KEYS] * 3
    changed, missing, unexpected = found
    assert (changed["kind"], changed["serial_number"], changed["serial_hex"]) == (
        "changed", "1", "0x1",
    )  # fmt: skip
    assert changed["columns"] == {"common_name": {"in_table": "=evil\x1b", "by_log": "c1.example"}}
    assert (missing["kind"], missing["serial_number"], missing["columns"]) == ("missing", "2", {})
    assert (unexpected["kind"], unexpected["key"]) == ("unexpected", 99)
    assert (unexpected["serial_number"], unexpected["serial_hex"]) == ("forged", None)


def test_drift_as_a_table_says_what_is_and_what_should_be(edited: Commands) -> None:
    output = edited("drift", code=1).stdout
    assert r"common_name: =evil\x1b should be c1.example" in output
    assert "2 (0x2)" in output
    assert "missing: the log has it, the table has not" in output
    assert "unexpected: the table has it, the log has not" in output
    assert output.endswith("3 rows differ; `certledger rebuild` makes them what the log says\n")


def test_drift_as_csv_has_a_row_for_each_column(filled: Commands) -> None:
    filled.edit(
        "UPDATE certificates SET status = 'valid', revocation_date = NULL, common_name = '=x' "
        "WHERE id = 2"
    )
    rows = filled.csv("drift", code=1)
    assert [(row["column"], row["in_table"], row["by_log"]) for row in rows] == [
        ("common_name", "'=x", "c2.example"),
        ("status", "valid", "revoked"),
        ("revocation_date", "", "2026-01-02T00:00:00.000000Z"),
    ]


def test_drift_changes_nothing(edited: Commands) -> None:
    before = raw.rows(edited.file, "SELECT * FROM certificates")
    edited("drift", code=1)
    assert raw.rows(edited.file, "SELECT * FROM certificates") == before


# rebuild


def test_rebuild_mends_every_row_and_names_it(edited: Commands) -> None:
    output = edited("rebuild").stdout
    assert "mended certificates: serial 1 (0x1), row 1: changed common_name" in output
    assert "mended certificates: serial 2 (0x2), row 2: missing" in output
    assert "mended certificates: serial forged, row 99: unexpected" in output
    assert "3 rows mended (1 missing, 1 unexpected, 1 changed)" in output
    edited("drift")


def test_rebuild_of_what_is_right_has_nothing_to_mend(filled: Commands) -> None:
    assert filled("rebuild").stdout.startswith("replayed 4 entries in ")
    assert "nothing to mend" in filled("rebuild").stdout


def test_rebuild_recreate_makes_a_broken_table_anew(filled: Commands) -> None:
    filled.edit("ALTER TABLE certificates RENAME COLUMN status TO state")
    assert "--recreate" in filled.fails("drift", code=2)
    assert "--recreate" in filled.fails("rebuild")
    filled("rebuild", "--recreate")
    filled("drift")


# verify


def test_a_clean_registry_verifies_with_0(filled: Commands) -> None:
    assert filled("verify").stdout == "verified 4 entries: no findings\n"
    assert filled.json("verify") == []


def test_a_finding_exits_with_1_and_is_named(edited: Commands) -> None:
    found = edited.json("verify", code=1)
    assert found
    assert all(list(finding) == FINDING_KEYS for finding in found)
    assert {finding["level"] for finding in found} == {"finding"}
    assert list(edited.csv("verify", code=1)[0]) == FINDING_KEYS
    output = edited("verify", code=1).stdout
    assert "findings" in output.splitlines()[-1]
    assert "\x1b" not in output


def test_a_changed_entry_is_a_finding_with_its_seq(filled: Commands) -> None:
    raw.edit(
        filled.file,
        "UPDATE log_entry SET entry = replace(entry, 'c2.example', 'c9.example') WHERE seq = 1",
    )
    found = filled.json("verify", code=1)
    assert 1 in [finding["seq"] for finding in found]
    assert "certledger verify" in filled.fails("log")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_head SET frontier = x'00'",
        "UPDATE log_head SET size = size - 1",
        "UPDATE log_head SET root = 'text'",
        "UPDATE log_head SET recorded_at = NULL",
        "DELETE FROM log_head",
    ],
)
def test_a_damaged_head_is_a_finding_and_stops_no_check(filled: Commands, damage: str) -> None:
    raw.edit(filled.file, damage)
    kinds = {finding["kind"] for finding in filled.json("verify", code=1)}
    assert any(kind.startswith("head-") for kind in kinds), kinds
    assert "finding" in filled("verify", code=1).stdout.splitlines()[-1]


# could not run


@pytest.mark.parametrize("command", ["drift", "verify"])
def test_a_check_that_could_not_run_exits_with_2(run: Commands, command: str) -> None:
    assert "there is no registry" in run.fails(command, code=2)
    assert not run.file.exists()
    run.file.write_text("something else")
    run.fails(command, code=2)


def test_a_rebuild_that_could_not_run_exits_with_1(run: Commands) -> None:
    assert "there is no registry" in run.fails("rebuild")
    assert not run.file.exists()


def test_the_warnings_of_the_library_are_shown(edited: Commands, tmp_path: Path) -> None:
    del tmp_path
    edited.edit("UPDATE certificates SET status = 'valid' WHERE id = 3")
    edited.edit("DELETE FROM certificates WHERE id = 1")
    result = edited("delete", "--serial", 1)
    assert result.stderr.startswith("warning: ")
    with Ledger(edited.url) as ledger:
        assert [record.serial_number for record in ledger.list()] == ["forged", "3"]
