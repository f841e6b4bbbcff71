"""Items that are got ready while the ones before are worked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from certledger.copying.ahead import ahead


def running() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("certledger-copy")]


def test_all_items_come_in_their_order() -> None:
    assert [*ahead(iter([3, 1, 2]))] == [3, 1, 2]
    assert [*ahead(iter([]))] == []


def test_the_next_one_is_made_while_the_one_before_is_worked_at() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    with closing(ahead(items())) as found:
        assert next(found) == 1
        assert made.wait(30)
        assert next(found) == 2


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise EOFError

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(EOFError):
        next(found)
    assert running() == []


def test_closed_in_the_middle_it_leaves_no_thread() -> None:
    with closing(ahead(iter(range(1, 10)))) as found:
        next(found)
    assert running() == []
