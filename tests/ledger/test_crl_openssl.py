"""OpenSSL reads our CRLs as we mean them, and decides by them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from certledger import Ledger
from certledger.crl_issuer import PrivateKey
from certledger.testing.certificates import make_ca
from certledger.testing.clock import FakeClock
from tests.support.crl import ca_certificate, constraints, key_usage, leaf, sign
from tests.support.openssl import crl_text, needs_openssl, verify

pytestmark = needs_openssl
CA = make_ca()

OPENSSL_REASONS = {
    "keyCompromise": "Key Compromise",
    "cACompromise": "CA Compromise",
    "affiliationChanged": "Affiliation Changed",
    "superseded": "Superseded",
    "cessationOfOperation": "Cessation Of Operation",
    "certificateHold": "Certificate Hold",
    "privilegeWithdrawn": "Privilege Withdrawn",
    "aACompromise": "AA Compromise",
}


def lines_of(crl: x509.CertificateRevocationList) -> list[str]:
    return [line.strip() for line in crl_text(crl).splitlines()]


def after(lines: list[str], line: str) -> str:
    return lines[lines.index(line) + 1]


def test_it_reads_number_key_and_dates(ledger: Ledger, clock: FakeClock) -> None:
    clock.now = datetime(2026, 11, 5, 7, 8, 9, 123456, tzinfo=UTC)
    lines = lines_of(sign(ledger, days=7, number=4711))
    assert "Version 2 (0x1)" in lines
    assert "Issuer: CN = Test CA, O = Example" in lines
    assert "Last Update: Nov  5 07:08:09 2026 GMT" in lines
    assert "Next Update: Nov 12 07:08:09 2026 GMT" in lines
    assert after(lines, "X509v3 CRL Number:") == "4711"
    key = CA.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert after(lines, "X509v3 Authority Key Identifier:") == key.value.digest.hex(":").upper()
    assert "No Revoked Certificates." in lines


@pytest.mark.parametrize("reason", OPENSSL_REASONS)
def test_it_reads_serial_reason_and_invalidity_date(
    ledger: Ledger, clock: FakeClock, reason: str
) -> None:
    ledger.issue(CA.issue(serial=0xABCDEF))
    ledger.revoke(
        0xABCDEF,
        reason,
        revocation_date=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        invalidity_date=datetime(2026, 1, 1, tzinfo=UTC),
    )
    lines = lines_of(sign(ledger))
    assert after(lines, "Serial Number: ABCDEF") == "Revocation Date: Feb  3 04:05:06 2026 GMT"
    assert after(lines, "X509v3 CRL Reason Code:") == OPENSSL_REASONS[reason]
    assert after(lines, "Invalidity Date:") == "Jan  1 00:00:00 2026 GMT"


def test_it_finds_no_reason_where_none_was_specified(ledger: Ledger) -> None:
    ledger.issue(CA.issue(serial=5))
    ledger.revoke(5)
    assert "X509v3 CRL Reason Code:" not in lines_of(sign(ledger))


def test_it_accepts_a_good_certificate_and_refuses_a_revoked_one(
    ledger: Ledger, tmp_path: Path
) -> None:
    good, bad, gone = (CA.issue() for _ in range(3))
    for certificate in (good, bad, gone):
        ledger.issue(certificate)
    ledger.revoke(bad.serial_number, "keyCompromise")
    ledger.revoke(gone.serial_number)
    ledger.delete(gone.serial_number)
    crl = sign(ledger)
    assert verify(tmp_path, good, CA.certificate, crl) == (True, f"{tmp_path}/leaf.pem: OK\n")
    for certificate in (bad, gone):
        accepted, said = verify(tmp_path, certificate, CA.certificate, crl)
        assert not accepted
        assert "certificate revoked" in said


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["RSA", "P-384", "P-521", "Ed25519", "Ed448"],
)
def test_it_checks_the_signature_of_every_kind_of_key(
    ledger: Ledger, tmp_path: Path, key: PrivateKey
) -> None:
    ca = ca_certificate(key, constraints(), key_usage(crl_sign=True))
    good, bad = leaf(ca.subject, key), leaf(ca.subject, key)
    for certificate in (good, bad):
        ledger.issue(certificate)
    ledger.revoke(bad.serial_number)
    crl = ledger.crl(ca, key).crl
    assert verify(tmp_path, good, ca, crl)[0]
    assert "certificate revoked" in verify(tmp_path, bad, ca, crl)[1]
