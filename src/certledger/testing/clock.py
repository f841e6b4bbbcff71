"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Gives the same instant at every call; `step` moves it, also back."""

    def __init__(self, start: datetime | None = None) -> None:
        self.now = start or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def step(self, **delta: float) -> datetime:
        """Move by `timedelta(**delta)` and return the new instant."""
        self.now += timedelta(**delta)
        return self.now
