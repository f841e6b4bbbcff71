"""The tests that every database of the registry passes, to hold another one to them."""

import pytest

# Before they are imported, so that a failure shows the values that it compared.
pytest.register_assert_rewrite("certledger.testing.contract", "certledger.testing.told")
