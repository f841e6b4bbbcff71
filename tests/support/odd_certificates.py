"""Certificates that no builder makes: odd serial numbers, put into the DER by hand.

Their signatures are wrong, which a registry does not look at.
"""

from __future__ import annotations

from cryptography import x509

from tests.support.certificates import der, make_certificate

_PLACE = 0x7F11223344556677


def with_serial(serial: int, common_name: str = "odd.example.org") -> bytes:
    """A certificate in DER with a serial of eight octets or zero, which may be negative."""
    if serial == 0:
        return der(make_certificate(common_name, serial=5)).replace(
            b"\x02\x01\x05", b"\x02\x01\x00", 1
        )
    content = serial.to_bytes(8, "big", signed=True)
    return der(make_certificate(common_name, serial=_PLACE)).replace(
        b"\x02\x08" + _PLACE.to_bytes(8, "big"), b"\x02\x08" + content, 1
    )


def load(data: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(data)
