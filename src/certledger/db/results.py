"""Where errors become the contract's values, and every call its log line: here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import Final, TypeVar

from certledger.db.const import RevokeStatus
from certledger.errors import (
    ClockBehindLog,
    CommandIdReused,
    DuplicateSerial,
    DuplicateUuid,
    IllegalTransition,
    InvalidCertificate,
    InvalidValue,
    UnknownSerial,
)
from certledger.eventstore.event import Event
from certledger.eventstore.events import Deleted, Issued, Revoked

Result = TypeVar("Result")


class NoCommonName(IndexError):
    """The one refusal that the contract answers with an exception of its own."""


REFUSALS: Final = (
    ClockBehindLog,
    CommandIdReused,
    DuplicateSerial,
    DuplicateUuid,
    IllegalTransition,
    InvalidCertificate,
    InvalidValue,
    NoCommonName,
    UnknownSerial,
)
"""The request cannot be granted. Every other error means that something does not work."""


class Answers:
    """Gives a caller what the contract promises for a call, whatever becomes of the work.

    A change is logged as INFO, a refusal as WARNING, a failure as ERROR with its exception.
    With `raise_errors` what was logged as refused or failed is raised then.
    """

    def __init__(self, logger: Logger, *, raise_errors: bool) -> None:
        self._logger = logger
        self._raise_errors = raise_errors

    def changed(self, event: Event) -> None:
        """Log a change that is durable."""
        match event.data:
            case Issued(serial_number=serial, common_name=name, uuid=uuid):
                text = f"registered serial {serial}, CN {name!r}, uuid {uuid!r}"
            case Revoked(serial_number=serial, reason=reason):
                text = f"revoked serial {serial}, reason {reason}"
            case Deleted(serial_number=serial, uuid=uuid):
                text = f"deleted serial {serial}, uuid {uuid!r}"
            case _:
                text = event.type
        self._logger.info("%s (entry %d)", text, event.seq)

    def expired(self, count: int) -> None:
        """Log how many certificates were noted as expired."""
        self._logger.info("noted %d certificates as expired", count)

    def give(
        self,
        attempt: Callable[[], str],
        work: Callable[[], Result],
        otherwise: Callable[[Exception], Result],
    ) -> Result:
        """Return what `work` returns, or `otherwise` of its error after logging that.

        `attempt` says what was tried, in words that make a sentence with "failed".
        """
        try:
            return work()
        except Exception as error:
            self._log(attempt(), error)
            if self._raise_errors or isinstance(error, NoCommonName):
                raise
            return otherwise(error)

    def insist(self, attempt: Callable[[], str], work: Callable[[], Result]) -> Result:
        """Return what `work` returns; log its error and raise it in any case."""
        try:
            return work()
        except Exception as error:
            self._log(attempt(), error)
            raise

    def _log(self, attempt: str, error: Exception) -> None:
        if isinstance(error, REFUSALS):
            self._logger.warning("%s was refused: %s", attempt, error)
        else:
            name = type(error).__name__
            self._logger.error("%s failed: %s: %s", attempt, name, error, exc_info=error)


def not_revoked(error: Exception) -> tuple[bool, RevokeStatus]:
    """Return the answer to a revocation that did not happen."""
    if isinstance(error, UnknownSerial | IllegalTransition):
        return False, RevokeStatus.NOT_FOUND
    return False, RevokeStatus.UNKNOWN_ERROR
