"""A registry in a real file is driven at random and held against `certledger.testing.model`.

CERTLEDGER_EXAMPLES is how many histories of 50 steps are tried. What is checked after each step
stands in `tests.support.driven`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from certledger.bulk import Registration
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.reasons import CODE_BY_NAME, reason_flag
from certledger.eventstore.times import naive_utc
from certledger.testing.histories import CERTIFICATES, SERIALS
from certledger.testing.model import Refusals, Row
from certledger.testing.prepared import Prepared
from certledger.testing.raw import CERTIFICATES as COLUMNS
from tests.support.driven import DrivenRegistry
from tests.support.raw_file import stored

EXAMPLES = int(os.environ.get("CERTLEDGER_EXAMPLES", "200"))
STEPS = 50


def _of_present(of_row: Callable[[Row], Any], otherwise: list[Any]) -> st.SearchStrategy[Any]:
    """Mostly values of rows that are there, so that most commands have something to do."""

    def draw(machine: DrivenRegistry) -> st.SearchStrategy[Any]:
        present = sorted(filter(bool, map(of_row, machine.model.rows.values())))
        return st.sampled_from(present * 3 + otherwise)

    return st.runner().flatmap(draw)


UUIDS = ["folder-1", "folder-2", "folder-3"]
NewOne = tuple[Prepared, str | None, str]
"""A certificate to register, with its uuid and key type."""
new_ones = st.tuples(
    st.sampled_from(CERTIFICATES),
    st.sampled_from([None, None, *UUIDS]),
    st.sampled_from(["device", "ca", "user"]),
)
serials = _of_present(lambda row: row.certificate.serial, SERIALS)
held_uuids = _of_present(lambda row: row.uuid, UUIDS)
reasons = st.sampled_from(sorted(CODE_BY_NAME.items()))
steps = st.sampled_from([0.0, 0.000001, 1, 59, 600, 3_600, 86_400, 2 * 86_400, 100 * 86_400])
facade = st.booleans()
"""Whether a command goes through the facade or through the Ledger."""


class RegistryMachine(DrivenRegistry):
    """Commands, clock steps and edits."""

    @initialize(batch=st.lists(new_ones, max_size=8))
    def begin(self, batch: list[NewOne]) -> None:
        self.issue_many(batch)

    @rule(issue=new_ones, facade=facade)
    def issue(self, issue: NewOne, facade: bool) -> None:
        prepared, uuid, key_type = issue
        said = prepared.said
        refusals = self.model.issue_refusals(said, uuid, self.now)
        if facade and said.name is None:
            refusals.add("IndexError")
        by_facade = partial(
            self.handler.register_cert_in_db, prepared.certificate, uuid, CertType(key_type)
        )
        by_ledger = partial(self.ledger.issue, prepared.certificate, key_type=key_type, uuid=uuid)
        if self.command(refusals, by_facade if facade else by_ledger, facade=facade):
            self.model.issue(said, uuid, key_type, self.now)
            self.check_row(said.serial)

    @rule(batch=st.lists(new_ones, min_size=1, max_size=6))
    def issue_many(self, batch: list[NewOne]) -> None:
        registrations = [
            Registration(prepared.certificate, key_type=key_type, uuid=uuid)
            for prepared, uuid, key_type in batch
        ]
        refusals = self.model.clock_refusals(self.now) if batch else set()
        if refusals:
            assert not self.command(refusals, lambda: list(self.ledger.issue_many(registrations)))
            return
        outcomes = list(self.ledger.issue_many(registrations))
        for (prepared, uuid, key_type), outcome in zip(batch, outcomes, strict=True):
            refusals = self.model.issue_refusals(prepared.said, uuid, self.now)
            if outcome.error is None:
                assert not refusals
                self.model.issue(prepared.said, uuid, key_type, self.now)
            else:
                assert type(outcome.error).__name__ in refusals

    @rule(serial=serials, issue=new_ones)
    def delete_and_issue_again(self, serial: int, issue: NewOne) -> None:
        self.delete(serial)
        _, uuid, key_type = issue
        for prepared in CERTIFICATES:
            if prepared.said.serial == serial:
                self.issue((prepared, uuid, key_type), facade=False)

    @rule(serial=serials, reason=reasons, facade=facade)
    def revoke(self, serial: int, reason: tuple[str, int], facade: bool) -> None:
        name, code = reason
        refusals = self.model.revoke_refusals(serial, self.now)
        by_facade = partial(self.handler.revoke_certificate, serial, reason_flag(code))
        by_ledger = partial(self.ledger.revoke, serial, name)
        if self.command(refusals, by_facade if facade else by_ledger, facade=facade):
            self.model.revoke(serial, code, self.now)
            self.check_row(serial)

    @rule(
        serial=serials, reason=reasons, ago=steps, later=st.booleans(), after_expiry=st.booleans()
    )
    def revoke_with_a_date(
        self, serial: int, reason: tuple[str, int], ago: float, later: bool, after_expiry: bool
    ) -> None:
        name, code = reason
        date = self.clock.now + timedelta(seconds=ago if later else -ago)
        naive = naive_utc(date)
        refusals = self.model.revoke_refusals(
            serial, self.now, date=naive, after_expiry=after_expiry
        )
        revoke = partial(self.ledger.revoke, serial, name, revocation_date=date)
        if self.command(refusals, partial(revoke, after_expiry=after_expiry)):
            self.model.revoke(serial, code, self.now, date=naive)
            self.check_row(serial)

    @rule(serial=serials)
    def delete(self, serial: int) -> None:
        refusals = self.model.delete_refusals(serial, self.now)
        if self.command(refusals, partial(self.ledger.delete, serial)):
            self.model.delete(serial, self.now)
            self.check_row(serial)

    @rule(uuid=held_uuids, facade=facade)
    def delete_by_uuid(self, uuid: str, facade: bool) -> None:
        serial = self.model.by_uuid(uuid)
        refusals = self.model.delete_refusals(serial, self.now)
        by_facade = partial(self.handler.delete_by_uuid, uuid)
        by_ledger = partial(self.ledger.delete, uuid=uuid)
        if self.command(refusals, by_facade if facade else by_ledger, facade=facade):
            assert serial is not None
            self.model.delete(serial, self.now)
            self.check_row(serial)

    @rule(facade=facade)
    def sweep(self, facade: bool) -> None:
        due = self.model.due(self.now)
        candidates = self._candidates()
        # With nothing to do no lock is taken, and the clock does not matter either.
        refusals = self.model.clock_refusals(self.now) if candidates else set()
        before = self.model.size
        if refusals:
            self.refused_sweep(refusals, facade=facade)
            return
        count = self.handler.update_status_expired() if facade else self.ledger.expire_due()
        found = {int(event.subject.partition("/")[2]) for event in self.ledger.events(since=before)}
        assert count == len(found)
        # A row that the sweep itself mended may be found in the same sweep or in the next.
        assert due & candidates <= found <= due
        for serial in found:
            self.model.expire(serial, self.now)
            self.check_row(serial)

    def refused_sweep(self, refusals: Refusals, *, facade: bool) -> None:
        if facade:
            assert self.handler.update_status_expired() == 0
        else:
            assert not self.command(refusals, self.ledger.expire_due)

    def _candidates(self) -> set[object]:
        """Serial numbers of rows, edited ones too, that say valid though their end is past."""
        rows = self.raw.run(
            "SELECT serial_number FROM certificates WHERE status = 'valid' AND not_valid_after < ?",
            *stored((self.now,)),
        )
        texts = {str(text) for (text,) in rows}
        return {int(text) if text.isdecimal() else text for text in texts}

    # Time and the process

    @rule(seconds=steps)
    def clock_goes_on(self, seconds: float) -> None:
        self.clock.step(seconds=seconds)

    @rule(seconds=steps.filter(lambda seconds: seconds < 50 * 86_400))
    def clock_goes_back(self, seconds: float) -> None:
        self.clock.step(seconds=-seconds)

    @rule()
    def clock_is_set_right(self) -> None:
        if self.model.size and self.now < self.model.recorded:
            self.clock.step(seconds=(self.model.recorded - self.now).total_seconds())

    @rule(allow_clock_behind=st.booleans())
    def reopen(self, allow_clock_behind: bool) -> None:
        self.ledger.close()
        self.open(allow_clock_behind=allow_clock_behind)

    @rule()
    def look_and_rebuild(self) -> None:
        self.rebuild()

    @precondition(lambda self: self.edited)
    @rule()
    def rebuild(self) -> None:
        differing = self.differing()
        report = self.ledger.rebuild()
        assert report.missing + report.unexpected + report.changed == len(differing)
        assert report.events == self.model.size
        self.edited = False

    # Edits behind the registry's back

    @rule(
        serial=serials,
        column=st.sampled_from(["status", "serial_number", "uuid", "id", "common_name"]),
        value=st.sampled_from(["valid", "revoked", "no number", "", "folder-1", 3, 1_000]),
    )
    def edit_a_row(self, serial: int, column: str, value: object) -> None:
        self._edit(
            f"UPDATE OR IGNORE certificates SET {column} = ? WHERE serial_number = ?",
            value,
            str(serial),
        )

    @rule(serial=serials)
    def delete_a_row(self, serial: int) -> None:
        self._edit("DELETE FROM certificates WHERE serial_number = ?", str(serial))

    @rule(
        serial=st.sampled_from(SERIALS),
        uuid=st.sampled_from([None, *UUIDS]),
        ahead=st.integers(0, 3),
        end=steps,
    )
    def insert_a_row(self, serial: int, uuid: str | None, ahead: int, end: float) -> None:
        row = Row(
            self.model.size + ahead, CERTIFICATES[0].said, key_type="device", uuid=uuid
        ).columns()
        values = dict(zip(COLUMNS, row, strict=True))
        values["serial_number"] = str(serial)
        values["not_valid_after"] = self.now - timedelta(seconds=end)
        places = ", ".join("?" * len(COLUMNS))
        self._edit(
            f"INSERT OR IGNORE INTO certificates ({', '.join(COLUMNS)}) VALUES ({places})",
            *stored(tuple(values.values())),
        )

    @precondition(lambda self: self.model.retired)
    @rule(delete=st.booleans())
    def edit_retired(self, delete: bool) -> None:
        self._edit("DELETE FROM retired" if delete else "UPDATE retired SET revocation_date = NULL")

    @rule(ahead=st.integers(0, 3))
    def insert_into_retired(self, ahead: int) -> None:
        self._edit(
            "INSERT OR IGNORE INTO retired (seq, serial_number, last_state, not_valid_after)"
            " VALUES (?, '1', 'valid', '2026-01-01 00:00:00.000000')",
            self.model.size + ahead,
        )

    def _edit(self, sql: str, *values: object) -> None:
        try:
            self.raw.run(sql, *values)
        except sqlite3.IntegrityError:  # a word for an id
            return
        self.edited = True


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)
