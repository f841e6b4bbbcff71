"""The commands that show: list, show, expiring, history, log, status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certledger.cli import records, words
from certledger.testing.certificates import make_certificate, pem
from tests.support.cli import TIME, Commands
from tests.support.patched import with_serial

RECORD_KEYS = list(records.COLUMNS)
EVENT_KEYS = [
    "seq", "id", "type", "subject", "serial_number", "serial_hex", "time", "recordedtime",
    "actor", "authtype", "comment", "streamversion", "correlationid", "causationid",
    "timesource", "clocktime", "extensions", "data",
]  # fmt: skip
TIMES = ("not_valid_before", "not_valid_after", "revocation_date")


@pytest.fixture
def filled(run: Commands) -> Commands:
    """Four certificates, the second revoked, the third deleted."""
    run.register(*(make_certificate(f"c{serial}.example", serial=serial) for serial in (1, 2, 3)))
    run.register(make_certificate("c4.example", serial=4), options=("--key-type", "user"))
    run("--actor", "alice", "--comment", "CHG-1", "revoke", 2, "--reason", "superseded")
    run("delete", "--serial", 3)
    return run


# list


def test_list_shows_the_newest_first_in_every_format(filled: Commands) -> None:
    assert [record["serial_number"] for record in filled.json("list")] == ["4", "2", "1"]
    assert [record["serial_number"] for record in filled.csv("list")] == ["4", "2", "1"]
    lines = filled("list").stdout.splitlines()
    assert lines[0].split() == ["serial", "certificate", "status"]
    assert lines[2].split() == ["4", "c4.example", "valid"]
    assert lines[4].split() == ["2", "c2.example", "revoked"]
    assert lines[5].split()[-1] == "superseded"


def test_the_records_of_json_and_csv_have_the_documented_keys(filled: Commands) -> None:
    for record in filled.json("list"):
        assert list(record) == RECORD_KEYS
        for name in TIMES:
            assert record[name] is None or TIME.fullmatch(record[name])
    assert list(filled.csv("list")[0]) == RECORD_KEYS
    revoked = filled.json("list", "--status", "revoked")[0]
    assert (revoked["revocation_reason"], revoked["revocation_reason_name"]) == (4, "superseded")
    assert (revoked["serial_number"], revoked["serial_hex"]) == ("2", "0x2")


@pytest.mark.parametrize(
    ("options", "serials"),
    [
        (("--status", "valid"), ["4", "1"]),
        (("--status", "REVOKED"), ["2"]),
        (("--status", "expired"), []),
        (("--key-type", "usr"), ["4"]),
        (("--key-type", "device", "--status", "valid"), ["1"]),
        (("--limit", "1"), ["4"]),
        (("--limit", "0"), ["4", "2", "1"]),
        (("--limit", "1", "--offset", "1"), ["2"]),
        (("--limit", "0", "--offset", "2"), ["1"]),
        (("--offset", "9"), []),
    ],
)
def test_list_filters_and_pages(
    filled: Commands, options: tuple[str, ...], serials: list[str]
) -> None:
    assert [record["serial_number"] for record in filled.json("list", *options)] == serials


def test_stderr_says_when_more_certificates_exist(filled: Commands) -> None:
    assert filled("list", "--limit", 2).stderr == "1 more of 3; --limit 0 shows all\n"
    assert filled("list", "--limit", 3).stderr == ""
    assert filled("list", "--limit", 2, "--offset", 1).stderr == ""
    assert filled("list", "--limit", 0).stderr == ""
    assert filled("list", "--limit", 1, "--status", "revoked").stderr == ""


def test_an_empty_listing_is_still_a_listing(run: Commands) -> None:
    run("init")
    assert run("list").stdout == "no certificates\n"
    assert run("list", "--format", "json").stdout == "[]\n"
    assert run.csv("list") == []
    assert run("list", "--format", "csv").stdout.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [("--status", "unknown"), ("--limit", "-1"), ("--offset", "-1"), ("--format", "xml")],
)
def test_values_that_cannot_be_are_wrong_usage(run: Commands, options: tuple[str, ...]) -> None:
    run("init")
    run.fails("list", *options, code=2)


def test_names_are_harmless_in_every_format(run: Commands) -> None:
    name = "\x1b]0;owned\x07=1+1\u202egnp"
    run.register(make_certificate(name, serial=1), make_certificate("=1+1", serial=2))
    for form in ("table", "json", "csv"):
        output = run("list", "--format", form).stdout
        assert all(line.isprintable() for line in output.splitlines()), form
    for command in ("show 1", "history 1", "log"):
        output = run(*command.split()).stdout
        assert all(line.isprintable() for line in output.splitlines()), command
    assert run.json("show", 1)["common_name"] == name
    assert run.csv("list")[0]["common_name"] == "'=1+1"
    assert run.csv("list")[1]["common_name"] == r"\x1b]0;owned\x07=1+1\u202egnp"


def test_markup_in_a_name_is_no_markup(run: Commands) -> None:
    run.register(make_certificate("[red]:smile:[/red]", serial=1))
    assert "[red]:smile:[/red]" in run("list").stdout
    assert "[red]:smile:[/red]" in run("show", 1).stdout


@pytest.mark.parametrize("serial", [2**159 - 1, 1, -(2**62) - 11, 0])
def test_a_serial_number_is_shown_decimal_and_hex_everywhere(
    run: Commands, tmp_path: Path, serial: int
) -> None:
    length = max(1, (serial.bit_length() + 8) // 8)
    (tmp_path / "odd.der").write_bytes(with_serial(serial.to_bytes(length, "big", signed=True)))
    run("register", tmp_path / "odd.der")
    both = (str(serial), hex(serial))
    for shown in (("list",), ("log",), ("show", str(serial)), ("history", str(serial))):
        assert all(text in run(*shown).stdout for text in both), shown
    for command in (("list",), ("log",), ("history", hex(serial))):
        found = run.json(*command)[0]
        assert (found["serial_number"], found["serial_hex"]) == both
        row = run.csv(*command)[0]
        assert (row["serial_number"].removeprefix("'"), row["serial_hex"].removeprefix("'")) == both


# show


def test_show_tells_all_of_one_certificate(filled: Commands) -> None:
    output = filled("show", "0x2").stdout
    for text in ("2 (0x2)", "c2.example", "revoked", "superseded", "O=Example,CN=Test CA"):
        assert text in output
    found = filled.json("show", 2)
    assert list(found) == [*RECORD_KEYS, "issuer", "sha256", "certificate_pem"]


def test_show_pem_prints_the_pem_and_nothing_else(run: Commands) -> None:
    certificate = make_certificate(serial=31)
    run.register(certificate)
    output = run("show", 31, "--pem").stdout_bytes
    assert output == pem(certificate)
    assert x509.load_pem_x509_certificate(output) == certificate


def test_show_lives_with_a_row_that_was_edited(filled: Commands) -> None:
    filled.edit("UPDATE certificates SET certificate_pem = 'x\x1b', status = 'odd'")
    assert "(unreadable)" in filled("show", 1).stdout
    assert filled.json("show", 1)["issuer"] is None
    assert filled("show", 1, "--pem").stdout == "x\\x1b\n"


def test_show_and_history_of_an_unknown_serial_fail(filled: Commands) -> None:
    assert filled.fails("show", 99).startswith("serial 99 (0x63) is not in the registry")
    assert filled.fails("history", 99).startswith("serial 99 (0x63) is not in the registry")
    assert "`certledger history`" in filled.fails("show", 3)
    assert "is no serial number" in filled.fails("show", "zz", code=2)


# expiring


def test_expiring_shows_the_soonest_first(run: Commands) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    run.register(
        *(make_certificate(serial=days, start=start, days=days) for days in (60, 20, 10, 25))
    )
    assert [record["serial_number"] for record in run.json("expiring")] == ["10", "20", "25"]
    assert [r["serial_number"] for r in run.csv("expiring", "--days", 12)] == ["10"]
    assert list(run.json("expiring")[0]) == RECORD_KEYS
    assert len(run.json("expiring", "--days", 10**12)) == 4
    assert run("expiring", "--days", 0).stdout == "no valid certificate ends within 0 days\n"
    run.fails("expiring", "--days", -1, code=2)


# history


def test_history_says_who_when_what_and_why_in_words(filled: Commands) -> None:
    output = filled("history", 2).stdout
    lines = output.splitlines()
    assert lines[0] == "history of 2 (0x2), times in UTC"
    assert lines[1].split() == ["when", "who", "what", "why"]
    assert "registered device c2.example, valid " in lines[3]
    assert "alice" in lines[4]
    assert "revoked: superseded" in lines[4]
    assert lines[4].rstrip().endswith("CHG-1")


def test_history_of_a_deleted_certificate_is_still_there(filled: Commands) -> None:
    events = filled.json("history", 3)
    assert [event["type"] for event in events] == [
        "certledger.certificate.issued.v1",
        "certledger.certificate.deleted.v1",
    ]
    assert "deleted; its history stays" in filled("history", 3).stdout


def test_the_events_of_json_and_csv_have_the_documented_keys(filled: Commands) -> None:
    for event in filled.json("log"):
        assert list(event) == EVENT_KEYS
        assert TIME.fullmatch(event["time"])
        assert TIME.fullmatch(event["recordedtime"])
    assert list(filled.csv("history", 2)[0]) == list(words.COLUMNS)
    assert filled.csv("history", 2)[1]["what"] == "revoked: superseded"


def test_line_breaks_of_a_comment_stay_in_its_column(run: Commands) -> None:
    run.register(make_certificate(serial=1))
    run("--comment", "first\nsecond\x1b[2J", "revoke", 1)
    last = [line.rstrip() for line in run("history", 1).stdout.splitlines()[-2:]]
    assert last[0].endswith("  first")
    assert last[1].strip() == r"second\x1b[2J"
    assert run.csv("history", 1)[1]["comment"] == r"first\nsecond\x1b[2J"
    assert run.json("history", 1)[1]["comment"] == "first\nsecond\x1b[2J"


# log


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        ((), [0, 1, 2, 3, 4, 5]),
        (("--reverse",), [5, 4, 3, 2, 1, 0]),
        (("--since", "2"), [2, 3, 4, 5]),
        (("--since", "2", "--until", "4"), [2, 3]),
        (("--until", "0"), []),
        (("--until", "99"), [0, 1, 2, 3, 4, 5]),
        (("--limit", "2"), [0, 1]),
        (("--limit", "2", "--reverse"), [5, 4]),
        (("--type", "revoked"), [4]),
        (("--type", "certledger.certificate.deleted.v1"), [5]),
        (("--actor", "alice"), [4]),
        (("--actor", "nobody"), []),
        (("--since", "2020-01-01"), [0, 1, 2, 3, 4, 5]),
        (("--until", "2020-01-01T00:00:00Z"), []),
    ],
)
def test_log_selects(filled: Commands, options: tuple[str, ...], seqs: list[int]) -> None:
    assert [event["seq"] for event in filled.json("log", *options)] == seqs


def test_a_range_of_times_has_its_start_and_not_its_end(filled: Commands) -> None:
    instant = filled.json("log")[4]["recordedtime"]
    assert [event["seq"] for event in filled.json("log", "--since", instant)] == [4, 5]
    assert [event["seq"] for event in filled.json("log", "--until", instant)] == [0, 1, 2, 3]


def test_stderr_says_when_more_entries_exist(filled: Commands) -> None:
    assert filled("log", "--limit", 5).stderr == (
        "there are more than these 5; --limit 0 shows all\n"
    )
    assert filled("log", "--limit", 6).stderr == ""
    assert filled("log").stderr == ""


def test_log_as_a_table_names_entry_actor_certificate_and_change(filled: Commands) -> None:
    lines = filled("log", "--since", 4).stdout.splitlines()
    assert lines[0].split() == ["seq", "when,", "who", "what", "why"]
    assert lines[2].split()[0] == "4"
    assert "2 (0x2)" in lines[2]
    assert lines[3].split() == ["alice", "revoked:", "superseded"]
    assert filled("log", "--until", 0).stdout == "no entries\n"


def test_a_long_log_comes_as_several_tables(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certledger.cli.output._PAGE", 2)
    run.register(*(make_certificate(serial=serial) for serial in (1, 2, 3)))
    lines = run("log").stdout.splitlines()
    assert sum(line.startswith("seq") for line in lines) == 2
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "options",
    [("--type", "nonsense"), ("--since", "-1"), ("--until", "soon"), ("--limit", "-1")],
)
def test_a_selection_that_cannot_be_is_wrong_usage(
    filled: Commands, options: tuple[str, ...]
) -> None:
    filled.fails("log", *options, code=2)


# status


def test_status_shows_counts_head_size_versions_and_durability(filled: Commands) -> None:
    output = filled("status").stdout
    for text in (
        filled.url,
        "2 valid, 1 revoked, 0 expired",
        "6 entries",
        "bytes",
        "certledger 0.1.0, format 1",
        "as promised",
    ):
        assert text in output
    found = filled.json("status")
    assert list(found) == [
        "url", "origin", "created", "log_size", "root_hash", "recorded_at", "counts", "retired",
        "size_bytes", "versions", "warnings",
    ]  # fmt: skip
    assert found["log_size"] == 6
    assert found["retired"] == 1
    assert found["warnings"] == []
    assert TIME.fullmatch(found["recorded_at"])
    assert len(found["root_hash"]) == 64


def test_status_of_an_empty_registry_has_no_last_entry(run: Commands) -> None:
    run("init")
    assert "none" in run("status").stdout
    assert run.json("status")["recorded_at"] is None
