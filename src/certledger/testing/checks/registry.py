"""What all checks begin with: a registry in which every kind of event has happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.ledger import Ledger
from certledger.testing.backend import Backend
from certledger.testing.clock import FakeClock
from certledger.testing.populated import Populated, populate
from certledger.testing.suite import Suite

ORIGIN: Final = "registry.example.org/suite"


def findings(ledger: Any, **options: Any) -> list[str]:
    return [found.kind for found in ledger.verify(**options) if found.level == "finding"]


def key_of_log() -> SigningKey:
    return SigningKey(ORIGIN, KeyKind.ED25519, b"k" * 32)


class WithRegistry(Suite):
    """Fixtures of all checks."""

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        backend.require_certledger()

    @pytest.fixture
    def registry(self, url: str, clock: FakeClock) -> Iterator[Ledger]:
        """An open registry of this origin."""
        with Ledger(url, origin=ORIGIN, clock=clock) as ledger:
            yield ledger

    @pytest.fixture
    def populated(self, registry: Ledger, clock: FakeClock) -> Populated:
        """What the registry holds then: 19 events."""
        return populate(registry, clock)
