"""Checking pages of entries, in this process or in several.

Pages go to the workers as rows and come back as what was found, in their order, and only a few are
on the way at a time. Workers have no connection to the database.
"""

from __future__ import annotations

import pickle
import signal
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context
from typing import Final

from sqlalchemy import Dialect
from sqlalchemy.engine import URL

from certledger.eventstore.statement import Row
from certledger.projections.verifying.entry import CheckedEntry, EntryCheck

_PROTOCOL: Final = pickle.HIGHEST_PROTOCOL
_AHEAD: Final = 2
"""How many pages a worker has before it: one to work at, one to go on with."""

Pages = Iterator[list[Row]]


def checked_pages(
    pages: Pages, url: URL, dialect: Dialect, jobs: int
) -> Iterator[list[CheckedEntry]]:
    """Yield the pages checked, in their order, by `jobs` worker processes; 1: by this one.

    Raises `ChildProcessError` where a worker was killed.
    """
    first = list(islice(pages, 2)) if jobs > 1 else []
    pages = chain(first, pages)
    if len(first) < 2:  # noqa: PLR2004 # starting a process takes longer than checking a page
        check = EntryCheck(dialect)
        for page in pages:
            yield check.page(page)
        return
    yield from _by_workers(pages, url, dialect, jobs)


def _by_workers(
    pages: Pages, url: URL, dialect: Dialect, jobs: int
) -> Iterator[list[CheckedEntry]]:
    # Not forked: this process may have threads, and connections that are not to be shared.
    executor = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (url.get_backend_name(),))
    waiting: deque[Future[bytes]] = deque()
    check = EntryCheck(dialect)
    try:
        ready = executor.submit(_ready)
        for page in pages:
            if not waiting and not ready.done():
                yield check.page(page)  # rather than wait while the workers start
                continue
            waiting.append(executor.submit(_check, pickle.dumps(page, _PROTOCOL)))
            if len(waiting) >= jobs * _AHEAD:
                yield _unpacked(waiting.popleft().result())
        while waiting:
            yield _unpacked(waiting.popleft().result())
    except BrokenProcessPool as error:
        message = "a worker process ended before its work was done: was it killed?"
        raise ChildProcessError(message) from error
    finally:
        executor.shutdown(cancel_futures=True)


_checks: list[EntryCheck] = []
"""Of a worker process: the one that it uses."""


def _begin(dialect: str) -> None:
    # The interrupt of a terminal goes to all of its processes; the parent ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Of odd certificates, such as those with a serial number of 0; the parent's filters, which
    # may want to see them or not, are not known here.
    warnings.simplefilter("ignore")
    _checks.append(EntryCheck(URL.create(dialect).get_dialect()()))


def _ready() -> bool:
    return bool(_checks)


def _check(page: bytes) -> bytes:
    entries = _checks[0].page(pickle.loads(page))  # noqa: S301 # our own parent made it
    # Named tuples would name their class in each row.
    return pickle.dumps([tuple(entry) for entry in entries], _PROTOCOL)


def _unpacked(page: bytes) -> list[CheckedEntry]:
    return [CheckedEntry(*row) for row in pickle.loads(page)]  # noqa: S301 # our own worker made it
