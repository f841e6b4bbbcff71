"""The tests that every database of the registry passes, to hold another one to them.

A class of tests for each part; a subclass runs it on the database that a fixture `backend` gives.
"""

import pytest

# Before they are imported, so that a failure shows the values that it compared.
_PARTS = ("contract", "concurrency", "crashes", "raw", "replay", "told", "whole")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))
