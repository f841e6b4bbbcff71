"""The DDL of the triggers that keep the log append-only, by kind of database."""
