"""The CA's certificate and key, from files; the key may be encrypted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, cast

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    PrivateKeyTypes,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from certledger.cli.failures import Failure

PASSPHRASE_VARIABLE: Final = "CERTLEDGER_CA_KEY_PASSPHRASE"  # noqa: S105 # the name of one


def read_ca_certificate(path: str) -> x509.Certificate:
    """Read a certificate in DER or PEM; of several the first, as chains begin with their own."""
    data = Path(path).read_bytes()
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)[0]
        return x509.load_der_x509_certificate(data)
    except (ValueError, TypeError) as error:
        message = f"{path}: not a certificate in PEM or DER ({error})"
        raise Failure(message) from error


def read_ca_key(path: str) -> CertificateIssuerPrivateKeyTypes:
    """Read a private key in PEM or DER.

    The passphrase of an encrypted one comes from the environment, else from the user where there
    is a terminal.
    """
    data = Path(path).read_bytes()
    try:
        key = _load(data, None)
    except TypeError:
        key = _decrypt(data, path)
    except (ValueError, UnsupportedAlgorithm) as error:
        message = f"{path}: not a private key in PEM or DER that can be used here"
        raise Failure(message) from error
    # Which kinds can sign a CRL is the library's to say.
    return cast("CertificateIssuerPrivateKeyTypes", key)


def _load(data: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    return load(data, passphrase)


def _decrypt(data: bytes, path: str) -> PrivateKeyTypes:
    try:
        return _load(data, _passphrase(path).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path}: the passphrase is wrong, or the key is damaged"
        raise Failure(message) from error


def _passphrase(path: str) -> str:
    found = os.environ.get(PASSPHRASE_VARIABLE)
    if found:
        return found
    if not sys.stdin.isatty():
        message = (
            f"{path}: the key is encrypted; set {PASSPHRASE_VARIABLE}, or run this on a terminal"
        )
        raise Failure(message)
    return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))
