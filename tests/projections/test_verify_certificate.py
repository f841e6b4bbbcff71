"""The quick way of holding a certificate against its event says what the plain one does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from certledger.eventstore.certificates import describe_certificate
from certledger.projections.verifying.certificate import CertificateCheck, issuer_bytes
from certledger.testing.certificates import der, make_ca, make_certificate, name_of, pem, shared_key


def long_issuer() -> x509.Certificate:
    """A name of more than 255 bytes: its length takes three octets."""
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 60) for _ in range(6)]
    key = shared_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name_of("long"))
        .issuer_name(x509.Name(units))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )


CERTIFICATES = [
    make_certificate(serial=1),
    make_certificate("ü" * 30, serial=2**159 - 1),
    make_certificate(None, serial=3, with_aki=False),
    make_ca("Another CA").issue("x", serial=4),
    make_ca().certificate,
    long_issuer(),
]


def test_the_bytes_of_the_issuer_are_found() -> None:
    for certificate in CERTIFICATES:
        assert issuer_bytes(der(certificate)) == certificate.issuer.public_bytes()


@pytest.mark.parametrize("again", [False, True])
def test_what_is_described_has_no_findings(again: bool) -> None:
    check = CertificateCheck()
    for certificate in CERTIFICATES * (1 + again):
        assert list(check.check(0, describe_certificate(certificate))) == []


def test_an_issuer_is_not_taken_for_the_one_before() -> None:
    check = CertificateCheck()
    first, other = CERTIFICATES[0], CERTIFICATES[3]
    assert list(check.check(0, describe_certificate(first))) == []
    misstated = describe_certificate(other).model_copy(
        update={"issuer": describe_certificate(first).issuer}
    )
    (found,) = check.check(1, misstated)
    assert found.message.startswith("issuer is 'O=Example,CN=Test CA', the certificate says ")
    assert (found.seq, found.serial) == (1, 4)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + text,
        lambda text: "hello\n" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "", 2).replace("-----M", "-----\nM"),
    ],
)
def test_a_certificate_that_is_written_otherwise_is_found(spelled: Any) -> None:
    data = describe_certificate(CERTIFICATES[0])
    odd = data.model_copy(update={"certificate_pem": spelled(pem(CERTIFICATES[0]).decode())})
    (found,) = CertificateCheck().check(0, odd)
    assert found.kind == "certificate"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        "ä",
    ],
)
def test_what_is_no_certificate_is_found(text: str) -> None:
    odd = describe_certificate(CERTIFICATES[0]).model_copy(update={"certificate_pem": text})
    (found,) = CertificateCheck().check(0, odd)
    assert found.kind == "certificate"
    assert found.message.isprintable()
