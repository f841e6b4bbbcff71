"""The tests that every database of the registry passes, to hold another one to them."""
