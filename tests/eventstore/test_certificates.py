"""What an issued event says of a certificate, and which input is none."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidCertificate, InvalidValue, LedgerError
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.certificates import (
    authority_key_identifier,
    common_name,
    describe_certificate,
    load_certificate,
)
from certledger.eventstore.events import Issued
from certledger.testing.certificates import der, make_ca, make_certificate, name_of, pem
from tests.support.golden import BARE_PEM
from tests.support.patched import with_common_name, with_extensions, with_serial, with_version

# `cryptography` warns of names outside of RFC 5280's bounds, and of zero and negative serials.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be"),
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
]

CERTIFICATE = make_certificate()
AKI = x509.AuthorityKeyIdentifier.from_issuer_public_key(make_ca().key.public_key())


def describe(data: bytes) -> Issued:
    return describe_certificate(load_certificate(data))


# Input


def test_a_certificate_is_taken_as_object_der_pem_and_text() -> None:
    assert load_certificate(CERTIFICATE) is CERTIFICATE
    for source in (der(CERTIFICATE), pem(CERTIFICATE), pem(CERTIFICATE).decode()):
        assert load_certificate(source) == CERTIFICATE


def test_pem_may_have_text_before_it_and_windows_line_ends() -> None:
    data = b"subject=CN = d\xc3\xa9vice\n\n" + pem(CERTIFICATE)
    assert load_certificate(data) == CERTIFICATE
    assert load_certificate(data.replace(b"\n", b"\r\n")) == CERTIFICATE


def test_der_is_der_even_when_an_extension_holds_another_certificate_s_pem() -> None:
    smuggled = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), pem(CERTIFICATE)
    )
    outer = with_extensions(smuggled)
    assert load_certificate(der(outer)) == outer


BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
GARBAGE: dict[str, object] = {
    "nothing": b"",
    "no text": "",
    "text": "a certificate",
    "half of a surrogate pair": "\ud800" + pem(CERTIFICATE).decode(),
    "zeros": bytes(300),
    "truncated DER": der(CERTIFICATE)[:-1],
    "DER with a byte more": der(CERTIFICATE) + b"\0",
    "truncated PEM": pem(CERTIFICATE)[:200],
    "PEM without its end": pem(CERTIFICATE).replace(END, b""),
    "garbled PEM": pem(CERTIFICATE).replace(b"M", b"*"),
    "empty PEM": BEGIN + END,
    "PEM of nonsense": BEGIN + b"AAAA\n" + END,
    "PEM of something else": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "DER of something else": bytes.fromhex("300506032b6570"),
    "UTF-16": pem(CERTIFICATE).decode().encode("utf-16"),
    "base64 alone": b"".join(pem(CERTIFICATE).splitlines()[1:-1]),
    "None": None,
    "a number": 7,
    "a list": [der(CERTIFICATE)],
}


@pytest.mark.parametrize("source", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_certificate_is_refused(source: object) -> None:
    with pytest.raises(InvalidCertificate, match=r"^not a certificate in PEM or DER: "):
        load_certificate(source)  # type: ignore[arg-type] # what a caller without types may pass


@pytest.mark.parametrize("version", [1, 3, 127])
def test_a_version_that_does_not_exist_is_refused(version: int) -> None:
    with pytest.raises(InvalidCertificate, match=f"{version} is not a valid X509 version"):
        load_certificate(with_version(version))


@pytest.mark.filterwarnings("ignore:The parsed certificate")
@given(st.data())
def test_damaged_der_is_described_or_refused_as_invalid(draw: st.DataObject) -> None:
    data = bytearray(der(CERTIFICATE))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidCertificate):
        describe(bytes(data))


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: BEGIN + data + END))
def test_arbitrary_bytes_are_refused_as_invalid(data: bytes) -> None:
    with pytest.raises(InvalidCertificate):
        load_certificate(data)


# Fields


def test_the_fields_are_the_certificate_s() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    certificate = make_certificate("device.example.org", serial=4711, start=start, end=end)
    described = describe_certificate(
        certificate, key_type="SVC", uuid="folder-1", comment="CHG-1234"
    )
    assert described == Issued(
        serial_number="4711",
        common_name="device.example.org",
        not_valid_before=start,
        not_valid_after=end,
        key_type=CertType.SERVICE,
        uuid="folder-1",
        issuer="O=Example,CN=Test CA",
        authority_key_identifier=(AKI.key_identifier or b"").hex(),
        sha256=hashlib.sha256(der(certificate)).hexdigest(),
        certificate_pem=pem(certificate).decode(),
        comment="CHG-1234",
    )


def test_without_more_it_is_a_device_s_without_uuid_and_comment() -> None:
    described = describe_certificate(CERTIFICATE)
    assert described.key_type is CertType.DEVICE
    assert {"uuid", "comment"}.isdisjoint(described.fields())
    assert "comment" not in describe_certificate(CERTIFICATE, comment="").fields()


def test_the_recorded_pem_is_read_as_the_same_certificate() -> None:
    described = describe_certificate(CERTIFICATE)
    assert load_certificate(described.certificate_pem) == CERTIFICATE


def test_an_unknown_key_type_is_refused() -> None:
    with pytest.raises(InvalidValue, match="unknown key type 'server'"):
        describe_certificate(CERTIFICATE, key_type="server")


def test_a_uuid_is_any_text_of_up_to_255_characters() -> None:
    some = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
    for uuid in ("x", "x" * 255, "Ordner é/\n", some):
        assert describe_certificate(CERTIFICATE, uuid=uuid).uuid == str(uuid)


@pytest.mark.parametrize("uuid", ["", "x" * 256, "a\x00b", "\ud800"])
def test_another_uuid_is_refused(uuid: str) -> None:
    with pytest.raises(InvalidValue, match=r"^uuid: 1 to 255 characters") as caught:
        describe_certificate(CERTIFICATE, uuid=uuid)
    assert type(caught.value) is InvalidValue


# Common names


def test_a_subject_without_cn_has_no_name() -> None:
    certificate = make_certificate(None)
    assert common_name(certificate) is None
    assert describe_certificate(certificate).common_name == ""


def test_an_empty_cn_is_an_empty_name() -> None:
    certificate = make_certificate("")
    assert common_name(certificate) == ""
    assert describe_certificate(certificate).common_name == ""


def test_the_first_of_several_cns_counts() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, "first"),
            x509.NameAttribute(NameOID.COMMON_NAME, "second"),
        ]
    )
    assert common_name(make_certificate(subject=subject)) == "first"


@pytest.mark.parametrize(
    "name", ["Zoë “π” 🔐", "\u202eltr", "a" * 512, "é" * 512, "\x1b[31mred\x1b[0m", "a\nb", "\x7f"]
)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert describe(der(make_certificate(name))).common_name == name


def test_a_name_of_513_characters_is_refused() -> None:
    with pytest.raises(InvalidCertificate, match=r"common_name: .* at most 512 characters"):
        describe(der(make_certificate("a" * 513)))


def test_a_name_with_nul_is_refused() -> None:
    with pytest.raises(InvalidCertificate, match="common_name: holds a NUL character"):
        describe(der(make_certificate("a\x00b")))


PRINTABLE, T61, IA5, UNIVERSAL, BMP = 0x13, 0x14, 0x16, 0x1C, 0x1E


@pytest.mark.parametrize(
    ("tag", "content", "name"),
    [
        (PRINTABLE, b"device", "device"),
        (T61, b"device", "device"),
        (T61, "Zoë".encode(), "Zoë"),
        (IA5, b"device@example.org", "device@example.org"),
        (BMP, "Zoë".encode("utf-16-be"), "Zoë"),
        (UNIVERSAL, "🔐".encode("utf-32-be"), "🔐"),
    ],
)
def test_every_string_type_of_x_520_is_read(tag: int, content: bytes, name: str) -> None:
    assert describe(with_common_name(tag, content)).common_name == name


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        pytest.param(0x0C, b"\xff\xfe", id="bad UTF-8"),
        pytest.param(0x0C, b"\xed\xa0\x80", id="a surrogate in UTF-8"),
        pytest.param(BMP, b"\xd8\x00", id="a lone surrogate in UTF-16"),
        pytest.param(BMP, b"a", id="half of a character in UTF-16"),
        pytest.param(T61, "Zoë".encode("latin-1"), id="Latin-1"),
        pytest.param(0x02, b"\x01", id="an integer"),
        pytest.param(0x03, b"\x00device", id="bits"),
    ],
)
def test_a_name_that_cannot_be_read_is_refused(tag: int, content: bytes) -> None:
    with pytest.raises(InvalidCertificate):
        describe(with_common_name(tag, content))


def test_an_issuer_without_name_is_left_out() -> None:
    assert "issuer" not in describe_certificate(load_certificate(BARE_PEM)).fields()


# Authority key identifiers


def test_the_keyid_is_recorded_in_lower_case_hex() -> None:
    certificate = with_extensions(x509.AuthorityKeyIdentifier(b"\xab\xcd\x00", None, None))
    assert describe_certificate(certificate).authority_key_identifier == "abcd00"


def raw(oid: x509.ObjectIdentifier, content: str) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(oid, bytes.fromhex(content))


NO_KEYID: dict[str, list[x509.ExtensionType]] = {
    "no extension": [],
    "issuer and serial only": [
        x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name_of("CA"))], 1)
    ],
    "an empty sequence": [raw(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "3000")],
    "an empty keyid": [raw(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "30028000")],
    "garbage": [raw(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "ffff")],
    "nothing": [raw(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "")],
    "garbage in another extension": [AKI, raw(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "ffff")],
    # A SAN with an ediPartyName: legal, and cryptography reads none of the extensions then.
    "a name that is not supported": [
        AKI,
        raw(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "3004a5020c00"),
    ],
}


@pytest.mark.parametrize("extensions", NO_KEYID.values(), ids=NO_KEYID.keys())
def test_without_a_readable_keyid_it_is_left_out(extensions: list[x509.ExtensionType]) -> None:
    certificate = load_certificate(der(with_extensions(*extensions)))
    assert authority_key_identifier(certificate) is None
    assert "authority_key_identifier" not in describe_certificate(certificate).fields()


# Serial numbers and dates


@pytest.mark.parametrize(
    ("content", "serial"),
    [
        ("01", 1),
        ("7f" + "ff" * 19, 2**159 - 1),
        ("00" + "ff" * 20, 2**160 - 1),
        ("00" + "80" + "00" * 19, 2**159),
    ],
)
def test_a_serial_of_up_to_160_bits_is_recorded(content: str, serial: int) -> None:
    assert describe(with_serial(bytes.fromhex(content))).serial == serial


@pytest.mark.parametrize(
    ("content", "serial"),
    [("00", 0), ("ff", -1), ("80", -128), ("80" + "00" * 19, -(2**159))],
)
def test_zero_and_negative_serials_are_recorded_as_they_are(content: str, serial: int) -> None:
    """Trust stores hold them, against RFC 5280 §4.1.2.2."""
    described = describe(with_serial(bytes.fromhex(content)))
    assert described.serial == serial
    assert described.serial_number == str(serial)


@pytest.mark.parametrize("content", ["01" + "00" * 20, "7f" + "ff" * 20, "ff7f" + "ff" * 19])
def test_a_serial_of_more_bits_is_refused(content: str) -> None:
    with pytest.raises(InvalidCertificate, match="serial_number: has more than 160 bits"):
        describe(with_serial(bytes.fromhex(content)))


def test_dates_from_1950_to_9999_are_recorded() -> None:
    start = datetime(1950, 1, 1, tzinfo=UTC)
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    described = describe(der(make_certificate(start=start, end=end)))
    assert (described.not_valid_before, described.not_valid_after) == (start, end)


def test_a_refusal_is_an_error_of_certledger_with_its_cause() -> None:
    with pytest.raises(LedgerError) as caught:
        describe(der(make_certificate("a" * 513)))
    assert caught.value.__cause__ is not None
