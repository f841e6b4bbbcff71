"""Signing checkpoints by itself while the registry is used: every N events, or every T seconds."""

from __future__ import annotations

import logging
import math
import os
import threading
import weakref
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection

from certledger.errors import InvalidValue, KeyRefused, LedgerError
from certledger.eventstore.checkpoints import newest_of_key
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.high_water import state_path
from certledger.eventstore.signing import check_name, sign_checkpoint
from certledger.eventstore.times import Clock
from certledger.eventstore.tlog.keyfile import read_key_file
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import require_kind

_WAIT_SECONDS: Final = 5.0
"""For another signer: a caller waits for its change."""


@dataclass(frozen=True, slots=True)
class _Since:
    """From what on is counted: the last checkpoint, or the last try."""

    size: int = 0
    at: datetime | None = None


class AutoSigner:
    """Signs a checkpoint when enough has changed since the last one of its key.

    Hand it to `Ledger(signer=...)`. After each change that is committed it looks whether
    `every_events` entries or `every_seconds` have come since; then it signs, before the change's
    call returns. There is no thread behind it: without changes nothing is signed, however much
    time goes by. For a log that rests, run `certledger checkpoint` by cron as well.

    A failure to sign is logged as ERROR and harms no change. It is tried again when as many
    entries or seconds have come once more. Safe to use from several threads and after a fork, and
    beside other signers with the same key and state file.
    """

    def __init__(
        self,
        key: SigningKey,
        state: str | Path,
        *,
        every_events: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        """Take the key, and the file outside of the database that holds its last checkpoint.

        Raises `InvalidValue` without a rule or for one that is not above zero, `MalformedEvidence`
        for a witness's key.
        """
        require_kind(key.verifier_key, KeyKind.ED25519)
        _check_rules(every_events, every_seconds)
        self._key = key
        self._state = Path(state)
        self._every_events = every_events
        self._every_seconds = None if every_seconds is None else _delta(every_seconds)
        self._since: _Since | None = None
        self._lock = threading.Lock()
        _signers.add(self)

    @classmethod
    def from_key_file(
        cls,
        key_file: str | Path,
        *,
        passphrase: bytes | None = None,
        state: str | Path | None = None,
        every_events: int | None = None,
        every_seconds: float | None = None,
    ) -> Self:
        """Take the key from a file that `certledger key new` made.

        The state file is the one that `certledger checkpoint` uses, unless named. Raises
        `KeyRefused`, `OSError`, and what the constructor raises.
        """
        path = Path(key_file)

        def known() -> bytes:
            if passphrase is None:
                raise KeyRefused("it is encrypted: give its passphrase")
            return passphrase

        return cls(
            read_key_file(path, known),
            state_path(path) if state is None else state,
            every_events=every_events,
            every_seconds=every_seconds,
        )

    def require_log(self, origin: str) -> None:
        """Refuse to serve a log that has another name than the key. Raises `SigningRefused`."""
        check_name(origin, self._key.verifier_key)

    def after_change(
        self, database: Database, clock: Clock, logger: logging.Logger, size: int | None = None
    ) -> None:
        """Sign where it is due. Raises nothing: the change before is recorded, whatever happens.

        `size` is the log's after the change, where the caller knows it.
        """
        try:
            if size is None or self._is_due(size, clock()):
                with self._lock:
                    self._sign_if_due(database, clock, logger)
        except Exception as error:  # noqa: BLE001 # the caller's change must not fail with it
            self._tell(logger, error)

    def after_fork_in_child(self) -> None:
        """Forget the parent's threads, of which one may hold the lock."""
        self._lock = threading.Lock()

    def _sign_if_due(self, database: Database, clock: Clock, logger: logging.Logger) -> None:
        # Another thread, or another process with this key, may have signed meanwhile.
        size, self._since = database.read(self._look)
        now = clock()
        if not self._is_due(size, now):
            return
        # Should it fail, it is tried again when as much has come once more.
        self._since = _Since(size, now)
        signed = sign_checkpoint(
            database, self._key, self._state, clock, wait_seconds=_WAIT_SECONDS
        ).checkpoint
        self._since = _Since(signed.size, now)
        logger.info("checkpoint of %d entries signed", signed.size)

    def _look(self, connection: Connection) -> tuple[int, _Since]:
        since = self._since or _Since()
        stored = newest_of_key(connection, self._key.verifier_key.to_text())
        if stored is not None and stored.size > since.size:
            since = _Since(stored.size, stored.stored_at)
        return read_head(connection).size, since

    def _is_due(self, size: int, now: datetime) -> bool:
        since = self._since
        if since is None or size < since.size:
            # Nothing is known yet; or the log was cut off, which signing will tell.
            return True
        if size == since.size:
            return False
        if self._every_events is not None and size - since.size >= self._every_events:
            return True
        if self._every_seconds is None:
            return False
        # A last checkpoint in the future says that one of the clocks was wrong.
        return since.at is None or not timedelta(0) <= now - since.at < self._every_seconds

    @staticmethod
    def _tell(logger: logging.Logger, error: Exception) -> None:
        expected = isinstance(error, LedgerError | OSError)
        logger.error(
            "no checkpoint was signed, the change is recorded: %s",
            error,
            exc_info=None if expected else error,
        )


def _check_rules(every_events: int | None, every_seconds: float | None) -> None:
    if every_events is None and every_seconds is None:
        raise InvalidValue("say when to sign: every_events, every_seconds or both")
    if every_events is not None and every_events < 1:
        message = f"every_events: {every_events} is not 1 or more"
        raise InvalidValue(message)
    if every_seconds is not None and not 0 < every_seconds < math.inf:
        message = f"every_seconds: {every_seconds} is not above zero"
        raise InvalidValue(message)


def _delta(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        return timedelta.max


_signers: weakref.WeakSet[AutoSigner] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for signer in list(_signers):
        signer.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
