"""The command that signs a CRL."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certledger.testing.certificates import make_certificate, pem, shared_key
from tests.support.ca_files import PASSPHRASE, ca_options
from tests.support.cli import Commands
from tests.support.openssl import needs_openssl


@pytest.fixture
def ca(tmp_path: Path) -> list[str]:
    """The options that name the CA's files."""
    return ca_options(tmp_path)


@pytest.fixture
def filled(run: Commands) -> Commands:
    """Three certificates, two revoked."""
    run.register(*(make_certificate(serial=serial) for serial in (1, 2, 3)))
    run("revoke", 1, "--reason", "keyCompromise", "--invalidity-date", "2026-01-01")
    run("revoke", 2)
    return run


def serials(crl: x509.CertificateRevocationList) -> set[int]:
    return {entry.serial_number for entry in crl}


def test_a_crl_goes_to_standard_output_in_pem(filled: Commands, ca: list[str]) -> None:
    result = filled("crl", *ca)
    crl = x509.load_pem_x509_crl(result.stdout_bytes)
    assert serials(crl) == {1, 2}
    assert re.fullmatch(
        r"CRL number 1 with 2 entries, next update \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\n",
        result.stderr,
    )


def test_a_crl_is_recorded_with_who_and_why_and_numbers_grow(
    filled: Commands, ca: list[str]
) -> None:
    filled("--actor", "ops", "--comment", "weekly", "crl", *ca, "--days", 30)
    filled("crl", *ca)
    filled("crl", *ca, "--number", 10)
    events = filled.json("log", "--type", "crl")
    assert [event["data"]["number"] for event in events] == ["1", "2", "10"]
    assert (events[0]["actor"], events[0]["comment"]) == ("ops", "weekly")
    assert "CRL number 10 published: 2 entries" in filled("log", "--type", "crl").stdout


def test_a_crl_is_written_to_a_file(filled: Commands, ca: list[str], tmp_path: Path) -> None:
    target = tmp_path / "ca.crl"
    result = filled("crl", *ca, "-o", target)
    assert result.stdout == ""
    assert f"written to {target}" in result.stderr
    assert serials(x509.load_pem_x509_crl(target.read_bytes())) == {1, 2}
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir() if "crl" in path.name) == ["ca.crl"]


@pytest.mark.parametrize(("name", "options"), [("ca.der", []), ("ca.crl", ["--der"])])
def test_der_is_written_where_the_name_or_an_option_says_so(
    filled: Commands, ca: list[str], tmp_path: Path, name: str, options: list[str]
) -> None:
    filled("crl", *ca, "-o", tmp_path / name, *options)
    assert serials(x509.load_der_x509_crl((tmp_path / name).read_bytes())) == {1, 2}


def test_der_can_be_piped(filled: Commands, ca: list[str]) -> None:
    assert serials(x509.load_der_x509_crl(filled("crl", *ca, "--der").stdout_bytes)) == {1, 2}


