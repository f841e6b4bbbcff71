"""A real log replayed through the model: was every event allowed, and every refusal right?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from certledger.eventstore.event import Event
from certledger.eventstore.events import CertificateData, Deleted, Expired, Issued, Revoked
from certledger.eventstore.times import naive_utc
from certledger.testing.model import Certificate, Model, Refusals
from certledger.testing.overlapping import CERTIFICATES

Report = dict[str, Any]
"""A refusal: its name, the command, and the sizes of the log before and after."""


def replay(events: Iterable[Event], refusals: Iterable[Report] = ()) -> Model:
    """Carry out in the model what the log says, and return the model.

    Each event must be allowed where it stands, and each refusal somewhere in its window.
    """
    model = Model()
    open_at: dict[int, list[Report]] = defaultdict(list)
    for refusal in refusals:
        open_at[refusal["window"][0]].append(refusal)
    waiting: list[Report] = []
    for event in events:
        waiting = _unexplained(model, waiting + open_at[model.size])
        _apply(model, event)
    assert _unexplained(model, waiting + open_at[model.size], last=True) == []
    return model


def _unexplained(model: Model, refusals: list[Report], *, last: bool = False) -> list[Report]:
    """Those refusals that the present state does not explain, and later ones still may."""
    left = []
    for refusal in refusals:
        if refusal["refused"] not in _refusals_now(model, refusal["command"]):
            over = last or model.size >= refusal["window"][1]
            assert not over, refusal
            left.append(refusal)
    return left


def _refusals_now(model: Model, command: Report) -> Refusals:
    serial, now = command["serial"], model.recorded
    match command["do"]:
        case "issue":
            said = CERTIFICATES[serial][command["which"]].said
            return model.issue_refusals(said, command["uuid"], now)
        case "revoke":
            return model.revoke_refusals(serial, now)
        case "delete":
            return model.delete_refusals(serial, now)
        case "delete uuid":
            return model.delete_refusals(model.by_uuid(command["uuid"]), now)
    return set()


def _apply(model: Model, event: Event) -> None:
    data, now = event.data, naive_utc(event.recordedtime)
    assert isinstance(data, CertificateData)
    match data:
        case Issued():
            said = _said(data)
            assert model.issue_refusals(said, data.uuid, now) == set()
            model.issue(said, data.uuid, data.key_type.value, now)
        case Revoked(revocation_date=date):
            assert model.revoke_refusals(data.serial, now) == set()
            model.revoke(data.serial, data.reason_code, now, date=naive_utc(date))
        case Expired():
            assert data.serial in model.due(now)
            model.expire(data.serial, now)
        case Deleted():
            assert model.delete_refusals(data.serial, now) == set()
            model.delete(data.serial, now)


def _said(data: Issued) -> Certificate:
    return Certificate(
        data.serial,
        data.common_name or None,
        naive_utc(data.not_valid_before),
        naive_utc(data.not_valid_after),
        data.certificate_pem,
    )
