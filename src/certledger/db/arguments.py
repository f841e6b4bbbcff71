"""What callers of the contract pass, as the `Ledger` takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from operator import index
from typing import Any, TypeVar

from certledger.errors import InvalidValue

Result = TypeVar("Result")

_DECIMAL = re.compile(r"-?[0-9]{1,50}")


def to_serial(value: object) -> int:
    """Return a serial number given as integer or, as records hold it, as decimal string.

    Raises `InvalidValue` for anything else.
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        message = f"serial number {value!r}: an integer is needed"
        raise InvalidValue(message)
    return index(value)


def to_window(value: object) -> timedelta | None:
    """Return how far a list of revocations looks back, None for without limit.

    Raises `InvalidValue` for what would leave every revocation out.
    """
    if value is None or (isinstance(value, timedelta) and value > timedelta(0)):
        return value
    message = f"window {value!r}: a timedelta greater than 0 or None is needed"
    raise InvalidValue(message)


def also_named(alias: str, name: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let a method's argument `name` be given by a second keyword, which its signature hides."""

    def decorate(method: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Result:
            if alias in kwargs:
                if name in kwargs:
                    message = f"{method.__name__}() got both {name!r} and {alias!r}"
                    raise TypeError(message)
                kwargs[name] = kwargs.pop(alias)
            return method(*args, **kwargs)

        return call

    return decorate
