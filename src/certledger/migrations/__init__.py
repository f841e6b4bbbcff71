"""The steps from one version of the tables to the next.

Entries are never touched and `log_entry` is never made anew: new facts go into tables beside it.
Alembic is loaded by `steps` alone, which only an upgrade imports.
"""
