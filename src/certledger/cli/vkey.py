"""The kind of value that names a verifier key: its line, or a file that holds the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from certledger.errors import MalformedEvidence
from certledger.eventstore.tlog.keys import VerifierKey

_LARGEST: Final = 4096


class Vkey(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A verifier key line, or the name of a file that holds it."""

    name = "key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> VerifierKey:
        """Return the key."""
        if isinstance(value, VerifierKey):
            return value
        try:
            return VerifierKey.from_text(_line(str(value)))
        except MalformedEvidence as error:
            self.fail(str(error), param, ctx)


def _line(text: str) -> str:
    # A key line may be longer than a name in a file system can be, or hold what no name can.
    try:
        with Path(text).open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace").removesuffix("\n")
    except (OSError, ValueError):
        return text


VKEY: Final = Vkey()
