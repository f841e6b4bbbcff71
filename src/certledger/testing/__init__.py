"""The tests that every database of the registry passes, to hold another one to them.

A class of tests for each part. A subclass runs it on what a fixture `backend` gives::

    from certledger import testing

    @pytest.fixture
    def backend():
        return testing.PostgreSql("postgresql://postgres@127.0.0.1/postgres")

    class TestContract(testing.Contract):
        pass

Needs pytest (`pip install certledger[testing]`).
"""

import pytest

# Before they are imported, so that a failure shows the values that it compared.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "checks",
            "concurrency",
            "contract",
            "crashes",
            "lifecycle",
            "raw",
            "reading",
            "replay",
            "told",
            "whole",
        )
    )
)

from certledger.testing.backend import Backend, CutOff, Flavour, Opened, Server
from certledger.testing.blocking import Blocking
from certledger.testing.checks import Checks
from certledger.testing.clock import FakeClock
from certledger.testing.concurrency import Concurrency
from certledger.testing.contract import Contract, Managing
from certledger.testing.crashes import Crashes
from certledger.testing.kinds import MariaDb, PostgreSql, SqliteFile, SqliteMemory
from certledger.testing.lifecycle import Lifecycle
from certledger.testing.proxy import Proxy
from certledger.testing.reading import Reading
from certledger.testing.rules import RULES

__all__ = [
    "RULES",
    "Backend",
    "Blocking",
    "Checks",
    "Concurrency",
    "Contract",
    "Crashes",
    "CutOff",
    "FakeClock",
    "Flavour",
    "Lifecycle",
    "Managing",
    "MariaDb",
    "Opened",
    "PostgreSql",
    "Proxy",
    "Reading",
    "Server",
    "SqliteFile",
    "SqliteMemory",
]
