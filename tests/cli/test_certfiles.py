"""What is found in files and folders: certificates, keys, neighbours, damage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)

from certledger.cli.certfiles import Found, Item, Refused, Skipped, files_of, read_file
from certledger.testing.certificates import der, make_ca, make_certificate, name_of, pem, shared_key


def key_bytes(encoding: Encoding = Encoding.PEM, passphrase: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return shared_key().private_bytes(encoding, PrivateFormat.PKCS8, encryption)


def request_bytes(encoding: Encoding = Encoding.PEM) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(name_of("request"))
    return builder.sign(shared_key(), hashes.SHA256()).public_bytes(encoding)


def crl_bytes(encoding: Encoding = Encoding.PEM) -> bytes:
    ca = make_ca()
    now = ca.certificate.not_valid_before_utc
    builder = x509.CertificateRevocationListBuilder(ca.certificate.subject, now, now)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(encoding)


def read(path: Path, data: bytes, *, named: bool = True) -> list[Item]:
    path.write_bytes(data)
    return list(read_file(str(path), named=named))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_one_certificate_in_pem_or_der_is_found(path: Path) -> None:
    certificate = make_certificate()
    assert read(path, pem(certificate)) == [Found(f"{path}:1", certificate)]
    assert read(path, der(certificate)) == [Found(str(path), certificate)]


def test_many_certificates_in_one_file_are_found_by_line_and_number(path: Path) -> None:
    first, second = make_certificate("first"), make_certificate("second")
    text = b"subject: first\n" + pem(first) + b"\nsubject: second\n" + pem(second)
    line = text[: text.rindex(b"-----BEGIN")].count(b"\n") + 1

    assert read(path, text) == [
        Found(f"{path}:2", first),
        Found(f"{path}:{line} (certificate 2)", second),
    ]


def test_line_ends_blanks_and_byte_order_marks_of_other_systems_do_no_harm(path: Path) -> None:
    certificate = make_certificate()
    windows = b"\xef\xbb\xbf" + pem(certificate).replace(b"\n", b"\r\n")
    indented = b"    " + pem(certificate).replace(b"\n", b"\n    ")
    for text in (windows, indented, pem(certificate).rstrip(b"\n")):
        assert read(path, text) == [Found(f"{path}:1", certificate)]


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_is_skipped_and_named_and_never_kept(
    path: Path, passphrase: bytes | None
) -> None:
    certificate = make_certificate()
    items = read(path, key_bytes(passphrase=passphrase) + pem(certificate))

    assert [type(item) for item in items] == [Skipped, Found]
    assert items[0] == Skipped(f"{path}:1", "a private key: not read, not kept")
    assert read(path, key_bytes(Encoding.DER, passphrase)) == [
        Skipped(str(path), "a private key: not read, not kept")
    ]


def test_a_private_key_that_is_cut_off_is_skipped_too(path: Path) -> None:
    (item,) = read(path, key_bytes()[:80])
    assert item == Skipped(f"{path}:1", "a private key: not read, not kept")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (request_bytes(), "a request for a certificate"),
        (request_bytes(Encoding.DER), "a request for a certificate"),
        (crl_bytes(), "a revocation list"),
        (crl_bytes(Encoding.DER), "a revocation list"),
        (
            shared_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "a public key",
        ),
        (b"-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n", "parameters"),
    ],
    ids=["request", "request DER", "CRL", "CRL DER", "public key", "parameters"],
)
def test_what_lies_beside_certificates_is_refused_where_it_is_all_that_was_named(
    path: Path, data: bytes, reason: str
) -> None:
    (named,) = read(path, data)
    (in_a_folder,) = read(path, data, named=False)

    assert isinstance(named, Refused)
    assert reason in named.reason
    assert isinstance(in_a_folder, Skipped)
    assert reason in in_a_folder.reason


def test_what_lies_beside_certificates_is_skipped_where_there_is_one(path: Path) -> None:
    items = read(path, pem(make_certificate()) + request_bytes())
    assert [type(item) for item in items] == [Found, Skipped]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "neither PEM nor DER"),
        ("-----BEGIN".encode("utf-16"), "UTF-16"),
        (der(make_certificate())[:100], "not a certificate"),
        (der(make_certificate()) + b"\0", "not a certificate"),
        (b"\x30\x82" + b"\0" * 2_000_000, "larger than any certificate"),
        (pem(make_certificate())[:200], "no line END CERTIFICATE"),
        (pem(make_certificate()).partition(b"\n")[2], "no line BEGIN CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "base64 is damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "not a certificate"),
        (pem(make_certificate()).replace(b"END CERT", b"END DIRT"), "no line END CERTIFICATE"),
        (pem(make_certificate()).replace(b"CERTIFICATE", b"SOMETHING"), "not known here"),
        (pem(make_certificate()).replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "openssl x509"),
        (pkcs7.serialize_certificates([make_certificate()], Encoding.PEM), "openssl pkcs7"),
        (
            pkcs12.serialize_key_and_certificates(
                b"x", shared_key(), make_certificate(), None, BestAvailableEncryption(b"secret")
            ),
            "openssl pkcs12",
        ),
    ],
    ids=[
        "empty",
        "text",
        "UTF-16",
        "DER cut off",
        "DER with more",
        "large DER",
        "PEM cut off",
        "PEM without its begin",
        "bad base64",
        "no certificate inside",
        "nothing inside",
        "another end",
        "unknown label",
        "trusted",
        "PKCS 7",
        "PKCS 12",
    ],
)
def test_what_is_or_may_be_a_certificate_and_cannot_be_read_is_refused_everywhere(
    path: Path, data: bytes, reason: str, named: bool
) -> None:
    (item,) = read(path, data, named=named)
    assert isinstance(item, Refused)
    assert reason in item.reason
    assert item.source.startswith(str(path))


def test_a_damaged_certificate_does_not_hide_the_next_one(path: Path) -> None:
    good = make_certificate()
    items = read(path, pem(good)[:300] + b"\n" + pem(good))
    assert [type(item) for item in items] == [Refused, Found]


def test_folders_are_read_to_the_bottom_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a/z/1", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    files = files_of([str(tmp_path), str(tmp_path / "c")])

    found = [(Path(file).relative_to(tmp_path).as_posix(), named) for file, named in files]
    assert found == [("a/z/1", False), ("b/10", False), ("b/2", False), ("c", False), ("c", True)]


def test_a_link_to_a_folder_is_not_followed_and_a_dead_one_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "loop").symlink_to(folder)
    (folder / "dead").symlink_to(tmp_path / "nothing")

    items = [
        item for path, named in files_of([str(folder)]) for item in read_file(path, named=named)
    ]

    assert items == [
        Refused(str(folder / "dead"), "No such file or directory"),
        Skipped(str(folder / "loop"), "a link to a folder is not followed"),
    ]


def test_a_named_pipe_in_a_folder_is_not_waited_on(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (item,) = read_file(str(pipe), named=False)
    assert item == Refused(str(pipe), "not a regular file")
