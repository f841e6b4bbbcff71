"""Comparisons that print ratios: `python -m benchmarks`. Nothing here is asserted about time.

References are measured beside the registry in the same run: sqlite3 used directly (`raw`), and
tiny_ca as its package index ships it (`rival`).
"""
