"""The commands that change the registry: init, register, revoke, expire, delete."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certledger import Ledger
from certledger.cli.main import cli
from certledger.testing.certificates import der, make_ca, make_certificate, pem, shared_key
from tests.support.cli import Commands

OVER = datetime(2021, 1, 1, tzinfo=UTC)


def key_pem() -> bytes:
    return shared_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def words_of(run: Commands, serial: int) -> list[str]:
    return [entry["type"].split(".")[-2] for entry in run.json("history", serial)]


# init


def test_init_makes_an_empty_registry_with_a_name(run: Commands) -> None:
    output = run("init", "--origin", "ca.example.org/registry").stdout
    assert output == f"made the registry {run.url}, origin ca.example.org/registry\n"
    with Ledger(run.url, create=False) as ledger:
        assert ledger.head().origin == "ca.example.org/registry"
        assert ledger.head().size == 0


def test_init_invents_a_name_where_none_is_given(run: Commands) -> None:
    assert "origin certledger.invalid/" in run("init").stdout


def test_init_leaves_a_registry_that_is_there_as_it_is(run: Commands) -> None:
    run("init", "--origin", "ca.example.org")
    run.register(make_certificate())
    assert "is already there" in run("init").stdout
    assert "1 entry" in run("init", "--origin", "ca.example.org").stdout
    assert "cannot become 'other.example'" in run.fails("init", "--origin", "other.example", code=2)


@pytest.mark.parametrize("origin", ["with blank", "a+b", ""])
def test_init_refuses_a_name_that_a_log_cannot_have(run: Commands, origin: str) -> None:
    run.fails("init", "--origin", origin, code=2)
    assert not run.file.exists()


# register


def test_register_makes_the_registry_and_counts(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(pem(make_certificate("one.example", serial=31)))
    result = run("register", file)
    assert result.stdout == (
        "registered 31 (0x1f) one.example\nread 1: 1 registered, 0 already there, 0 refused\n"
    )
    assert result.stderr == ""


def test_register_reads_pem_der_bundles_and_folders(run: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.pem").write_bytes(pem(make_certificate("a")) + pem(make_certificate("b")))
    (folder / "deep" / "c.der").write_bytes(der(make_certificate("c")))
    single = tmp_path / "d.crt"
    single.write_bytes(pem(make_certificate("d")))

    output = run("register", folder, single, "--key-type", "svc").stdout

    assert output == "read 4: 4 registered, 0 already there, 0 refused\n"
    records = run.json("list")
    assert [record["common_name"] for record in records] == ["d", "c", "b", "a"]
    assert {record["key_type"] for record in records} == {"service"}
    assert {record["uuid"] for record in records} == {None}


def test_register_reads_standard_input(run: Commands) -> None:
    result = run("register", "-", input=pem(make_certificate()))
    assert "read 1: 1 registered" in result.stdout


def test_a_certificate_that_is_already_there_is_no_refusal(run: Commands) -> None:
    bundle = run.register(make_certificate(), make_certificate())
    assert run("register", bundle).stdout == "read 2: 0 registered, 2 already there, 0 refused\n"


def test_a_refused_certificate_is_named_with_file_place_and_reason(
    run: Commands, tmp_path: Path
) -> None:
    first, other = make_certificate("first", serial=31), make_certificate("other", serial=31)
    good = make_certificate("good")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pem(first) + pem(other) + pem(first)[:99] + b"\n" + pem(good))
    lines = bundle.read_bytes().splitlines()
    places = [number for number, line in enumerate(lines, 1) if b"BEGIN" in line]

    result = run("register", bundle, code=1)

    assert result.stdout == "read 4: 2 registered, 0 already there, 2 refused\n"
    refused = sorted(result.stderr.splitlines())
    assert len(refused) == 2
    assert refused[0].startswith(
        f"refused: {bundle}:{places[1]} (certificate 2): serial 31 (0x1f) is held by another"
    )
    assert refused[1].startswith(f"refused: {bundle}:{places[2]} (certificate 3): there is no")


def test_private_keys_are_skipped_with_a_warning_and_leave_no_trace(
    run: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "server.key").write_bytes(key_pem())
    (folder / "server.pem").write_bytes(key_pem() + pem(make_certificate()))

    result = run("register", folder)

    assert result.stderr.splitlines() == [
        f"warning: skipped {folder / name}:1: a private key: not read, not kept"
        for name in ("server.key", "server.pem")
    ]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    assert key_pem().splitlines()[1] not in stored
    assert b"PRIVATE KEY" not in stored


@pytest.mark.parametrize("contents", [None, key_pem()], ids=["an empty folder", "only a key"])
def test_registering_nothing_at_all_is_a_failure(
    run: Commands, tmp_path: Path, contents: bytes | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if contents:
        (folder / "server.key").write_bytes(contents)
    result = run("register", folder, code=1)
    assert result.stdout == "read 0: 0 registered, 0 already there, 0 refused\n"
    assert result.stderr.splitlines()[-1] == ("error: no certificate was found in what was given")


def test_a_uuid_goes_with_one_certificate(run: Commands) -> None:
    run.register(make_certificate(serial=31), options=("--uuid", "folder-1"))
    assert run.json("show", 31)["uuid"] == "folder-1"


def test_a_uuid_with_more_than_one_certificate_is_wrong_usage_and_does_nothing(
    run: Commands, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pem(make_certificate()) + pem(make_certificate()))
    error = run.fails("register", bundle, "--uuid", "folder-1", code=2)
    assert "--uuid belongs to one certificate" in error
    assert not run.file.exists()


def test_a_uuid_that_another_certificate_has_is_a_refusal(run: Commands, tmp_path: Path) -> None:
    run.register(make_certificate(serial=31), options=("--uuid", "folder-1"))
    file = tmp_path / "other.pem"
    file.write_bytes(pem(make_certificate()))
    result = run("register", file, "--uuid", "folder-1", code=1)
    assert "belongs to the certificate with serial 31 (0x1f)" in result.stderr


@pytest.mark.parametrize("uuid", ["", "u" * 256])
def test_a_uuid_that_no_certificate_can_have_is_wrong_usage(
    run: Commands, tmp_path: Path, uuid: str
) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(pem(make_certificate()))
    assert "--uuid" in run.fails("register", file, "--uuid", uuid, code=2)


def test_a_file_that_is_not_there_is_wrong_usage(run: Commands, tmp_path: Path) -> None:
    error = run.fails("register", tmp_path / "missing.pem", code=2)
    assert "does not exist" in error
    assert "certledger register --help" in error
    assert not run.file.exists()


def test_an_unknown_key_type_is_wrong_usage(run: Commands, tmp_path: Path) -> None:
    error = run.fails("register", tmp_path, "--key-type", "toaster", code=2)
    assert "known are user, service, device, internal, ca" in error


def test_a_certificate_without_a_common_name_is_recorded_by_the_command_line(
    run: Commands,
) -> None:
    run.register(make_certificate(None, serial=31))
    assert run.json("show", 31)["common_name"] == ""
    assert "(no common name)" in run("list").stdout


# revoke


def test_revoke_says_what_it_did_and_records_all_that_was_said(run: Commands) -> None:
    run.register(make_certificate(serial=31))
    output = run(
        "--actor", "alice@example.org", "--comment", "CHG-1\nsecond line",
        "revoke", "0x1f", "--reason", "KEYCOMPROMISE", "--at", "2026-01-03",
        "--requested-at", "2026-01-02T12:00:00+02:00", "--invalidity-date", "2026-01-01",
    ).stdout  # fmt: skip
    assert output == "revoked 31 (0x1f): keyCompromise, effective 2026-01-03 00:00:00Z\n"
    event = run.json("history", 31)[-1]
    assert event["actor"] == "alice@example.org"
    assert event["comment"] == "CHG-1\nsecond line"
    assert event["data"] | {"comment": None} == {
        "serial_number": "31",
        "reason": "keyCompromise",
        "reason_code": 1,
        "revocation_date": "2026-01-03T00:00:00.000000Z",
        "requested_at": "2026-01-02T10:00:00.000000Z",
        "invalidity_date": "2026-01-01T00:00:00.000000Z",
        "comment": None,
    }
    record = run.json("show", 31)
    assert (record["status"], record["revocation_date"]) == ("revoked", "2026-01-03T00:00:00Z")


def test_without_options_it_is_revoked_now_for_no_reason_by_the_user_of_the_system(
    run: Commands,
) -> None:
    run.register(make_certificate(serial=31))
    before = datetime.now(UTC)
    run("revoke", "31")
    event = run.json("history", 31)[-1]
    assert event["actor"] == getpass.getuser()
    assert event["comment"] is None
    assert event["data"]["reason"] == "unspecified"
    assert before <= datetime.fromisoformat(event["data"]["revocation_date"])


@pytest.mark.parametrize("option", ["--at", "--requested-at"])
def test_a_time_in_the_future_is_wrong_usage(run: Commands, option: str) -> None:
    run.register(make_certificate(serial=31))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert "lies in the future" in run.fails("revoke", 31, option, tomorrow, code=2)
    assert run.json("show", 31)["status"] == "valid"


def test_revoking_twice_is_refused_with_where_to_look(run: Commands) -> None:
    run.register(make_certificate(serial=31))
    run("revoke", 31)
    error = run.fails("revoke", 31)
    assert error.startswith("serial 31 (0x1f) is revoked: it cannot be revoked")
    assert "`certledger history`" in error


def test_revoking_an_unknown_serial_is_refused(run: Commands) -> None:
    run("init")
    assert run.fails("revoke", 31).startswith("serial 31 (0x1f) is not in the registry")


@pytest.mark.parametrize(
    "options",
    [("--reason", "removeFromCRL"), ("--reason", "because"), ("--at", "yesterday")],
)
def test_values_that_cannot_be_are_wrong_usage(run: Commands, options: tuple[str, ...]) -> None:
    run("init")
    run.fails("revoke", 31, *options, code=2)


# expire


def test_expire_marks_what_is_past_its_end_and_says_how_many(run: Commands) -> None:
    run.register(make_certificate(serial=31, start=OVER, days=1), make_certificate(serial=32))
    assert run("expire").stdout == "expired 1 certificate\n"
    assert run("expire").stdout == "expired 0 certificates\n"
    assert words_of(run, 31) == ["issued", "expired"]
    assert words_of(run, 32) == ["issued"]


# delete


def test_delete_takes_a_uuid_or_a_serial(run: Commands, tmp_path: Path) -> None:
    run.register(make_certificate(serial=31), options=("--uuid", "folder-1"))
    run.register(make_certificate(serial=32))
    assert run("delete", "folder-1").stdout == (
        "deleted 31 (0x1f) (uuid folder-1); its history stays in the log\n"
    )
    assert run("delete", "--serial", "0x20").stdout == (
        "deleted 32 (0x20); its history stays in the log\n"
    )
    assert run.json("list") == []
    assert words_of(run, 31) == ["issued", "deleted"]


@pytest.mark.parametrize("arguments", [(), ("folder-1", "--serial", "31")])
def test_delete_takes_exactly_one_of_them(run: Commands, arguments: tuple[str, ...]) -> None:
    run("init")
    assert "exactly one" in run.fails("delete", *arguments, code=2)


@pytest.mark.parametrize("arguments", [("nothing",), ("",), ("--serial", "31")])
def test_deleting_what_is_not_there_is_refused(run: Commands, arguments: tuple[str, ...]) -> None:
    run.register(make_certificate(serial=5))
    assert "is not in the registry" in run.fails("delete", *arguments)
    assert len(run.json("list")) == 1


def test_a_revoked_certificate_cannot_come_back_by_deletion(run: Commands) -> None:
    bundle = run.register(make_certificate(serial=31))
    run("revoke", 31)
    run("delete", "--serial", 31)
    result = run("register", bundle, code=1)
    assert "it was revoked and is within its validity" in result.stderr


# who and why


@pytest.mark.parametrize("actor", ["", "a\nb", "x" * 256])
def test_an_actor_that_an_event_cannot_name_is_wrong_usage(run: Commands, actor: str) -> None:
    run.fails("--actor", actor, "init", code=2)
    assert not run.file.exists()


def test_a_comment_goes_with_every_change(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(pem(make_certificate(serial=31)))
    run("--comment", "CHG-1", "register", file)
    run("--comment", "CHG-2", "delete", "--serial", 31)
    assert [event["comment"] for event in run.json("history", 31)] == ["CHG-1", "CHG-2"]


def test_the_database_may_be_named_by_the_environment(
    run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTLEDGER_DB", run.url)
    result = CliRunner().invoke(cli, ["init"])
    assert result.exit_code == 0
    assert run.file.exists()


def test_without_a_name_the_database_is_a_file_in_the_present_folder(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["init"]).exit_code == 0
    assert (tmp_path / "ca_repository.db").exists()


def test_certificates_of_a_ca_keep_their_issuer(run: Commands) -> None:
    run.register(make_ca("Other CA").issue(serial=31))
    assert run.json("show", 31)["issuer"] == "O=Example,CN=Other CA"
