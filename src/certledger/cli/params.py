"""The kinds of values that the command line takes: SERIAL, TIME, SEQ|TIME, REASON, key types."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from certledger.errors import InvalidValue
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.reasons import CODE_BY_NAME, reason_name

_DECIMAL: Final = re.compile(r"(-?)([0-9]+)")
_HEX: Final = re.compile(r"(-?)0[xX]([0-9A-Fa-f]+)")
_COLONS: Final = re.compile(r"(-?)([0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{2})+:?)")
_NEGATIVE: Final = re.compile(r"-(?:[0-9][0-9A-Fa-fxX:]*|[A-Fa-f]{1,2}:[0-9A-Fa-f:]+)")
_SET_ASIDE: Final = "\N{MINUS SIGN}"
_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_MAX_DIGITS: Final = 100


def parse_serial(text: str) -> int:
    """Read a serial number: decimal, hex with 0x, or hex with colons as openssl prints it.

    Raises `ValueError`.
    """
    text = text.strip().replace(_SET_ASIDE, "-")
    for pattern, base in ((_DECIMAL, 10), (_HEX, 16), (_COLONS, 16)):
        found = pattern.fullmatch(text)
        if found and len(text) <= _MAX_DIGITS:
            return int(found[1] + found[2].replace(":", ""), base)
    message = f"{text!r} is no serial number: write it decimal, or hex as 0x1f or 0a:1f"
    raise ValueError(message)


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 instant or a date (its first moment); UTC where no offset is given.

    Raises `ValueError`.
    """
    instant = None
    if _TIME.fullmatch(text):
        try:
            instant = datetime.fromisoformat(text.upper())
            instant = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            instant = None
    if instant is None:
        message = f"{text!r} is no time: write 2026-01-31 or 2026-01-31T23:59:59Z"
        raise ValueError(message)
    return instant


class Serial(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A serial number, given decimal or hex."""

    name = "serial"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        try:
            return parse_serial(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Time(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """An instant or a date, UTC where no offset is given."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return an aware datetime in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SeqOrTime(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A position in the log, digits alone, or a time."""

    name = "seq|time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | datetime:
        """Return an int for digits alone, else an aware datetime in UTC."""
        if isinstance(value, int | datetime):
            return value
        if re.fullmatch(r"[0-9]{1,18}", value):
            return int(value)
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(f"{error}, or a seq (digits alone)", param, ctx)


class Reason(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """An RFC 5280 reason, by name in any case or by code."""

    name = "reason"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the reason's name as RFC 5280 spells it."""
        try:
            return reason_name(int(value) if re.fullmatch(r"[0-9]{1,3}", value) else value)
        except InvalidValue as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names."""
        del ctx, param
        return _starting(incomplete, list(CODE_BY_NAME))


class KeyType(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A category of certificates, also in tiny_ca's codes."""

    name = "type"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CertType:
        """Return the category."""
        try:
            return CertType.parse(value)
        except InvalidValue as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the values."""
        del ctx, param
        return _starting(incomplete, [member.value for member in CertType])


def _starting(incomplete: str, known: list[str]) -> list[CompletionItem]:
    start = incomplete.lower()
    return [CompletionItem(name) for name in known if name.lower().startswith(start)]


class SerialCommand(click.Command):
    """A command that takes a SERIAL: `-5` is a negative number there and not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the minus of negative numbers aside until `parse_serial` puts it back."""
        return super().parse_args(
            ctx, [_SET_ASIDE + arg[1:] if _NEGATIVE.fullmatch(arg) else arg for arg in args]
        )


SERIAL: Final = Serial()
TIME: Final = Time()
SEQ_OR_TIME: Final = SeqOrTime()
REASON: Final = Reason()
KEY_TYPE: Final = KeyType()
