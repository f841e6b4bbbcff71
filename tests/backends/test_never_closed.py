"""Programs that close nothing end without a warning: what was opened is closed at their end."""

from __future__ import annotations

import pytest

from tests.support.quiet import run_quietly
from tests.support.servers import Place

BEGIN = """
import asyncio, gc, os, sys
from sqlalchemy import text
from certledger import AsyncDBHandler, Ledger
from certledger.testing.certificates import make_certificate
ledger = Ledger(sys.argv[1])
handler = AsyncDBHandler(sys.argv[1])

async def use_session():
    async with handler._db.get_session() as session:
        await session.execute(text("SELECT count(*) FROM certificates"))

def use(serial):
    ledger.issue(make_certificate(serial=serial))
    assert ledger.get(serial).status == "valid"
    assert asyncio.run(handler.revoke_certificate(serial))[0]
    assert asyncio.run(handler.get_by_serial(serial)).status == "revoked"
    asyncio.run(use_session())
"""
ENDS = {
    "at the end": "use(1)",
    "dropped before": "use(1)\ndel ledger, handler\ngc.collect()",
    "after a fork": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
use(1)
pid = os.fork()
use(2 if pid else 3)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
""",
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_closes_nothing_ends_without_a_word(
    kind: str, end: str, request: pytest.FixtureRequest
) -> None:
    place: str | Place = request.getfixturevalue("url" if kind == "sqlite" else kind)
    run_quietly(BEGIN + ENDS[end], place if isinstance(place, str) else place.url)