def test_an_old_file_is_replaced_whole_and_keeps_its_mode(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    real, link = tmp_path / "real.crl", tmp_path / "link.crl"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    filled("crl", *ca, "-o", link)
    assert link.is_symlink()
    assert serials(x509.load_pem_x509_crl(real.read_bytes())) == {1, 2}
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_crl_that_is_not_signed_leaves_the_old_file_as_it_is(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "ca.crl"
    target.write_text("old")
    filled("crl", *ca)
    filled.fails("crl", *ca, "--number", 1, "-o", target, code=2)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if "crl" in path.name] == ["ca.crl"]


def test_a_crl_that_cannot_be_written_is_not_signed(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    assert "No such file" in filled.fails("crl", *ca, "-o", tmp_path / "nowhere" / "ca.crl")
    assert filled.json("log", "--type", "crl") == []


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_an_encrypted_key_takes_its_passphrase_from_the_environment(
    filled: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Encoding
) -> None:
    options = ca_options(tmp_path, PASSPHRASE, encoding)
    assert "set CERTLEDGER_CA_KEY_PASSPHRASE" in filled.fails("crl", *options)
    monkeypatch.setenv("CERTLEDGER_CA_KEY_PASSPHRASE", "wrong")
    assert "the passphrase is wrong" in filled.fails("crl", *options)
    monkeypatch.setenv("CERTLEDGER_CA_KEY_PASSPHRASE", PASSPHRASE)
    result = filled("crl", *options)
    assert PASSPHRASE not in result.output


def test_a_passphrase_that_is_not_needed_does_no_harm(
    filled: Commands, ca: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTLEDGER_CA_KEY_PASSPHRASE", PASSPHRASE)
    filled("crl", *ca)


def test_files_that_are_no_certificate_or_key_are_named(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    junk = tmp_path / "junk"
    junk.write_text("junk")
    assert f"{junk}: not a certificate" in filled.fails("crl", *ca, "--ca-cert", junk)
    assert f"{junk}: not a private key" in filled.fails("crl", *ca, "--ca-key", junk)


def test_a_key_of_another_certificate_signs_nothing(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(shared_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    filled.fails("crl", *ca, "--ca-key", other, code=2)
    assert filled.json("log", "--type", "crl") == []


@pytest.mark.parametrize("options", [("--days", "0"), ("--number", "x"), ("--days", "99999999")])
def test_values_that_cannot_be_are_wrong_usage(
    filled: Commands, ca: list[str], options: tuple[str, ...]
) -> None:
    filled.fails("crl", *ca, *options, code=2)


def test_both_files_of_the_ca_are_needed(filled: Commands) -> None:
    assert "Missing option '--ca-cert'" in filled.fails("crl", code=2)


# The table contradicts the log


def test_where_the_table_contradicts_the_log_the_log_is_signed_and_the_exit_code_is_3(
    filled: Commands, ca: list[str]
) -> None:
    filled.edit("UPDATE certificates SET status = 'valid', revocation_date = NULL WHERE id = 1")
    result = filled("crl", *ca, code=3)
    assert serials(x509.load_pem_x509_crl(result.stdout_bytes)) == {1, 2}
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning")]
    assert "serial 1 (0x1);" in warning
    assert "`certledger rebuild`" in warning


def test_strict_signs_nothing_there_and_exits_with_1(
    filled: Commands, ca: list[str], tmp_path: Path
) -> None:
    filled.edit("UPDATE certificates SET status = 'valid', revocation_date = NULL WHERE id = 1")
    error = filled.fails("crl", *ca, "--strict", "-o", tmp_path / "ca.crl")
    assert "serial 1 (0x1)" in error
    assert not (tmp_path / "ca.crl").exists()
    assert filled.json("log", "--type", "crl") == []
    filled("rebuild")
    filled("crl", *ca, "--strict")


def test_a_certificate_deleted_while_revoked_stays_on_the_crl(
    filled: Commands, ca: list[str]
) -> None:
    filled("delete", "--serial", 1)
    assert serials(x509.load_pem_x509_crl(filled("crl", *ca).stdout_bytes)) == {1, 2}


@needs_openssl
def test_openssl_reads_the_crl_and_checks_certificates_with_it(
    run: Commands, ca: list[str], tmp_path: Path
) -> None:
    good, bad = make_certificate("good", serial=1), make_certificate("bad", serial=2)
    run.register(good, bad)
    run("revoke", 2, "--reason", "keyCompromise")
    target = tmp_path / "ca.crl"
    run("crl", *ca, "-o", target)

    text = subprocess.run(
        ["openssl", "crl", "-noout", "-text", "-in", str(target)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    assert "Key Compromise" in text

    answers = {}
    for name, certificate in (("good", good), ("bad", bad)):
        leaf = tmp_path / f"{name}.pem"
        leaf.write_bytes(pem(certificate))
        command = ["openssl", "verify", "-crl_check", "-CAfile", ca[1]]
        command += ["-CRLfile", str(target), str(leaf)]
        answers[name] = subprocess.run(command, capture_output=True, check=False).returncode
    assert answers == {"good": 0, "bad": 2}
