"""The registry as two small tables: what the contract demands, and nothing of how it is done.

All datetimes are naive, in UTC, as in the contract's records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = timedelta(days=1)

Refusals = set[str]
"""The names of all errors with which a command may be refused; none: it must succeed."""


@dataclass(frozen=True)
class Certificate:
    """What a certificate says, so far as the registry cares."""

    serial: int
    name: str | None
    start: datetime
    end: datetime
    pem: str


@dataclass
class Row:
    """A present certificate."""

    id: int
    """By the design, the position of the issuing event + 1."""
    certificate: Certificate
    key_type: str
    uuid: str | None
    status: str = "valid"
    revocation_date: datetime | None = None
    revocation_reason: int | None = None

    def columns(self) -> tuple[object, ...]:
        """The values of the table's columns, in the contract's order."""
        certificate = self.certificate
        return (
            self.id,
            str(certificate.serial),
            certificate.name or "",
            self.status,
            certificate.start,
            certificate.end,
            self.key_type,
            certificate.pem,
            self.revocation_date,
            self.revocation_reason,
            self.uuid,
        )


@dataclass(frozen=True)
class Retired:
    """What a deletion leaves."""

    seq: int
    row: Row

    def columns(self) -> tuple[object, ...]:
        """The values of the columns of `retired`."""
        row = self.row
        return (
            self.seq,
            str(row.certificate.serial),
            row.status,
            row.revocation_date,
            row.revocation_reason,
            row.certificate.end,
        )


@dataclass
class Model:
    """A registry in memory. Commands take the reading of the writer's clock.

    Before a command `..._refusals` tells with which errors it may be refused; only a command with
    none may be carried out.
    """

    allow_clock_behind: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    """By serial number."""
    retired: list[Retired] = field(default_factory=list)
    history: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Serial number to the kinds of its events."""
    size: int = 0
    """How many events there are."""
    recorded: datetime = datetime.min  # noqa: DTZ901 # naive as all here
    """When the last event was recorded."""

    # Commands

    def instant(self, clock: datetime) -> datetime:
        """When an event would be recorded: never before the last one."""
        return max(clock, self.recorded)

    def clock_refusals(self, clock: datetime) -> Refusals:
        behind = self.size > 0 and self.recorded - clock > DAY
        return {"ClockBehindLog"} if behind and not self.allow_clock_behind else set()

    def issue_refusals(
        self, certificate: Certificate, uuid: str | None, clock: datetime
    ) -> Refusals:
        refusals = self.clock_refusals(clock)
        if certificate.serial in self.rows:
            refusals.add("DuplicateSerial")
        if uuid is not None and self.by_uuid(uuid) is not None:
            refusals.add("DuplicateUuid")
        now = self.instant(clock)
        if any(
            row.revocation_date is not None and row.certificate.end >= now
            for row in self._gone(certificate.serial)
        ):
            refusals.add("IllegalTransition")
        return refusals

    def issue(
        self, certificate: Certificate, uuid: str | None, key_type: str, clock: datetime
    ) -> None:
        seq = self._record(certificate.serial, "issued", clock)
        self.rows[certificate.serial] = Row(seq + 1, certificate, key_type, uuid)

    def revoke_refusals(
        self,
        serial: int,
        clock: datetime,
        *,
        date: datetime | None = None,
        after_expiry: bool = False,
    ) -> Refusals:
        refusals = self.clock_refusals(clock)
        allowed = {"valid", "expired"} if after_expiry else {"valid"}
        if serial not in self.rows:
            refusals.add("UnknownSerial")
        elif self.rows[serial].status not in allowed:
            refusals.add("IllegalTransition")
        if date is not None and date > self.instant(clock):
            refusals.add("InvalidValue")
        return refusals

    def revoke(
        self, serial: int, reason: int, clock: datetime, *, date: datetime | None = None
    ) -> None:
        self._record(serial, "revoked", clock)
        row = self.rows[serial]
        row.status = "revoked"
        row.revocation_date = date or self.recorded
        row.revocation_reason = reason

    def delete_refusals(self, serial: int | None, clock: datetime) -> Refusals:
        """`serial` None: nothing has the uuid that was given."""
        refusals = self.clock_refusals(clock)
        if serial not in self.rows:
            refusals.add("UnknownSerial")
        return refusals

    def delete(self, serial: int, clock: datetime) -> None:
        seq = self._record(serial, "deleted", clock)
        self.retired.append(Retired(seq, self.rows.pop(serial)))

    def due(self, clock: datetime) -> set[int]:
        """The serial numbers that a sweep expires."""
        return {
            serial
            for serial, row in self.rows.items()
            if row.status == "valid" and row.certificate.end < clock
        }

    def expire(self, serial: int, clock: datetime) -> None:
        self._record(serial, "expired", clock)
        self.rows[serial].status = "expired"

    def _record(self, serial: int, kind: str, clock: datetime) -> int:
        self.recorded = self.instant(clock)
        self.history[serial].append(kind)
        self.size += 1
        return self.size - 1

    def _gone(self, serial: int) -> list[Row]:
        return [gone.row for gone in self.retired if gone.row.certificate.serial == serial]

    # Queries

    def by_uuid(self, uuid: str) -> int | None:
        """The serial number of the present certificate with a uuid."""
        holders = (serial for serial, row in self.rows.items() if row.uuid == uuid)
        return next(holders, None)

    def by_name(self, name: str, clock: datetime) -> Row | None:
        """Not past its end before past it, then the latest start, then the highest id."""
        found = self._select(lambda row: row.status == "valid" and row.certificate.name == name)

        def rank(row: Row) -> tuple[bool, datetime, int]:
            return row.certificate.end >= clock, row.certificate.start, row.id

        return max(found, key=rank, default=None)

    def newest_first(self, status: str | None = None, key_type: str | None = None) -> list[Row]:
        found = self._select(
            lambda row: status in {None, row.status} and key_type in {None, row.key_type}
        )
        return sorted(found, key=lambda row: row.id, reverse=True)

    def expiring(self, days: int, clock: datetime) -> list[Row]:
        until = clock + timedelta(days=days)
        found = self._select(
            lambda row: row.status == "valid" and clock < row.certificate.end <= until
        )
        return sorted(found, key=lambda row: (row.certificate.end, row.id))

    def on_crl(self, clock: datetime) -> list[tuple[str, datetime, int]]:
        """Revoked in the last year and within their validity, the deleted ones too."""
        both = [*self.rows.values(), *(gone.row for gone in self.retired)]
        found = [
            (str(row.certificate.serial), row.revocation_date, row.revocation_reason)
            for row in both
            if row.revocation_date is not None
            and row.revocation_reason is not None
            and row.certificate.end > clock
            and row.revocation_date > clock - 365 * DAY
        ]
        return sorted(found, key=lambda entry: (entry[1], entry[0]))

    def _select(self, wanted: Callable[[Row], bool]) -> list[Row]:
        return [row for row in self.rows.values() if wanted(row)]
