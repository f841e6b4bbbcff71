"""Getting the next item ready while the one before is worked at."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield the items of an iterator, which a thread asks for the next one meanwhile.

    What the iterator raises is raised here in its turn. The thread ends when all is yielded, or
    when the result is closed.
    """
    with ThreadPoolExecutor(1, "certledger-copy") as executor:
        waiting = executor.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = executor.submit(next, items, None)
            yield item
