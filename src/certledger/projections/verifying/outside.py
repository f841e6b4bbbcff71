"""What is known from outside of the database, and that a log must not contradict."""

from __future__ import annotations

from dataclasses import dataclass

from certledger.eventstore.tlog.checkpoint import Trust, TrustedLog
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.policy import Policy


@dataclass(frozen=True, slots=True)
class Held:
    """A file that holds a signed checkpoint."""

    name: str
    """For messages."""
    note: bytes


@dataclass(frozen=True, slots=True)
class Outside:
    """Keys, and checkpoints that others have kept."""

    keys: tuple[VerifierKey, ...] = ()
    """Keys of the log (type 0x01)."""
    policy: Policy | None = None
    """Decides about `checkpoints`; without one a signature of one of the keys is enough."""
    checkpoints: tuple[Held, ...] = ()
    mark: Held | None = None
    """The signer's high-water mark: the last checkpoint that one of the keys signed."""

    @property
    def known(self) -> tuple[VerifierKey, ...]:
        """All keys that are the log's."""
        logs = () if self.policy is None else self.policy.logs
        return tuple(dict.fromkeys((*self.keys, *_plain(logs))))

    def trust(self, origin: str) -> Trust:
        """Return what decides about `checkpoints`."""
        return self.policy or TrustedLog(origin, self.keys)


def _plain(keys: tuple[VerifierKey, ...]) -> list[VerifierKey]:
    return [key for key in keys if key.kind is KeyKind.ED25519]
