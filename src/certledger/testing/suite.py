"""The fixtures that all parts of the suite share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from certledger.db.base_db import BaseDB
from certledger.ledger import Ledger
from certledger.testing.backend import Backend, Flavour, Opened
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.told import shown

LOGGER: Final = logging.getLogger("certledger.testing")
"""The logger of all handlers in the suite."""

State = Callable[[], object]
"""Gives all that can be seen of a registry, to be compared with another time."""

Open = Callable[..., Opened]
"""Opens the database of the test again, with the options of `Backend.open`."""


class Suite:
    """Part of the suite: a subclass stands beside a fixture `backend`, which gives a `Backend`.

    A backend with handlers of one kind only overrides `flavour` with a fixture that gives "sync"
    or "async".
    """

    @pytest.fixture(params=["sync", "async"])
    def flavour(self, request: pytest.FixtureRequest) -> Flavour:
        flavour: Flavour = request.param
        return flavour

    @pytest.fixture
    def url(self, backend: Backend) -> Iterator[str]:
        """Of an empty database."""
        with backend.empty() as url:
            yield url

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Stands still from the beginning of the test; only `time` may be moved."""
        return FakeClock()

    @pytest.fixture
    def time(self, backend: Backend, clock: FakeClock) -> FakeClock:
        """The clock, where the handler goes by it."""
        backend.require_clock()
        return clock

    @pytest.fixture
    def issue(self, clock: FakeClock) -> Issue:
        """Makes certificates whose validity is told in days from the beginning of the test."""
        return Issue(clock)

    @pytest.fixture
    def open_again(
        self, backend: Backend, url: str, flavour: Flavour, clock: FakeClock
    ) -> Iterator[Open]:
        with ExitStack() as stack:

            def open_it(at: str = url, **options: Any) -> Opened:
                opened = backend.open(at, flavour, clock=clock, logger=LOGGER, **options)
                return stack.enter_context(opened)

            yield open_it

    @pytest.fixture
    def opened(self, open_again: Open) -> Opened:
        return open_again()

    @pytest.fixture
    def handler(self, opened: Opened) -> BaseDB:
        return opened.handler

    @pytest.fixture
    def ledger(self, backend: Backend, opened: Opened) -> Ledger:
        """What lies under the handler."""
        backend.require_certledger()
        assert opened.ledger is not None
        return opened.ledger

    @pytest.fixture
    def state(self, opened: Opened) -> State:
        """All that the handler shows, and how long its log is."""
        ledger = opened.ledger

        def look() -> object:
            return shown(opened.handler), None if ledger is None else ledger.head().size

        return look

    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
        """What handlers log, down to INFO."""
        with caplog.at_level(logging.INFO, logger=LOGGER.name):
            yield caplog
