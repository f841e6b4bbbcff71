"""The certificates of `certledger.testing`, for the tests of everything else."""

from certledger.testing.certificates import (
    CA,
    der,
    make_ca,
    make_certificate,
    name_of,
    pem,
    shared_key,
)

__all__ = ["CA", "der", "make_ca", "make_certificate", "name_of", "pem", "shared_key"]
