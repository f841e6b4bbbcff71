"""Verify: the log held against its own rules, and the tables against the log.

`verify.py` is where to begin reading; every other module is one check, or what checks need.
"""
