"""From an exception to the one line that the user reads, and the exit code.

===  =============================================================================
0    done and clean
1    refused, failed, or a check with findings
2    wrong usage; for the checking commands also: could not run
3    a CRL was signed although the certificates table contradicts the log
===  =============================================================================
"""

from __future__ import annotations

import re
from typing import Any, Final

import click

from certledger.cli.text import safe, serial_hex
from certledger.errors import (
    IllegalTransition,
    InvalidEvent,
    InvalidValue,
    LedgerError,
    UnknownSerial,
)

FAILED: Final = 1
USAGE: Final = 2
TABLE_CONTRADICTS_LOG: Final = 3

_CHECKING: Final = "certledger.cli.checking"

_WHAT_TO_DO: Final = {
    UnknownSerial: "`certledger list` names those present, `certledger history` the deleted ones",
    IllegalTransition: "`certledger history` tells how it came to this",
}
_SERIAL: Final = re.compile(r"\bserial (-?[0-9]+)\b(?! \()")
_PASSWORD_IN_URL: Final = re.compile(r"(://[^\s:@/]*:)[^\s@]*@")
_PASSWORD_IN_QUERY: Final = re.compile(r"((?:password|passwd|pwd)=)[^\s&'\"]+", re.IGNORECASE)


class Failure(click.ClickException):
    """A command that did not do what was asked."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance


class CheckingCommand(click.Command):
    """A command whose exit code 1 means findings: not having run at all is 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; while it runs, and where it breaks off, the whole command line is checking."""
        ctx.meta[_CHECKING] = True
        result = super().invoke(ctx)
        del ctx.meta[_CHECKING]
        return result


def is_checking(ctx: click.Context) -> bool:
    """Tell whether a checking command, also one of a group, broke off."""
    return _CHECKING in ctx.meta


def failure(error: BaseException, *, checking: bool) -> Failure:
    """Say what went wrong, in words for a user of the command line."""
    failed = USAGE if checking else FAILED
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted; what was recorded before stays recorded", failed)
    if isinstance(error, LedgerError):
        usage = isinstance(error, InvalidValue) and not isinstance(error, InvalidEvent)
        return Failure(describe(error), USAGE if usage else failed)
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        place = "" if error.filename is None else f"{error.filename}: "
        return Failure(f"{place}{what}", failed)
    text = f"unexpected {type(error).__name__}: {error}; run `certledger --debug ...` to see where"
    return Failure(hide_passwords(text), failed)


def describe(error: LedgerError) -> str:
    """Write an error of the library on one line: serials both ways, and what to do next."""
    text = hide_passwords(str(error))
    text = _SERIAL.sub(lambda found: f"{found[0]} ({serial_hex(int(found[1]))})", text)
    advice = _WHAT_TO_DO.get(type(error))
    return safe(f"{text}; {advice}" if advice else text)


def hide_passwords(text: str) -> str:
    """Blot out the passwords of database URLs, which drivers like to repeat."""
    text = _PASSWORD_IN_URL.sub(r"\1***@", text)
    return _PASSWORD_IN_QUERY.sub(r"\1***", text)
