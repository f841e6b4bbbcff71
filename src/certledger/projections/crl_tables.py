"""What the tables say of revocations, held against the log before a CRL is signed from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, union

from certledger.eventstore.lifecycle import Phase
from certledger.eventstore.statement import Statement
from certledger.eventstore.times import naive_utc
from certledger.projections.crl_entries import Life
from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.status import CertificateStatus

# A union, as an OR of the two makes SQLite read the whole table.
_CALLED_REVOKED: Final = Statement(
    union(
        select(CERTIFICATES.c.serial_number).where(CERTIFICATES.c.status == bindparam("revoked")),
        select(CERTIFICATES.c.serial_number).where(CERTIFICATES.c.revocation_date.is_not(None)),
    )
)
_RETIRED_REVOKED: Final = Statement(
    select(retired.c.seq, retired.c.serial_number).where(retired.c.revocation_date.is_not(None))
)
_ROWS: Final = Statement(
    select(func.count())
    .select_from(CERTIFICATES)
    .where(CERTIFICATES.c.serial_number == bindparam("serial"))
)
# Compared in the database: what somebody wrote into an edited row may be no date to read.
_SAME_ROWS: Final = Statement(
    select(func.count())
    .select_from(CERTIFICATES)
    .where(
        CERTIFICATES.c.serial_number == bindparam("serial"),
        CERTIFICATES.c.status == bindparam("revoked"),
        CERTIFICATES.c.revocation_date == bindparam("date"),
        CERTIFICATES.c.revocation_reason == bindparam("reason"),
    )
)
_SAME_RETIRED: Final = Statement(
    select(func.count())
    .select_from(retired)
    .where(
        retired.c.seq == bindparam("seq"),
        retired.c.serial_number == bindparam("serial"),
        retired.c.last_state == bindparam("revoked"),
        retired.c.revocation_date == bindparam("date"),
        retired.c.revocation_reason == bindparam("reason"),
    )
)


@dataclass(frozen=True, slots=True)
class Called:
    """What the tables call revoked. A text that is no serial number is left to `drift`."""

    present: frozenset[int]
    """Serials of rows in `certificates`."""
    retired: Mapping[int, int]
    """Serials of rows in `retired`, by their positions."""

    @property
    def serials(self) -> frozenset[int]:
        """All of them."""
        return self.present.union(self.retired.values())


def called_revoked(connection: Connection) -> Called:
    """Read what the tables call revoked."""
    revoked = CertificateStatus.REVOKED.value
    rows = _CALLED_REVOKED.rows(connection, revoked=revoked)
    retired_rows = _RETIRED_REVOKED.rows(connection)
    return Called(
        present=frozenset(serial for (text,) in rows for serial in _numbers(text)),
        retired={seq: serial for seq, text in retired_rows for serial in _numbers(text)},
    )


def _numbers(text: object) -> Iterator[int]:
    try:
        yield int(str(text))
    except ValueError:
        return


def table_agrees(connection: Connection, life: Life) -> bool:
    """Tell whether the tables say of a revoked certificate what the log says."""
    revoked = life.revoked
    if revoked is None:
        return False
    said: dict[str, object] = {
        "serial": str(life.serial),
        "revoked": CertificateStatus.REVOKED.value,
        "date": naive_utc(revoked.revocation_date),
        "reason": revoked.reason_code,
    }
    if life.phase is Phase.REVOKED:
        return _count(connection, _SAME_ROWS, said) == 1
    said["seq"] = max(life.retired)
    return _count(connection, _ROWS, said) == 0 and _count(connection, _SAME_RETIRED, said) == 1


def _count(connection: Connection, statement: Statement, values: Mapping[str, object]) -> int:
    return int(statement.rows(connection, **values)[0][0])


def disagreeing_serials(
    connection: Connection, listed: Iterable[Life], called: Called, lives: Mapping[int, Life]
) -> tuple[int, ...]:
    """Return the serials on which the tables contradict what the log says of this CA's CRL.

    These are certificates on the CRL that the tables do not call revoked, or call so with another
    date or reason; and certificates of this CA, or unknown ones, that only the tables call revoked.
    """
    named = {life.serial for life in listed if not table_agrees(connection, life)}
    for serial in called.present:
        life = lives[serial]
        if _concerns(life) and life.revoked is None:
            named.add(serial)
    for seq, serial in called.retired.items():
        life = lives[serial]
        if _concerns(life) and seq not in life.retired:
            named.add(serial)
    return tuple(sorted(named))


def _concerns(life: Life) -> bool:
    return life.of_issuer or not life.known
