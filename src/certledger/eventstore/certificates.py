"""From an X.509 certificate to the data of its issued event."""

from __future__ import annotations

import hashlib
import re

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certledger.errors import InvalidCertificate, InvalidEvent, InvalidValue
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.events import Issued, validated


def load_certificate(source: x509.Certificate | bytes | str) -> x509.Certificate:
    """Return a certificate from itself, its DER bytes, or its PEM text.

    Raises `InvalidCertificate`.
    """
    if isinstance(source, x509.Certificate):
        return source
    try:
        data = source.encode() if isinstance(source, str) else source
        if b"-----BEGIN" in data and not _is_der(data):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        message = f"not a certificate in PEM or DER: {error}"
        raise InvalidCertificate(message) from error


def _is_der(data: bytes) -> bool:
    """Tell DER, whose extensions may hold any text, even another certificate's PEM, from text.

    A SEQUENCE of more than 127 bytes begins so, and no text in UTF-8 does.
    """
    return data[:1] == b"\x30" and data[1:2] >= b"\x80"


def describe_certificate(
    certificate: x509.Certificate,
    *,
    key_type: object = CertType.DEVICE,
    uuid: object = None,
    comment: str | None = None,
) -> Issued:
    """Read from a certificate what its issued event records.

    The common name is the first CN of the subject, "" where there is none; a CN of bytes is read
    as UTF-8. An empty `uuid` is refused, other objects than text are taken by `str()`.

    Raises `InvalidCertificate` for a certificate that cannot be recorded, `InvalidValue` for an
    unknown key type or a bad uuid.
    """
    kind = CertType.parse(key_type)
    if uuid is not None:
        uuid = _check_uuid(str(uuid))
    fields = certificate_fields(certificate)
    given = {"key_type": kind, "uuid": uuid, "comment": comment or None}
    try:
        return validated(Issued, fields | given)
    except InvalidEvent as error:
        message = f"the certificate cannot be recorded: {error}"
        raise InvalidCertificate(message) from error


def certificate_fields(certificate: x509.Certificate) -> dict[str, object]:
    """Return what an issued event states that follows from the certificate alone.

    Raises `InvalidCertificate` where the certificate cannot be read.
    """
    try:
        der = certificate.public_bytes(Encoding.DER)
        return {
            "serial_number": str(certificate.serial_number),
            "common_name": common_name(certificate) or "",
            "not_valid_before": certificate.not_valid_before_utc,
            "not_valid_after": certificate.not_valid_after_utc,
            "issuer": certificate.issuer.rfc4514_string() or None,
            "authority_key_identifier": authority_key_identifier(certificate),
            "sha256": hashlib.sha256(der).hexdigest(),
            "certificate_pem": certificate.public_bytes(Encoding.PEM).decode("ascii"),
        }
    except (ValueError, TypeError) as error:
        message = f"the certificate cannot be read: {error}"
        raise InvalidCertificate(message) from error


def common_name(certificate: x509.Certificate) -> str | None:
    """Return the first CN of the subject, None where there is none.

    Raises `ValueError` where the name cannot be read.
    """
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    value = names[0].value
    return value.decode("utf-8") if isinstance(value, bytes) else value


def authority_key_identifier(certificate: x509.Certificate) -> str | None:
    """Return the keyid of the AKI extension in hex, None where there is none or where a malformed
    extension keeps `cryptography` from reading them.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return None
    identifier = extension.value.key_identifier
    return identifier.hex() if identifier else None


def _check_uuid(uuid: str) -> str:
    if not 0 < len(uuid) <= _MAX_UUID or _NOT_IN_UUID.search(uuid):
        message = f"uuid: 1 to {_MAX_UUID} characters without NUL and lone surrogates are allowed"
        raise InvalidValue(message)
    return uuid


_MAX_UUID = 255
_NOT_IN_UUID = re.compile("[\0\ud800-\udfff]")
