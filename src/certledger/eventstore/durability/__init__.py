"""Which settings keep what was acknowledged over a crash, by kind of database."""
