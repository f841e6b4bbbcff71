"""Fixtures of the exporters' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certledger.testing.clock import FakeClock
from tests.support import exported
from tests.support.exported import Publisher


@pytest.fixture
def publisher(tmp_path: Path, clock: FakeClock) -> Iterator[Publisher]:
    yield from exported.publisher(tmp_path, clock)
