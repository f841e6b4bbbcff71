"""Clients, servers and connections that die, on every database.

CERTLEDGER_KILLS says how often, CERTLEDGER_SEED when.
"""

from __future__ import annotations

import os

from certledger.testing.crashes import Crashes


class TestCrashes(Crashes):
    """Kills at random moments."""

    kills = int(os.environ.get("CERTLEDGER_KILLS", "10"))
    seed = int(os.environ.get("CERTLEDGER_SEED", "0"))
