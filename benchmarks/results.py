"""What a benchmark found, and how it is written as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.rounds import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """A value over the rounds."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(min(values), median(values), max(values))

    def json(self) -> dict[str, float]:
        """Return it as JSON members, at a precision that means something."""
        return {name: float(f"{getattr(self, name):.5g}") for name in ("min", "median", "max")}


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach."""

    limit: float
    at_most: bool

    def met_by(self, value: float) -> bool:
        """Tell whether a value reaches the goal."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        """Write it as `≤ 1.7`."""
        return f"{'≤' if self.at_most else '≥'} {self.limit:,g}"


def at_most(limit: float) -> Goal:
    """Return the goal not to exceed a limit."""
    return Goal(limit, at_most=True)


def at_least(limit: float) -> Goal:
    """Return the goal to reach a limit."""
    return Goal(limit, at_most=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio or rate that is compared with its goal."""

    what: str
    unit: str
    wall: Spread
    """By the clock, or of what is no time at all."""
    cpu: Spread | None = None
    """The same by processor time, where waiting for the disk disturbs."""
    goal: Goal | None = None

    @property
    def verdict(self) -> str:
        """Say whether the goal was met."""
        if self.goal is None:
            return ""
        if self.goal.met_by(self.wall.median):
            return "met"
        if self.cpu is not None and self.goal.met_by(self.cpu.median):
            return "missed, met by CPU"
        return "missed"

    def json(self) -> dict[str, Any]:
        """Return it as JSON members."""
        return {
            "what": self.what,
            "unit": self.unit,
            "wall": self.wall.json(),
            "cpu": None if self.cpu is None else self.cpu.json(),
            "goal": None if self.goal is None else str(self.goal),
            "verdict": self.verdict,
        }


@dataclass(slots=True)
class Result:
    """What one benchmark measured."""

    name: str
    measured: str
    """What was done, in a sentence."""
    samples: dict[str, list[Sample]]
    """By contender."""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """Return it as JSON members; the times are seconds for one of `count` things."""
        return {
            "name": self.name,
            "measured": self.measured,
            "contenders": [
                {
                    "name": name,
                    "count": samples[0].count,
                    "wall": Spread.of([each.wall / each.count for each in samples]).json(),
                    "cpu": Spread.of([each.cpu / each.count for each in samples]).json(),
                }
                for name, samples in self.samples.items()
            ],
            "figures": [figure.json() for figure in self.figures],
            "notes": self.notes,
        }

    def ratio(
        self, what: str, over: str, under: str, goal: Goal | None = None, *, cpu: bool = True
    ) -> None:
        """Add time of `over` / time of `under`, paired round by round, where both were measured."""
        if over not in self.samples or under not in self.samples:
            return
        pairs = list(zip(self.samples[over], self.samples[under], strict=True))

        def spread(seconds: Callable[[Sample], float]) -> Spread:
            return Spread.of(
                [(seconds(a) / a.count) / (seconds(b) / b.count) for a, b in pairs if seconds(b)]
                or [0.0]
            )

        by_cpu = spread(lambda sample: sample.cpu) if cpu else None
        self.figures.append(Figure(what, "x", spread(lambda sample: sample.wall), by_cpu, goal))

    def rate(self, what: str, contender: str, unit: str, goal: Goal | None = None) -> None:
        """Add how many things a contender does in a second."""
        self._each(what, contender, unit, goal, lambda seconds, count: count / seconds)

    def time_of_one(
        self, what: str, contender: str, scale: float, unit: str, goal: Goal | None = None
    ) -> None:
        """Add the time that one thing takes, in seconds times `scale`."""
        self._each(what, contender, unit, goal, lambda seconds, count: seconds / count * scale)

    def time_of_round(
        self, what: str, contender: str, scale: float, unit: str, goal: Goal | None = None
    ) -> None:
        """Add the time that a whole round takes, in seconds times `scale`."""
        self._each(what, contender, unit, goal, lambda seconds, _: seconds * scale)

    def _each(
        self,
        what: str,
        contender: str,
        unit: str,
        goal: Goal | None,
        value: Callable[[float, int], float],
    ) -> None:
        samples = self.samples[contender]
        wall = Spread.of([value(each.wall, each.count) for each in samples])
        cpu = Spread.of([value(max(each.cpu, 1e-9), each.count) for each in samples])
        self.figures.append(Figure(what, unit, wall, cpu, goal))
