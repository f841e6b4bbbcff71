"""A value that is made when it is first asked for."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import pytest

from certledger.first_use import OnFirstUse


def counting() -> OnFirstUse[int]:
    """Gives how often it was made."""
    numbers = count(1)
    return OnFirstUse(lambda: next(numbers))


def test_it_is_made_once_and_not_before_it_is_asked_for() -> None:
    value = counting()
    assert not value.is_made
    assert (value(), value(), value.is_made) == (1, 1, True)


def test_what_was_forgotten_is_made_anew() -> None:
    value = counting()
    value()
    value.forget()
    assert not value.is_made
    assert value() == 2


def test_threads_that_ask_at_once_get_one_value() -> None:
    start = threading.Barrier(8)
    value = counting()

    def ask() -> int:
        start.wait()
        return value()

    with ThreadPoolExecutor(8) as pool:
        assert {asked.result() for asked in [pool.submit(ask) for _ in range(8)]} == {1}


class Watched(OnFirstUse[str]):
    """Tells of everyone who waits for the value or makes it."""

    joined = threading.Semaphore(0)

    def _join(self) -> tuple[Future[str], bool]:
        attempt = super()._join()
        self.joined.release()
        return attempt


def test_those_who_wait_share_an_error_and_the_next_one_tries_again() -> None:
    tries = count(1)

    def make() -> str:
        if next(tries) > 1:
            return "made"
        for _ in range(3):
            value.joined.acquire()
        raise OSError("not now")

    value = Watched(make)
    with ThreadPoolExecutor(3) as pool:
        for asked in [pool.submit(value) for _ in range(3)]:
            with pytest.raises(OSError, match="not now"):
                asked.result()
    assert not value.is_made
    assert value() == "made"
