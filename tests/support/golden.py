"""One event of every type and version as it was first written, with the name of its golden file.

The files in `tests/eventstore/golden` are the promise that stored bytes never change: nothing in
this repository writes them. For a new type, or a new version of one, add an event here, look at
what `to_entry()` gives, write that to the file by hand, and pin its leaf hash in
`tests/eventstore/test_golden.py`. An existing file is never touched again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certledger.eventstore.event import Event, make_event
from certledger.eventstore.events import (
    CrlPublished,
    Deleted,
    EventData,
    Expired,
    Issued,
    Revoked,
)

FOLDER = Path(__file__).resolve().parent.parent / "eventstore" / "golden"

FULL_PEM = """\
-----BEGIN CERTIFICATE-----
MIIBZTCCAQqgAwIBAgIKSp2OLxC3xjVBgjAKBggqhkjOPQQDAjAmMRIwEAYDVQQD
DAlHb2xkZW4gQ0ExEDAOBgNVBAoMB0V4YW1wbGUwHhcNMjYwMTAxMDAwMDAwWhcN
MjYwNDAxMDAwMDAwWjAjMSEwHwYDVQQDDBhab8OrIOKAnM+A4oCdIFwg8J+UkCAi
eCIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQg5apI/fsDIz7y7xdq/E7Rk4mW
ua8tr+u98pHiOmRk9y2Af1twGmLqHyH5IEl9QcfUM2dS436jmB6TQiPQ6c3QoyMw
ITAfBgNVHSMEGDAWgBTskopV+hfroWMXHUXdsggj2vGoLTAKBggqhkjOPQQDAgNJ
ADBGAiEA1LOdjhyxUSFSZga2xy44bmT9I5HEiBwXdT1BPAxxBmECIQDWHd6Yz2Xt
ok5ex7AL81bjY5GMg56LAbm73zBk7h/A7A==
-----END CERTIFICATE-----
"""
"""A name with every kind of character, and an AKI."""

BARE_PEM = """\
-----BEGIN CERTIFICATE-----
MIHvMIGVoAMCAQICAQEwCgYIKoZIzj0EAwIwADAgFw01MDAxMDEwMDAwMDBaGA85
OTk5MTIzMTIzNTk1OVowADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABInTAkSH
+gZMtDWcsmElj3TPNJoArPOan4Inct1ZCV/6CLBNI2yzRg0uRt9uL2mn+0Rf9XLQ
VuQh2xERbKaf3pgwCgYIKoZIzj0EAwIDSQAwRgIhANgwvPUx/xURPKZQI0BgaYD2
5nElw8LXlWaihebJomodAiEA1PL28nsUo0CsSblkjFEfX7BcnxfK7Ug7A2mR2zHA
QkU=
-----END CERTIFICATE-----
"""
"""No names, no extensions, valid from 1950 to 9999."""

SERIAL = "352361503977984927023490"
CRL_STREAM = "crl/ec928a55fa17eba163171d45ddb20823daf1a82d"

_OPTIONAL: dict[str, Any] = {
    "clocktime": datetime(2026, 1, 31, 23, 59, 57, 250_000, tzinfo=UTC),
    "timesource": "notbefore",
    "correlationid": "CHG-1234",
    "causationid": "ticket/5678 é",
    "extensions": {
        "importsource": "pem sha256:00ff line 7 \N{LOCK}",
        "importline": -2_147_483_648,
        "dryrun": False,
        "x2": True,
    },
}
_COMMENT = (
    'Left the company: "CHG-1234" \\ /\r\n\tsecond line \x1b[0m \x7f\N{LINE SEPARATOR}\N{LOCK}'
)


def _event(data: EventData, subject: str, **attributes: Any) -> Event:
    known: dict[str, Any] = {
        "recorded": datetime(2026, 1, 31, 23, 59, 59, 1, tzinfo=UTC),
        "occurred": None,
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "source": "certledger.invalid/0f8fad5b",
        "subject": subject,
        "sequence": "00000000000000000000",
        "streamversion": 0,
        "authtype": "user",
        "authid": "alice",
    }
    return make_event(data=data, **known | attributes)


def _full(data: EventData, subject: str = f"certificate/{SERIAL}", **attributes: Any) -> Event:
    """An event with every optional attribute."""
    known: dict[str, Any] = {
        "source": "registry.example.org/ca-1~2",
        "sequence": "00009007199254740991",
        "streamversion": 2_147_483_647,
        "authtype": "service_account",
        "authid": "zoë@example.org",
    }
    return _event(data, subject, **known | _OPTIONAL | attributes)


GOLDEN: dict[str, Event] = {
    "certledger.certificate.issued.v1": _full(
        Issued(
            serial_number=SERIAL,
            common_name='Zoë “π” \\ \N{CLOSED LOCK WITH KEY} "x"',
            not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
            not_valid_after=datetime(2026, 4, 1, tzinfo=UTC),
            key_type="service",  # type: ignore[arg-type] # as JSON has it
            uuid="0f8fad5b/é",
            issuer="O=Example,CN=Golden CA",
            authority_key_identifier="ec928a55fa17eba163171d45ddb20823daf1a82d",
            sha256="bef267ccda569a137592ae178b8307a4b349d443db8ec399300fe4c482d6303d",
            certificate_pem=FULL_PEM,
            comment=_COMMENT,
        ),
        occurred=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    "certledger.certificate.issued.v1.required": _event(
        Issued(
            serial_number="1",
            common_name="",
            not_valid_before=datetime(1950, 1, 1, tzinfo=UTC),
            not_valid_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
            key_type="device",  # type: ignore[arg-type] # as JSON has it
            sha256="1bfbed5e7ddd32f4a2ab6b74b2877f0fb2821675d5b2765142e36ec1f4432a14",
            certificate_pem=BARE_PEM,
        ),
        "certificate/1",
    ),
    "certledger.certificate.revoked.v1": _full(
        Revoked(
            serial_number=SERIAL,
            reason="certificateHold",
            reason_code=6,
            revocation_date=datetime(2026, 1, 30, 12, 0, 0, 500_000, tzinfo=UTC),
            invalidity_date=datetime(2026, 1, 29, tzinfo=UTC),
            hold_instruction="1.2.840.10040.2.3",
            requested_at=datetime(2026, 1, 30, 11, 0, 0, tzinfo=UTC),
            comment=_COMMENT,
        ),
    ),
    "certledger.certificate.revoked.v1.required": _event(
        Revoked(
            serial_number="-128",
            reason="unspecified",
            reason_code=0,
            revocation_date=datetime(2026, 1, 31, tzinfo=UTC),
        ),
        "certificate/-128",
        streamversion=1,
        sequence="00000000000000000001",
    ),
    "certledger.certificate.expired.v1": _full(
        Expired(
            serial_number=SERIAL,
            not_valid_after=datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC),
            comment=_COMMENT,
        ),
    ),
    "certledger.certificate.expired.v1.required": _event(
        Expired(serial_number="0", not_valid_after=datetime(2026, 1, 31, tzinfo=UTC)),
        "certificate/0",
        authtype="system",
    ),
    "certledger.certificate.deleted.v1": _full(
        Deleted(serial_number=SERIAL, uuid="0f8fad5b/é", comment=_COMMENT),
    ),
    "certledger.certificate.deleted.v1.required": _event(
        Deleted(serial_number=str(2**160 - 1)), f"certificate/{2**160 - 1}", authtype="api_key"
    ),
    "certledger.crl.published.v1": _full(
        CrlPublished(
            number=str(2**160 - 1),
            this_update=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC),
            next_update=datetime(2026, 2, 7, 23, 59, 59, tzinfo=UTC),
            sha256="c7" * 32,
            entries=9_007_199_254_740_991,
            log_size=9_007_199_254_740_991,
            issuer="O=Example,CN=Golden CA",
            comment=_COMMENT,
        ),
        CRL_STREAM,
    ),
    "certledger.crl.published.v1.required": _event(
        CrlPublished(
            number="0",
            this_update=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC),
            next_update=datetime(2026, 2, 7, 23, 59, 59, tzinfo=UTC),
            sha256="c7" * 32,
            entries=0,
            log_size=0,
            issuer="CN=Golden CA",
        ),
        "crl/5f",
        authtype="app_user",
    ),
}
"""The events, by the name of their file without `.json`."""


def golden_bytes(name: str) -> bytes:
    """Return the stored bytes of a golden event."""
    return (FOLDER / f"{name}.json").read_bytes()
