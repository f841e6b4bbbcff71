"""What the streams of a log and the lifecycle demand of the next entry of a file."""

from __future__ import annotations

from sqlalchemy import Connection

from certledger.errors import DuplicateUuid, InvalidValue, UnknownEventType
from certledger.eventstore.event import Event
from certledger.eventstore.events import CertificateData, UnknownData
from certledger.eventstore.lifecycle import State, evolve, fold
from certledger.eventstore.reader import (
    find_entry,
    read_stream,
    stream_version,
    subjects_with_uuid,
)
from certledger.projections.projector import Change


class History:
    """Follows entries in their order; those of the batches before are in the log.

    The rules are those that appending keeps.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.begin_batch()

    def begin_batch(self) -> None:
        """Forget what the log now holds."""
        self._states: dict[str, State] = {}
        self._versions: dict[str, int] = {}
        self._ids: set[str] = set()
        self._uuids: dict[str, set[str]] = {}

    def follow(self, event: Event) -> Change | None:
        """Check the next entry; return what it changes in the read model.

        Raises a `LedgerError` that says what is wrong.
        """
        self._check_stream(event)
        if event.id in self._ids or find_entry(self._connection, event.id) is not None:
            message = f"its id {event.id} was an earlier entry's"
            raise InvalidValue(message)
        change = self._change(event)
        self._versions[event.subject] = event.streamversion + 1
        self._ids.add(event.id)
        return change

    def _check_stream(self, event: Event) -> None:
        version = self._versions.get(event.subject)
        if version is None:
            version = stream_version(self._connection, event.subject)
        if event.streamversion != version:
            message = f"it has the stream version {event.streamversion} where {version} is due"
            raise InvalidValue(message)

    def _change(self, event: Event) -> Change | None:
        if isinstance(event.data, UnknownData):
            raise UnknownEventType(event.seq, event.type)
        if not isinstance(event.data, CertificateData):
            return None
        before = self._state(event.subject)
        after = evolve(before, event)
        uuid = event.data.uuid_taken
        if uuid is not None:
            self._check_uuid(uuid, event.subject)
            self._uuids.setdefault(uuid, set()).add(event.subject)
        self._states[event.subject] = after
        return Change(event, before, after)

    def _check_uuid(self, uuid: str, subject: str) -> None:
        """See that no other certificate that is present has the uuid."""
        known = subjects_with_uuid(self._connection, uuid)
        for other in {*known, *self._uuids.get(uuid, ())} - {subject}:
            state = self._state(other)
            if state.present and state.certificate.uuid == uuid:
                raise DuplicateUuid(uuid, state.certificate.serial)

    def _state(self, subject: str) -> State:
        state = self._states.get(subject)
        if state is None:
            state = self._states[subject] = fold(read_stream(self._connection, subject))
        return state
