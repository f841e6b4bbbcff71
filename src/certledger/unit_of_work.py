"""One write transaction: decide on the streams, append, and bring the read model along."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import Connection

from certledger.errors import CommandIdReused, DuplicateUuid, InvalidValue, UnknownSerial
from certledger.eventstore.actor import Actor
from certledger.eventstore.append import NewEvent, Tail
from certledger.eventstore.backends import backend_of
from certledger.eventstore.event import Event
from certledger.eventstore.events import CertificateData, Deleted
from certledger.eventstore.lifecycle import (
    Command,
    Delete,
    Issue,
    Revoke,
    State,
    decide,
    evolve,
    fold,
    revoked_data,
    stream_of,
)
from certledger.eventstore.reader import find_entry
from certledger.eventstore.times import Clock, utc_now
from certledger.projections.projector import Change, ask_to_project, mend_serial

_SURROGATE = re.compile("[\ud800-\udfff]")


def random_id() -> str:
    """Return a random event id (UUIDv4)."""
    return str(uuid4())


def check_command_id(command_id: str) -> None:
    """Refuse a text that can stand for no command. Raises `InvalidValue`."""
    if not command_id or _SURROGATE.search(command_id):
        message = f"command_id {command_id!r}: empty, or half of a surrogate pair in it"
        raise InvalidValue(message)


def id_of_command(origin: str, command_id: str) -> str:
    """Return the event id that a caller's command id stands for in a registry."""
    return str(uuid5(uuid5(NAMESPACE_URL, origin), command_id))


@dataclass(frozen=True, slots=True)
class Context:
    """What a unit of work takes from outside."""

    clock: Clock = utc_now
    new_id: Callable[[], str] = random_id
    allow_clock_behind: bool = False


class UnitOfWork:
    """Decides commands on the events of their streams, appends and projects.

    Nothing reaches the database before `finish`, which comes before the transaction's commit.
    """

    def __init__(
        self, connection: Connection, context: Context, expected: Sequence[Command] = ()
    ) -> None:
        """Lock the log, and read what the expected commands will be decided on.

        Raises what `Tail` raises.
        """
        self._connection = connection
        subjects, uuids = _decided_on(expected)
        self.tail = Tail(
            connection,
            context.clock,
            allow_clock_behind=context.allow_clock_behind,
            subjects=subjects,
            uuids=uuids,
        )
        self._states: dict[int, State] = {}
        self._changes: list[Change] = []
        self._given: dict[str, int] = {}
        """uuid to the serial number that was given it here last."""
        self._notes: list[str] = []

    def state(self, serial: int) -> State:
        """Return what the stream of a serial number adds up to."""
        state = self._states.get(serial)
        if state is None:
            state = self._states[serial] = fold(self.tail.stream(stream_of(serial)))
        return state

    def expect(self, commands: Sequence[Command]) -> None:
        """Read at once all that the commands will be decided on, rather than one by one."""
        self.tail.learn(*_decided_on(commands))

    def execute(self, command: Command, event_id: str, actor: Actor) -> Event:
        """Decide a command and append the event that it causes.

        Raises what `decide` raises, and `DuplicateUuid`; then nothing was appended.
        """
        before = self.state(command.serial)
        data = decide(before, command, self.tail.now)
        uuid = data.uuid_taken
        if uuid is not None:
            self._require_free(uuid)
        new = NewEvent(stream_of(command.serial), data, actor, event_id)
        (event,) = self.tail.append([new], expected_version=before.version)
        after = self._states[command.serial] = evolve(before, event)
        self._changes.append(Change(event, before, after))
        if uuid is not None:
            self._given[uuid] = command.serial
        return event

    def holder_of(self, uuid: str) -> int | None:
        """Return the serial number of the present certificate with a uuid, None where there is
        none. Decided on the log: the table's uuids may have been edited.
        """
        if uuid not in self.tail.holders:
            self.tail.learn((), [uuid])
        serials = [int(subject.partition("/")[2]) for subject in self.tail.holders[uuid]]
        if uuid in self._given:
            serials.append(self._given[uuid])
        for serial in serials:
            state = self.state(serial)
            if state.present and state.certificate.uuid == uuid:
                return serial
        return None

    def _require_free(self, uuid: str) -> None:
        holder = self.holder_of(uuid)
        if holder is not None:
            raise DuplicateUuid(uuid, holder)

    def mend(self, serial: int) -> None:
        """Set the row of a serial number to what the log says."""
        state = self.state(serial)
        if state.issued is not None:
            self._notes += mend_serial(self._connection, state)

    def finish(self) -> list[str]:
        """Write all that was decided; return what had to be mended in the read model, in words."""
        if not self._changes:
            return self._notes
        with backend_of(self._connection).together(self._connection):
            grown = self.tail.ask_to_flush()
            projected = ask_to_project(self._connection, self._changes)
        grown()
        return self._notes + projected()


def _decided_on(commands: Sequence[Command]) -> tuple[list[str], list[str]]:
    """Return the streams, and the uuids, that commands are decided on."""
    uuids = [command.data.uuid for command in commands if isinstance(command, Issue)]
    return (
        [stream_of(command.serial) for command in commands],
        [uuid for uuid in uuids if uuid is not None],
    )


def recorded_before(connection: Connection, event_id: str) -> Event | None:
    """Return the event of an id where an earlier try, or an earlier command, recorded it."""
    entry = find_entry(connection, event_id)
    return None if entry is None else entry.event()


def repeat(event: Event, command: Command, command_id: str) -> Event:
    """Return the first result of a repeated command.

    Raises `CommandIdReused` where the event was another command's.
    """
    if event.subject != stream_of(command.serial):
        raise CommandIdReused(command_id, event.seq, "subject")
    expected = _data_again(event, command)
    if type(expected) is not type(event.data):
        raise CommandIdReused(command_id, event.seq, "type")
    if expected != event.data:
        raise CommandIdReused(command_id, event.seq, "data")
    return event


def _data_again(event: Event, command: Command) -> CertificateData | None:
    """Return the data that the command would have had, had it caused this event."""
    match command:
        case Issue(data=data):
            return data
        case Revoke():
            return revoked_data(command, event.recordedtime)
        case Delete(serial=serial, uuid=uuid, comment=comment):
            held = event.data.uuid if isinstance(event.data, Deleted) else None
            return Deleted(serial_number=str(serial), uuid=uuid or held, comment=comment)
    return None


def present_serial(unit: UnitOfWork, uuid: str) -> int:
    """Return the serial number of the present certificate with a uuid.

    Raises `UnknownSerial`.
    """
    serial = unit.holder_of(uuid) if uuid else None
    if serial is None:
        message = f"uuid {uuid!r}"
        raise UnknownSerial(message)
    return serial
