"""Key files: for their owner alone, never written over, strictly read."""

from __future__ import annotations

import json
import os
import stat
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certledger.errors import InvalidValue, KeyRefused
from certledger.eventstore.tlog.keyfile import read_key_file, write_key_file
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.sealed import Cost
from tests.support.vectors import cases, signing_key

CHEAP = Cost(n=2, r=1, p=1)
WRONG = b"battery staple"
KEY = signing_key("log")
SEED = cases("keys")[0]["skey_go_format"].rpartition("+")[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


def never() -> bytes:
    raise AssertionError("no passphrase is needed")


def put(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def test_a_key_goes_there_and_back_as_one_line(path: Path) -> None:
    write_key_file(path, KEY)
    assert path.read_text() == cases("keys")[0]["skey_go_format"] + "\n"
    assert read_key_file(path, never).to_text() == KEY.to_text()


def test_an_encrypted_key_goes_there_and_back_as_json(path: Path) -> None:
    write_key_file(path, KEY, b"correct horse", cost=CHEAP)
    fields = json.loads(path.read_bytes())
    assert [fields[name] for name in ("format", "kdf", "n", "r", "p", "cipher")] == [
        "certledger-key-1", "scrypt", 2, 1, 1, "aes-256-gcm",
    ]  # fmt: skip
    assert b"PRIVATE" not in path.read_bytes()
    assert read_key_file(path, lambda: b"correct horse").to_text() == KEY.to_text()


def test_a_witness_s_key_keeps_its_type(path: Path) -> None:
    write_key_file(path, signing_key("w1"))
    assert read_key_file(path, never).verifier_key == signing_key("w1").verifier_key


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_new_file_is_its_owner_s_alone_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_key_file(path, KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("passphrase", [None, b"horse"])
def test_a_file_is_never_written_over(path: Path, passphrase: bytes | None) -> None:
    put(path, b"precious")
    with pytest.raises(KeyRefused, match="never written over"):
        write_key_file(path, KEY, passphrase, cost=CHEAP)
    assert path.read_bytes() == b"precious"


def test_a_link_is_not_followed_when_a_key_is_written(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.symlink_to(target)
    with pytest.raises(KeyRefused, match="never written over"):
        write_key_file(path, KEY)
    assert not target.exists()


def test_nothing_is_left_where_nothing_could_be_written(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_key_file(path / "nowhere", KEY)
    with pytest.raises(InvalidValue):
        write_key_file(path, KEY, b"")
    long = SigningKey("n" * 20_000, KeyKind.COSIGNATURE, bytes(32))
    with pytest.raises(InvalidValue, match="too long"):
        write_key_file(path, long)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o4644])
def test_a_file_that_group_or_others_can_open_is_refused(path: Path, mode: int) -> None:
    write_key_file(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyRefused, match=f"mode {mode:04o}.*chmod 600"):
        read_key_file(path, never)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_its_owner_alone_is_read(path: Path, mode: int) -> None:
    write_key_file(path, KEY)
    path.chmod(mode)
    assert read_key_file(path, never).verifier_key == KEY.verifier_key


def test_a_link_to_a_key_is_judged_by_the_file_it_leads_to(path: Path) -> None:
    write_key_file(path, KEY)
    link = path.with_name("link")
    link.symlink_to(path)
    assert read_key_file(link, never).verifier_key == KEY.verifier_key
    path.chmod(0o644)
    with pytest.raises(KeyRefused, match="mode 0644"):
        read_key_file(link, never)


def test_what_is_no_regular_file_is_refused_without_waiting(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyRefused, match="no regular file"):
        read_key_file(path, never)
    with pytest.raises(IsADirectoryError):
        read_key_file(path.parent, never)
    with pytest.raises(FileNotFoundError):
        read_key_file(path.with_name("missing"), never)


LINE = KEY.to_text().encode()
DAMAGED = {
    "empty": b"",
    "empty line": b"\n",
    "two lines": LINE + b"\n" + LINE + b"\n",
    "empty line after": LINE + b"\n\n",
    "carriage return": LINE + b"\r\n",
    "blank before": b" " + LINE,
    "blank after": LINE + b" ",
    "BOM": b"\xef\xbb\xbf" + LINE,
    "no UTF-8": LINE.replace(b"/test", b"\xff"),
    "too long": LINE.replace(b"log.example/test", b"n" * 20_000),
    "a verifier key": KEY.verifier_key.to_text().encode(),
    "a PEM": b"-----BEGIN PRIVATE KEY-----\n",
    "another id": LINE.replace(b"7e5f64ae", b"7e5f64af"),
    "an encrypted file cut off": b"{",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_by_name_and_nothing_in_it_is_repeated(
    path: Path, data: bytes
) -> None:
    put(path, data)
    with pytest.raises(KeyRefused) as caught:
        read_key_file(path, never)
    told = "".join(traceback.format_exception(caught.value))
    assert str(path) in str(caught.value)
    assert SEED[:10] not in told
    assert SEED[-10:] not in told


def test_a_wrong_passphrase_names_the_file_and_repeats_nothing(path: Path) -> None:
    write_key_file(path, KEY, b"correct horse", cost=CHEAP)
    with pytest.raises(KeyRefused, match="passphrase is wrong") as caught:
        read_key_file(path, lambda: WRONG)
    told = "".join(traceback.format_exception(caught.value))
    assert str(path) in told
    assert WRONG.decode() not in told


def test_a_sealed_line_that_is_no_key_is_refused(path: Path) -> None:
    from certledger.eventstore.tlog.sealed import seal

    put(path, seal("PRIVATE+KEY+secret", b"horse", CHEAP))
    with pytest.raises(KeyRefused) as caught:
        read_key_file(path, lambda: b"horse")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary() | st.binary().map(lambda data: b"{" + data))
def test_on_any_bytes_only_our_error_escapes(path: Path, data: bytes) -> None:
    put(path, data)
    with pytest.raises(KeyRefused):
        read_key_file(path, lambda: b"horse")
