"""Who acts, and why: a context that every event of the enclosed calls carries.

The actor is asserted by the caller, not authenticated here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from certledger.errors import InvalidEvent, InvalidValue
from certledger.eventstore.event import AuthType, check_attribute

_MAX_LENGTH = 255
_NOT_IN_COMMENT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change, in the words of the CloudEvents Auth Context and Correlation extensions.

    Raises `InvalidValue` for an unknown `authtype` and for names that are empty, longer than 255
    characters, or hold control characters; `comment` may hold line breaks.
    """

    authid: str
    authtype: AuthType = "user"
    comment: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None

    def __post_init__(self) -> None:
        if self.authtype not in get_args(AuthType):
            message = f"authtype {self.authtype!r}: known are {', '.join(get_args(AuthType))}"
            raise InvalidValue(message)
        _check("actor", self.authid)
        for name in ("correlation_id", "causation_id"):
            text = getattr(self, name)
            if text is not None:
                _check(name, text)
        if self.comment is not None and _NOT_IN_COMMENT.search(self.comment):
            message = "comment: holds a NUL character or half of a surrogate pair"
            raise InvalidValue(message)


def _check(name: str, text: str) -> None:
    if not 0 < len(text) <= _MAX_LENGTH:
        message = f"{name}: has {len(text)} characters; 1 to {_MAX_LENGTH} are allowed"
        raise InvalidValue(message)
    try:
        check_attribute(text)
    except InvalidEvent as error:
        message = f"{name} {text!r}: {error}"
        raise InvalidValue(message) from error


_current: ContextVar[Actor | None] = ContextVar("certledger_actor", default=None)


@contextmanager
def acting_as(
    authid: str | None = None,
    *,
    authtype: str | None = None,
    comment: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> Iterator[Actor]:
    """Name the actor of all changes made in the `with` block.

    Without `authid` the actor stays who it is and only the other values are set; a new actor is a
    "user" unless `authtype` says otherwise. The inner of two
    nested blocks wins as a whole. A thread or task started inside does not inherit the block
    unless it copies the context, as `asyncio` tasks do.

    Raises `InvalidValue` as `Actor` does.
    """
    if authid is None:
        present = current_actor()
        authid, authtype = present.authid, present.authtype if authtype is None else authtype
    kind = cast("AuthType", "user" if authtype is None else authtype)
    actor = Actor(authid, kind, comment or None, correlation_id, causation_id)
    token = _current.set(actor)
    try:
        yield actor
    finally:
        _current.reset(token)


def current_actor() -> Actor:
    """Return the actor of the enclosing `acting_as`, else the operating system's user."""
    return _current.get() or _os_actor(os.getuid() if hasattr(os, "getuid") else -1)


@lru_cache(maxsize=8)
def _os_actor(uid: int) -> Actor:
    return Actor(_os_user(uid))


def _os_user(uid: int) -> str:
    # The account of the process, not $LOGNAME, which anybody can set to anything.
    try:
        import pwd  # noqa: PLC0415 # does not exist on Windows

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"uid {uid}" if uid >= 0 else os.getlogin()
