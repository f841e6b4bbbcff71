"""What a piece of evidence proves, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from certledger.cli.terminal import Terminal
from certledger.cli.text import counted, moment, safe_lines, serial_text
from certledger.cli.words import what
from certledger.errors import EvidenceRefused, InvalidEvent
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from certledger.eventstore.tlog.cosignature import timestamp_of
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.note import Signature
from certledger.exporters.evidence import CheckedEvidence

_NOT_SHOWN: Final = (
    "who really acted and when: that is asserted; and whether more about it came later"
)
_LAST_SECOND: Final = 253_402_300_799
"""The last POSIX second that a datetime can hold."""

_PLAIN_SIZE: Final = 64

Pairs = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Proved:
    """A sentence, what goes with it, and what the reader must beware of."""

    sentence: str
    pairs: tuple[tuple[str, str], ...]
    warning: str = ""


def tell(terminal: Terminal, proved: Proved) -> None:
    """Print what was proved."""
    terminal.say(f"proved: {proved.sentence}", "bold green")
    for label, value in proved.pairs:
        first, *rest = safe_lines(value).split("\n")
        terminal.out.print(Text.assemble((f"{label:<14}", "dim"), first), soft_wrap=True)
        for line in rest:
            terminal.out.print(Text.assemble((f"{'':<14}| ", "dim"), line), soft_wrap=True)
    if proved.warning:
        terminal.warn(proved.warning)


def that_entry_is_in(opened: OpenedCheckpoint, index: int, entry: bytes) -> Proved:
    """Say that a log holds an entry.

    Raises `EvidenceRefused` for an event of certledger that says to stand elsewhere.
    """
    try:
        event = read_event(entry)
    except InvalidEvent:
        about = iter([("what", f"{counted(len(entry), 'byte')} that are no event of certledger")])
    else:
        _check_place(event, index, opened.checkpoint)
        about = _about(event)
    sentence = f"these bytes are entry {index} of the log {opened.checkpoint.origin}"
    return Proved(sentence, (*about, *_signed(opened), ("not shown", _NOT_SHOWN)))


def _check_place(event: Event, index: int, checkpoint: Checkpoint) -> None:
    if (event.seq, event.source) != (index, checkpoint.origin):
        message = (
            f"the log {checkpoint.origin!r} holds this at {index}, but it says of itself that it "
            f"is entry {event.seq} of {event.source!r}"
        )
        raise EvidenceRefused(message)


def that_archive_holds(checked: CheckedEvidence) -> Proved:
    """Say that a log holds all entries of an archive."""
    bundle = checked.bundle
    events = counted(len(bundle.events), "event")
    sentence = (
        f"the log {bundle.checkpoint.origin} holds these {events} of certificate "
        f"{serial_text(bundle.serial)}"
    )
    told = ((f"entry {event.seq}", _in_short(event)) for event in bundle.events)
    warning = (
        "README.txt and the summaries in it were written by another version of certledger, so they "
        "were not checked: rely on the entries"
    )
    pairs = (*told, *_signed(checked.opened), ("not shown", _NOT_SHOWN))
    return Proved(sentence, pairs, warning if checked.foreign_texts else "")


def that_log_grew(old: Checkpoint, opened: OpenedCheckpoint) -> Proved:
    """Say that nothing was changed between two checkpoints."""
    new = opened.checkpoint
    sentence = (
        f"the log {new.origin} of {counted(new.size, 'entry', 'entries')} begins with all that the "
        f"checkpoint of {old.size:,} covers: nothing of it was changed or taken away"
    )
    return Proved(sentence, (("root of old", to_base64(old.root)), *_signed(opened)))


def that_checkpoint_is_signed(opened: OpenedCheckpoint) -> Proved:
    """Say what a checkpoint commits its log to."""
    checkpoint = opened.checkpoint
    size = counted(checkpoint.size, "entry", "entries")
    sentence = f"whoever holds the key signed that the log {checkpoint.origin} has {size}"
    return Proved(sentence, (*_signed(opened),))


def _in_short(event: Event) -> str:
    return f"{moment(event.recordedtime)} {event.authid}: {what(event)}"


def _about(event: Event) -> Pairs:
    yield "about", event.subject
    yield "what", what(event)
    yield "who", f"{event.authid} ({event.authtype}), as the registry asserts"
    yield "when", f"{moment(event.recordedtime)}, by the registry's clock"
    if event.data.comment:
        yield "why", event.data.comment


def _signed(opened: OpenedCheckpoint) -> Pairs:
    checkpoint = opened.checkpoint
    yield "log", f"{counted(checkpoint.size, 'entry', 'entries')}"
    yield "root", to_base64(checkpoint.root)
    for signature in opened.signatures:
        # What was verified is a plain signature, or one behind the time of a cosignature.
        plain = len(signature.signature) == _PLAIN_SIZE
        yield ("signed by", _signer(signature)) if plain else ("cosigned by", _witness(signature))


def _signer(signature: Signature) -> str:
    return f"{signature.name}+{signature.key_id.hex()}"


def _witness(signature: Signature) -> str:
    seconds = timestamp_of(signature.signature)
    if seconds > _LAST_SECOND:
        return f"{_signer(signature)}, {seconds} seconds after 1970"
    return f"{_signer(signature)} at {moment(datetime.fromtimestamp(seconds, UTC))}"
