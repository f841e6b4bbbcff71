"""The constants of the contract."""

from __future__ import annotations

from enum import Enum

from certledger.projections.status import CertificateStatus

__all__ = ["CertificateStatus", "RevokeStatus"]


class RevokeStatus(Enum):
    """How an attempt to revoke ended. Callers compare and show these texts: they never change."""

    OK = "success"
    NOT_FOUND = (
        "The certificate was not revoked because there is no valid certificate "
        "with the specified serial number."
    )
    UNKNOWN_ERROR = (
        "The certificate was not revoked due to an internal error. Please review the service logs."
    )
