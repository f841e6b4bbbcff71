"""Certificates that no library would make: DER with some of its bytes replaced.

The signature no longer fits, which nothing that reads a certificate's fields looks at.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certledger.testing.certificates import der, make_ca, make_certificate, shared_key


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes that occur once by as many others."""
    assert data.count(old) == 1
    assert len(old) == len(new)
    return data.replace(old, new)


def with_serial(content: bytes) -> bytes:
    """DER of a certificate whose serial number has these content octets."""
    stand_in = b"\x55" * min(len(content), 20)
    data = der(make_certificate(serial=int.from_bytes(stand_in, "big")))
    patch = replaced if len(content) == len(stand_in) else _one_longer
    return patch(data, _integer(stand_in), _integer(content))


def with_common_name(tag: int, content: bytes) -> bytes:
    """DER of a certificate whose CN has this ASN.1 tag and these octets."""
    stand_in = b"Q" * len(content)
    data = der(make_certificate(stand_in.decode("ascii")))
    length = bytes([len(content)])
    return replaced(data, b"\x0c" + length + stand_in, bytes([tag]) + length + content)


def with_version(version: int) -> bytes:
    """DER of a certificate with this version field (2 is v3)."""
    # [0] EXPLICIT INTEGER, RFC 5280 §4.1
    return replaced(
        der(make_certificate()), b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version])
    )


def with_extensions(*extensions: x509.ExtensionType) -> x509.Certificate:
    """A certificate with these extensions only."""
    ca = make_ca()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.certificate.subject)
        .public_key(shared_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 4, 1, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def _integer(content: bytes) -> bytes:
    return b"\x02" + bytes([len(content)]) + content


def _one_longer(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes in the inner of the two outermost SEQUENCEs by one byte more."""
    assert len(new) == len(old) + 1
    assert data[0:2] == data[4:6] == b"\x30\x82", "both lengths in two octets"
    outer, inner = int.from_bytes(data[2:4], "big"), int.from_bytes(data[6:8], "big")
    lengthened = data[8:].replace(old, new, 1)
    return (
        b"\x30\x82"
        + (outer + 1).to_bytes(2, "big")
        + b"\x30\x82"
        + (inner + 1).to_bytes(2, "big")
        + lengthened
    )
