"""Evidence that nobody has to take on trust: making it, and checking it offline.

These modules import only the standard library, `cryptography`, `certledger.errors`, the Merkle
tree's hashes and each other, so that an auditor can read all that a verdict rests on. The formats
are those of RFC 9162 and of C2SP (https://c2sp.org): signed-note, tlog-checkpoint,
tlog-cosignature, tlog-proof, tlog-tiles and tlog-policy.
"""
