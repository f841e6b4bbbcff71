"""Clocks are compared with what is known of the round trip, and with the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from certledger.doctor.clocks import (
    Offset,
    measure,
    offset_of,
    symptoms_of_last_entry,
    symptoms_of_offset,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_server_is_taken_to_have_answered_in_the_middle_of_the_round_trip() -> None:
    assert offset_of(NOW, after(5), after(4)) == Offset(ahead=3, bound=2)
    assert offset_of(NOW, after(-5), after(2)) == Offset(ahead=-6, bound=1)


def test_of_several_answers_the_one_of_the_shortest_round_trip_counts() -> None:
    readings = iter([0, 4, 10, 11, 20, 29, 30, 40, 50, 58])
    answers = iter([2, 13, 24, 35, 54])
    offset = measure(lambda: after(next(answers)), lambda: after(next(readings)))
    assert offset == Offset(ahead=2.5, bound=0.5)


@pytest.mark.parametrize(
    ("ahead", "bound"),
    [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (3.0, 2.0), (-3.0, 2.0), (0.5, 30.0)],
)
def test_an_offset_that_may_be_within_a_second_is_no_symptom(ahead: float, bound: float) -> None:
    assert list(symptoms_of_offset(Offset(ahead, bound))) == []


@pytest.mark.parametrize(
    ("ahead", "bound", "words"),
    [(1.1, 0.0, "1.1 s ahead of"), (-1.1, 0.0, "1.1 s behind"), (7200.0, 0.5, "7,200.0 s ahead")],
)
def test_an_offset_that_is_surely_more_than_a_second_is_weak(
    ahead: float, bound: float, words: str
) -> None:
    (found,) = symptoms_of_offset(Offset(ahead, bound))
    assert (found.level, found.kind) == ("weak", "clock-offset")
    assert words in found.message
    assert f"± {bound:.1f} s" in found.message
    assert [step.command for step in found.mending] == ["timedatectl set-ntp true"]


@pytest.mark.parametrize("recorded_at", [None, after(-3600), NOW, after(1)])
def test_a_last_entry_that_is_not_of_the_future_is_no_symptom(
    recorded_at: datetime | None,
) -> None:
    assert list(symptoms_of_last_entry(NOW, recorded_at)) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2, "given the time of the last one"), (86_401, "appending is refused")],
)
def test_a_last_entry_of_the_future_is_weak(seconds: int, words: str) -> None:
    (found,) = symptoms_of_last_entry(NOW, after(seconds))
    assert (found.level, found.kind) == ("weak", "clock-behind-log")
    assert f"{seconds:,} s behind" in found.message
    assert words in found.message
