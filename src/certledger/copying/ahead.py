"""Getting the next item ready while the one before is worked at."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of an iterator, which a thread asks for the next one meanwhile.

    What the iterator raises is raised here in its turn. No thread is left behind.
    """
    with ThreadPoolExecutor(1, "certledger-copy") as executor:
        waiting = executor.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = executor.submit(next, items, None)
            yield item
