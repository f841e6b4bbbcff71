"""Sessions of a server as they really are: isolation, time zone, pooler, encryption."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import URL

from certledger.eventstore.symptom import Mend, Symptom, ini, shell

READING: Final = "repeatable read"
"""The isolation of what is read: one snapshot."""
WRITING: Final = "read committed"
"""The isolation of a change: it must see the head that it has locked."""

_UTC: Final = frozenset({"utc", "etc/utc", "uct", "etc/uct", "zulu", "+00:00"})
_DIRECT: Final = ini("pgbouncer", "pool_mode = session")


@dataclass(frozen=True, slots=True)
class Transport:
    """How the bytes of a connection travel."""

    host: str
    """Name, address, or the path of a socket; "" for a socket whose path was not given."""
    encrypted: bool
    authenticated: bool
    """Whether the server has shown a certificate that was checked."""


def symptoms_of_isolation(doing: str, wanted: str, found: str) -> Iterator[Symptom]:
    """Judge the isolation level of a transaction, as the server tells it."""
    level = found.lower().replace("-", " ")
    if level != wanted:
        message = (
            f"transactions that {doing} run at {level} instead of {wanted}: what stands between "
            "certledger and the server does not pass its statements on; connect without it"
        )
        yield Symptom("weak", "isolation", message)


def symptoms_of_time_zone(found: str, mending: tuple[Mend, ...]) -> Iterator[Symptom]:
    """Judge the time zone of a session."""
    if found.lower() not in _UTC:
        message = f"the time zone of the session is {found} instead of UTC: times can be shifted"
        yield Symptom("weak", "time-zone", message, mending)


def symptoms_of_pooler(told: int, real: int) -> Iterator[Symptom]:
    """Judge whether the session is the one that was connected to, by the ids that PostgreSQL gives
    its processes: told when the connection was made, and asked for in a transaction.
    """
    if told != real:
        message = (
            "a pooler stands between certledger and the server: the settings of a session reach "
            "every transaction only where it gives each client a session of its own"
        )
        yield Symptom("note", "pooler", message, _DIRECT)


def symptoms_of_transport(transport: Transport, mending: tuple[Mend, ...]) -> Iterator[Symptom]:
    """Judge how a connection travels; one that does not leave the machine needs no TLS."""
    if is_local(transport.host):
        return
    if not transport.encrypted:
        message = (
            f"the connection to {transport.host} is not encrypted: who is on the way can read and "
            "change what is recorded, and learn the password"
        )
        yield Symptom("weak", "tls", message, mending)
    elif not transport.authenticated:
        message = (
            f"the connection to {transport.host} is encrypted, but the server's certificate was "
            "not checked: another one could answer in its place"
        )
        yield Symptom("note", "tls", message, mending)


def insisting(url: URL, **arguments: str) -> tuple[Mend, ...]:
    """Return the step that gives a URL further arguments. Passwords are not in it."""
    secrets = {name: "***" for name in url.query if "pass" in name.lower()}
    text = url.update_query_dict({**secrets, **arguments}).render_as_string(hide_password=True)
    return shell(f"export CERTLEDGER_DB={shlex.quote(text)}")


def is_local(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
