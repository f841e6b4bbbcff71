"""A CA that signs revocation lists: which certificates are its own, and with what it signs."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certledger.errors import InvalidCertificate, InvalidValue
from certledger.eventstore.certificates import authority_key_identifier

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
"""The kinds of key that sign a CRL."""


class Issuer:
    """A CA's certificate and its key."""

    def __init__(
        self, certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes
    ) -> None:
        """Check that the two belong together and may sign CRLs.

        Raises `InvalidValue` for a key of another kind or of another certificate, and for a
        certificate that may not sign: one of no CA (RFC 5280 §4.2.1.9), without a name (§5.1.2.3),
        or with a keyUsage that lacks cRLSign (§6.3.3 (f)). Raises `InvalidCertificate` for one
        whose key or extensions cannot be read.
        """
        if not isinstance(key, PrivateKey):
            message = f"a CRL is signed with an RSA, EC or EdDSA key, not a {type(key).__name__}"
            raise InvalidValue(message)
        public_key, extensions = _read(certificate)
        _check_key(public_key, key)
        _check_may_sign(certificate, extensions)
        by_method_1 = x509.SubjectKeyIdentifier.from_public_key(public_key).digest.hex()
        named = _extension(extensions, x509.SubjectKeyIdentifier)
        self.certificate = certificate
        self.key = key
        self.key_id = named.digest.hex() if named else by_method_1
        """The subject key identifier, in hex; where the certificate has none, SHA-1 of the public
        key (RFC 5280 §4.2.1.2, method 1)."""
        # Certificates may name the key by method 1 although the CA's names itself otherwise.
        self._key_ids = frozenset({self.key_id, by_method_1})
        self._subject = certificate.subject.public_bytes()

    @property
    def subject(self) -> str:
        """The stream in which this key's CRLs are recorded."""
        return f"crl/{self.key_id}"

    @property
    def name(self) -> str:
        """The CA's name in RFC 4514 form."""
        return self.certificate.subject.rfc4514_string()

    @property
    def hash_algorithm(self) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
        """The digest to sign: as strong as the curve; None where the algorithm has its own."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
            return None
        if isinstance(self.key, rsa.RSAPrivateKey) or self.key.key_size <= _BITS_OF_SHA256:
            return hashes.SHA256()
        return hashes.SHA384() if self.key.key_size <= _BITS_OF_SHA384 else hashes.SHA512()

    def issued(self, certificate: x509.Certificate) -> bool:
        """Tell whether this CA issued a certificate.

        Its issuer is this CA's name byte for byte, and its authority key identifier is this CA's
        key; where it has none, this CA's key verifies its signature.
        """
        if certificate.issuer.public_bytes() != self._subject:
            return False
        identifier = authority_key_identifier(certificate)
        if identifier is not None:
            return identifier in self._key_ids
        return self._verifies(certificate)

    def _verifies(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        except UnsupportedAlgorithm:
            # Nobody can tell. Listing the serial of another CA's certificate harms nobody (no
            # certificate of this registry has it too), leaving out a revoked one does.
            return True
        return True


_BITS_OF_SHA256 = 256
_BITS_OF_SHA384 = 384


def _read(certificate: x509.Certificate) -> tuple[CertificatePublicKeyTypes, x509.Extensions]:
    try:
        return certificate.public_key(), certificate.extensions
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        message = f"the CA's certificate cannot be read: {error}"
        raise InvalidCertificate(message) from error


def _check_key(public_key: CertificatePublicKeyTypes, key: PrivateKey) -> None:
    held, named = (
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (key.public_key(), public_key)
    )
    if held != named:
        message = (
            "the key is not that of the CA's certificate: the public key of the certificate has "
            f"SHA-256 {_short(named)}, that of the key {_short(held)}"
        )
        raise InvalidValue(message)


def _check_may_sign(certificate: x509.Certificate, extensions: x509.Extensions) -> None:
    name = certificate.subject.rfc4514_string()
    if not name:
        message = "the CA's certificate has no subject, so a CRL of it could not name its issuer"
        raise InvalidValue(message)
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is not None and not constraints.ca:
        message = f"the certificate of {name!r} is not that of a CA"
        raise InvalidValue(message)
    usage = _extension(extensions, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        message = (
            f"the CA {name!r} may not sign CRLs: the keyUsage of its certificate lacks cRLSign "
            "(RFC 5280 §6.3.3)"
        )
        raise InvalidValue(message)


Kind = TypeVar("Kind", bound=x509.ExtensionType)


def _extension(extensions: x509.Extensions, kind: type[Kind]) -> Kind | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _short(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:16] + "…"
