"""Certificates in files: PEM with one or many, DER, folders; and what else is found there.

Private keys are passed over with a warning and never kept. What is neither a certificate nor a
known neighbour of one (a request, a CRL, parameters) is refused, so that nothing gets lost
without a word.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certledger.cli.pem import Block, read_blocks

STANDARD_INPUT: Final = "-"

_CERTIFICATE_LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_REQUEST: Final = "a request for a certificate, not the certificate"
_LIST: Final = "a revocation list, not a certificate"
_PUBLIC_KEY: Final = "a public key, not a certificate"
_PARAMETERS: Final = "the parameters of a key, not a certificate"
_PRIVATE_KEY: Final = "a private key: not read, not kept"
_HARMLESS: Final = {
    "CERTIFICATE REQUEST": _REQUEST,
    "NEW CERTIFICATE REQUEST": _REQUEST,
    "X509 CRL": _LIST,
    "PUBLIC KEY": _PUBLIC_KEY,
    "RSA PUBLIC KEY": _PUBLIC_KEY,
    "EC PARAMETERS": _PARAMETERS,
    "DH PARAMETERS": _PARAMETERS,
    "X9.42 DH PARAMETERS": _PARAMETERS,
    "DSA PARAMETERS": _PARAMETERS,
}
"""What lies beside certificates and holds none."""
_PKCS7: Final = "a PKCS#7 bundle: take its certificates out with `openssl pkcs7 -print_certs`"
_PKCS12: Final = (
    "a PKCS#12 file, which holds private keys: take its certificates out with "
    "`openssl pkcs12 -nokeys`"
)
_HOLDING_CERTIFICATES: Final = {
    "TRUSTED CERTIFICATE": (
        "a certificate with trust settings of OpenSSL: make a plain one with `openssl x509`"
    ),
    "PKCS7": _PKCS7,
    "CMS": "a CMS message: take its certificates out with `openssl cms -verify -certsout`",
}
"""What holds certificates in a form that is not read here."""
_LARGEST_DER: Final = 1_048_576
_DER_SEQUENCE: Final = 0x30
_DER_LONG: Final = 0x80
_PKCS12_START: Final = re.compile(rb"\x30[\x80-\x84].{0,4}?\x02\x01\x03\x30", re.DOTALL)
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Found:
    """A certificate."""

    source: str
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is, or may be, a certificate and cannot be read as one."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is no certificate and is often found beside one."""

    source: str
    reason: str


Item = Found | Refused | Skipped


def files_of(paths: Iterable[str]) -> list[tuple[str, bool]]:
    """Return the files to read, and whether each was named itself rather than its folder.

    Folders are walked through in sorted order.
    """
    files: list[tuple[str, bool]] = []
    for path in paths:
        if path != STANDARD_INPUT and Path(path).is_dir():
            files += ((file, False) for file in _walk(path))
        else:
            files.append((path, True))
    return files


def _walk(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        # Reading the folder as a file will say what is wrong with it.
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        else:
            yield entry.path


def read_file(path: str, *, named: bool) -> Iterator[Item]:
    """Yield all that a file holds.

    What lies beside certificates and holds none (a request, a CRL) is skipped; it is refused
    where the user `named` the file and there is nothing better in it.
    """
    try:
        if not named and Path(path).is_symlink() and Path(path).is_dir():
            yield Skipped(path, "a link to a folder is not followed")
        elif not named and not Path(path).is_dir() and not stat.S_ISREG(Path(path).stat().st_mode):
            # A named pipe would be waited on for ever. One that the user named is meant.
            yield Refused(path, "not a regular file")
        else:
            with _opened(path) as stream:
                yield from _read(stream, path, named=named)
    except OSError as error:
        yield Refused(path, error.strerror or str(error))


def _opened(path: str) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        return io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))
    return Path(path).open("rb")


def _read(stream: io.BufferedReader, path: str, *, named: bool) -> Iterator[Item]:
    start = stream.peek(2)[:2]
    if not start:
        yield Refused(path, "the file is empty")
    elif start in _UTF16_MARKS:
        yield Refused(path, "text in UTF-16: save it as UTF-8")
    elif start[0] == _DER_SEQUENCE and start[-1] >= _DER_LONG:
        yield _read_der(stream.read(_LARGEST_DER + 1), path, named=named)
    else:
        yield from _read_pem(stream, path, named=named)


def _read_pem(stream: io.BufferedReader, path: str, *, named: bool) -> Iterator[Item]:
    certificates = 0
    keys = False
    others = []
    for block in read_blocks(stream):
        if block.label in _CERTIFICATE_LABELS:
            certificates += 1
            yield _certificate(block, path, certificates)
        elif block.is_private_key:
            keys = True
            yield Skipped(f"{path}:{block.line}", _PRIVATE_KEY)
        else:
            others.append(block)
    harmless = Skipped if certificates or keys or not named else Refused
    for block in others:
        yield _other(block, path, harmless)
    if not (certificates or keys or others):
        yield Refused(path, "neither PEM nor DER: there is no certificate in it")


def _certificate(block: Block, path: str, count: int) -> Item:
    source = f"{path}:{block.line}" + (f" (certificate {count})" if count > 1 else "")
    if block.contents is None:
        return Refused(source, block.damage)
    try:
        return Found(source, x509.load_der_x509_certificate(block.contents))
    except (ValueError, TypeError) as error:
        return Refused(source, f"not a certificate: {error}")


def _other(block: Block, path: str, harmless: type[Refused | Skipped]) -> Item:
    source = f"{path}:{block.line}"
    if block.label in _HARMLESS:
        return harmless(source, _HARMLESS[block.label])
    reason = _HOLDING_CERTIFICATES.get(block.label)
    return Refused(source, reason or f"a block {block.label}, which is not known here")


def _read_der(data: bytes, path: str, *, named: bool) -> Item:
    if len(data) > _LARGEST_DER:
        return Refused(path, "larger than any certificate")
    try:
        return Found(path, x509.load_der_x509_certificate(data))
    except (ValueError, TypeError) as error:
        reason = f"not a certificate: {error}"
    if _is_private_key(data):
        return Skipped(path, _PRIVATE_KEY)
    if _PKCS12_START.match(data):
        return Refused(path, _PKCS12)
    other = _other_der(data)
    if other and not named:
        return Skipped(path, other)
    return Refused(path, other or reason)


def _is_private_key(data: bytes) -> bool:
    try:
        load_der_private_key(data, None)
    except TypeError:
        return True  # an encrypted one
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _other_der(data: bytes) -> str | None:
    for load, what in ((x509.load_der_x509_csr, _REQUEST), (x509.load_der_x509_crl, _LIST)):
        try:
            load(data)
        except (ValueError, TypeError):
            continue
        return what
    return None
