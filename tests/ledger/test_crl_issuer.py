"""Who may sign a CRL, with what, and whose certificates are whose."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certledger.crl_issuer import Issuer, PrivateKey
from certledger.errors import InvalidValue
from certledger.testing.certificates import make_ca, name_of, shared_key
from tests.support.crl import ca_certificate, constraints, key_usage, leaf

CA = make_ca()
ISSUER = Issuer(CA.certificate, CA.key)
NAME = CA.certificate.subject


def method_1(key: PrivateKey) -> str:
    """SHA-1 of the subjectPublicKey's bits (RFC 5280 §4.2.1.2, method 1)."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return hashlib.sha1(point).hexdigest()


def test_the_stream_is_named_for_the_subject_key_identifier() -> None:
    certificate = ca_certificate(CA.key, x509.SubjectKeyIdentifier(b"\x01\xab"))
    issuer = Issuer(certificate, CA.key)
    assert issuer.key_id == "01ab"
    assert issuer.subject == "crl/01ab"


def test_without_a_subject_key_identifier_the_stream_is_named_for_the_keys_sha_1() -> None:
    issuer = Issuer(ca_certificate(CA.key), CA.key)
    assert issuer.key_id == method_1(CA.key)


def test_the_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(InvalidValue, match="the key is not that of the CA's certificate"):
        Issuer(CA.certificate, shared_key("another"))


def test_a_key_usage_without_crl_sign_is_refused() -> None:
    certificate = ca_certificate(CA.key, constraints(), key_usage(crl_sign=False))
    with pytest.raises(InvalidValue, match="lacks cRLSign"):
        Issuer(certificate, CA.key)


def test_a_key_usage_with_crl_sign_and_no_key_usage_are_taken() -> None:
    for extension in (key_usage(crl_sign=True), constraints()):
        issuer = Issuer(ca_certificate(CA.key, extension), CA.key)
        assert issuer.key is CA.key


def test_a_certificate_that_is_not_a_cas_is_refused() -> None:
    with pytest.raises(InvalidValue, match="is not that of a CA"):
        Issuer(ca_certificate(CA.key, constraints(ca=False)), CA.key)


def test_a_ca_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidValue, match="has no subject"):
        Issuer(ca_certificate(CA.key, name=x509.Name([])), CA.key)


def test_a_kind_of_key_that_signs_no_crl_is_refused() -> None:
    key = dsa.generate_private_key(2048)
    with pytest.raises(InvalidValue, match="RSA, EC or EdDSA"):
        Issuer(CA.certificate, key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (rsa.generate_private_key(65537, 2048), hashes.SHA256),
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384),
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512),
        (ed25519.Ed25519PrivateKey.generate(), type(None)),
        (ed448.Ed448PrivateKey.generate(), type(None)),
    ],
    ids=["RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"],
)
def test_the_digest_is_as_strong_as_the_key(key: PrivateKey, expected: type) -> None:
    issuer = Issuer(ca_certificate(key), key)
    assert type(issuer.hash_algorithm) is expected


def test_a_certificate_with_the_cas_name_and_key_identifier_is_its_own() -> None:
    assert ISSUER.issued(CA.issue())


def test_a_certificate_with_another_issuers_name_is_not() -> None:
    certificate = leaf(name_of("Another CA"), CA.key, aki=bytes.fromhex(ISSUER.key_id))
    assert not ISSUER.issued(certificate)


def test_a_name_of_the_same_letters_in_another_encoding_is_another_name() -> None:
    printable = x509.Name(
        [
            x509.NameAttribute(part.oid, str(part.value), x509.name._ASN1Type.PrintableString)
            for part in NAME
        ]
    )
    assert printable == NAME
    assert not ISSUER.issued(leaf(printable, CA.key, aki=bytes.fromhex(ISSUER.key_id)))


def test_a_certificate_of_the_same_name_but_another_key_is_not() -> None:
    assert not ISSUER.issued(leaf(NAME, shared_key("another"), aki=b"\x05"))


def test_a_certificate_without_key_identifier_is_its_own_when_the_signature_says_so() -> None:
    assert ISSUER.issued(leaf(NAME, CA.key))
    assert not ISSUER.issued(leaf(NAME, shared_key("another")))


def test_a_key_may_be_named_by_its_sha_1_though_the_ca_names_it_otherwise() -> None:
    issuer = Issuer(ca_certificate(CA.key, x509.SubjectKeyIdentifier(b"\x01\xab")), CA.key)
    assert issuer.issued(leaf(NAME, CA.key, aki=b"\x01\xab"))
    assert issuer.issued(leaf(NAME, CA.key, aki=bytes.fromhex(method_1(CA.key))))
