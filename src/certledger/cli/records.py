"""How a certificate's record is shown: in listings, and in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from rich.text import Text

from certledger.cli.output import Listing
from certledger.cli.text import day, iso, moment, safe, serial_fields, serial_text
from certledger.errors import InvalidCertificate
from certledger.eventstore.certificates import load_certificate
from certledger.eventstore.reasons import NAME_BY_CODE
from certledger.projections.models import CertificateRecord

COLUMNS: Final = (
    "serial_number",
    "serial_hex",
    "common_name",
    "status",
    "key_type",
    "not_valid_before",
    "not_valid_after",
    "revocation_date",
    "revocation_reason",
    "revocation_reason_name",
    "uuid",
)
STATUS_STYLES: Final = {"valid": "green", "revoked": "red", "expired": "yellow"}


def record_fields(record: CertificateRecord) -> dict[str, object]:
    """Return a record as the JSON listings give it: `COLUMNS`, null where there is no value."""
    return {
        **serial_fields(record.serial_number),
        "common_name": record.common_name,
        "status": record.status,
        "key_type": record.key_type,
        "not_valid_before": iso(record.not_valid_before),
        "not_valid_after": iso(record.not_valid_after),
        "revocation_date": iso(record.revocation_date),
        "revocation_reason": record.revocation_reason,
        "revocation_reason_name": _reason(record),
        "uuid": record.uuid,
    }


def full_fields(record: CertificateRecord) -> dict[str, object]:
    """Return a record with what only its certificate tells: issuer, fingerprint and the PEM."""
    issuer, sha256 = _from_certificate(record)
    return {
        **record_fields(record),
        "issuer": issuer,
        "sha256": sha256,
        "certificate_pem": record.certificate_pem,
    }


def listing(empty: str) -> Listing[CertificateRecord]:
    """Return how records are listed."""
    return Listing(
        headings=("serial", "certificate", "status"),
        cells=_cells,
        fields=record_fields,
        columns=COLUMNS,
        empty=empty,
    )


def _cells(record: CertificateRecord) -> tuple[str, Text, Text]:
    # Two lines a record: the digits of a serial number leave little room beside them.
    number = serial_fields(record.serial_number)
    name = Text(safe(record.common_name) or "(no common name)")
    kind = f"{record.key_type} {record.uuid or ''}".rstrip()
    return (
        safe(f"{number['serial_number']}") + f"\n{number['serial_hex'] or ''}",
        name.append(f"\n{safe(kind)}", "dim"),
        Text.assemble(
            (safe(record.status), STATUS_STYLES.get(record.status, "")),
            (f"\n{safe(_dates(record))}", "dim"),
        ),
    )


def _dates(record: CertificateRecord) -> str:
    if record.revocation_date is not None:
        return f"{day(record.revocation_date)} {_reason(record) or ''}".rstrip()
    return f"to {day(record.not_valid_after)}"


def _reason(record: CertificateRecord) -> str | None:
    code = record.revocation_reason
    return None if code is None else NAME_BY_CODE.get(code, str(code))


def details(record: CertificateRecord) -> Iterator[tuple[str, str]]:
    """Yield labels and values of one certificate for a reader."""
    issuer, sha256 = _from_certificate(record)
    yield "serial", _both(record.serial_number)
    yield "common name", record.common_name or "(none)"
    yield "status", record.status
    if record.revocation_date is not None:
        yield "revoked", f"{moment(record.revocation_date)}, {_reason(record) or 'no reason'}"
    yield "type", record.key_type
    yield "valid from", moment(record.not_valid_before)
    yield "valid until", moment(record.not_valid_after)
    yield "issuer", issuer or "(unreadable)"
    yield "SHA-256", sha256 or "(unreadable)"
    yield "uuid", record.uuid or "(none)"


def _both(serial: str) -> str:
    try:
        return serial_text(int(serial))
    except ValueError:
        return serial


def _from_certificate(record: CertificateRecord) -> tuple[str | None, str | None]:
    # The row may have been edited by anybody: what cannot be read is left out.
    try:
        certificate = load_certificate(record.certificate_pem)
        issuer = certificate.issuer.rfc4514_string()
    except (InvalidCertificate, ValueError, x509.InvalidVersion):
        return None, None
    return issuer, certificate.fingerprint(hashes.SHA256()).hex()
