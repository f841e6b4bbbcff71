"""Holding what an issued event states against the certificate in it.

The work of most of the time that verifying takes, so it goes a quick way where the certificate is
written as the registry writes it, and the plain one where it is not.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from cryptography import x509

from certledger.errors import InvalidCertificate
from certledger.eventstore.certificates import (
    authority_key_identifier,
    certificate_fields,
    common_name,
    load_certificate,
)
from certledger.eventstore.events import Issued
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import shown, told

_BEGIN: Final = "-----BEGIN CERTIFICATE-----\n"
_END: Final = "-----END CERTIFICATE-----\n"
_LINE: Final = 64
_EXPLICIT_VERSION: Final = 0xA0
_MOST_ISSUERS: Final = 1_000


class CertificateCheck:
    """Checks the data of issued events."""

    def __init__(self) -> None:
        self._issuers: dict[bytes, str | None] = {}
        """DER of a name to its text: a registry has few issuers and many certificates."""

    def check(self, seq: int, data: Issued) -> Iterator[Finding]:
        """Report every field that the certificate contradicts."""
        try:
            fields = self._fields(data.certificate_pem)
        except InvalidCertificate as error:
            yield Finding("finding", "certificate", seq, told(error), data.serial)
            return
        for name, found in fields.items():
            stated = getattr(data, name)
            if stated != found:
                message = f"{name} is {shown(stated)}, the certificate says {shown(found)}"
                yield Finding("finding", "certificate", seq, message, data.serial)

    def _fields(self, pem: str) -> dict[str, object]:
        """Return what `certificate_fields` does."""
        der = _der_of(pem)
        if der is None:
            return certificate_fields(load_certificate(pem))
        try:
            certificate = x509.load_der_x509_certificate(der)
            return {
                "serial_number": str(certificate.serial_number),
                "common_name": common_name(certificate) or "",
                "not_valid_before": certificate.not_valid_before_utc,
                "not_valid_after": certificate.not_valid_after_utc,
                "issuer": self._issuer(certificate, der),
                "authority_key_identifier": authority_key_identifier(certificate),
                "sha256": sha256(der).hexdigest(),
            }
        except (ValueError, TypeError, x509.InvalidVersion):
            return certificate_fields(load_certificate(pem))

    def _issuer(self, certificate: x509.Certificate, der: bytes) -> str | None:
        name = issuer_bytes(der)
        if name not in self._issuers:
            if len(self._issuers) == _MOST_ISSUERS:
                self._issuers.clear()
            self._issuers[name] = certificate.issuer.rfc4514_string() or None
        return self._issuers[name]


def _der_of(pem: str) -> bytes | None:
    """Return the bytes in a PEM text, None for one that the registry would write otherwise."""
    try:
        der = a2b_base64(pem[len(_BEGIN) : -len(_END)])
    except (Error, ValueError):
        return None
    text = b2a_base64(der, newline=False).decode("ascii")
    lines = "\n".join([text[at : at + _LINE] for at in range(0, len(text), _LINE)])
    return der if pem == f"{_BEGIN}{lines}\n{_END}" else None


def issuer_bytes(der: bytes) -> bytes:
    """Return the issuer's name in a certificate that `cryptography` has read (RFC 5280 §4.1)."""
    at, _ = _content(der, 0)  # Certificate
    at, _ = _content(der, at)  # TBSCertificate
    if der[at] == _EXPLICIT_VERSION:
        at = _content(der, at)[1]
    at = _content(der, at)[1]  # the serial number
    at = _content(der, at)[1]  # the signature's algorithm
    return der[at : _content(der, at)[1]]


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at a place begins and ends (X.690 §8.1.3)."""
    length = der[at + 1]
    begin = at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[begin : begin + octets])
        begin += octets
    return begin, begin + length
