"""The openssl program as a second opinion on what we sign."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl program on the path"
)


def crl_text(crl: x509.CertificateRevocationList) -> str:
    """What `openssl crl -text` makes of a CRL."""
    run = subprocess.run(
        ["openssl", "crl", "-noout", "-text"],
        input=crl.public_bytes(Encoding.PEM),
        capture_output=True,
        check=True,
    )
    return run.stdout.decode()


def verify(
    folder: Path,
    certificate: x509.Certificate,
    ca: x509.Certificate,
    crl: x509.CertificateRevocationList,
) -> tuple[bool, str]:
    """Whether `openssl verify -crl_check` accepts a certificate, and what it says."""
    files = {}
    for name, thing in (("leaf", certificate), ("ca", ca), ("crl", crl)):
        files[name] = folder / f"{name}.pem"
        files[name].write_bytes(thing.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-crl_check", "-CAfile", str(files["ca"])]
    command += ["-CRLfile", str(files["crl"]), str(files["leaf"])]
    run = subprocess.run(command, capture_output=True, check=False)
    return run.returncode == 0, (run.stdout + run.stderr).decode()
