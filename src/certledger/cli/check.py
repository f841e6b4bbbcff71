"""The command that checks evidence offline, without a registry: check."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from certledger.cli.failures import FAILED, CheckingCommand, Failure, describe
from certledger.cli.prove import leaf_beside
from certledger.cli.proved import (
    Proved,
    tell,
    that_archive_holds,
    that_checkpoint_is_signed,
    that_entry_is_in,
    that_log_grew,
)
from certledger.cli.session import Session, pass_session
from certledger.cli.trust import trust_in
from certledger.cli.vkey import VKEY
from certledger.errors import EvidenceError, EvidenceRefused
from certledger.eventstore.tlog.checkpoint import Trust
from certledger.eventstore.tlog.consistency import ConsistencyProof
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.exporters.evidence import check_evidence
from certledger.exporters.stored_zip import LARGEST, is_archive

_PROOF: Final = b"c2sp.org/tlog-proof@"
_CONSISTENCY: Final = re.compile(rb"old [0-9]+\n")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=CheckingCommand)
@click.argument("file", type=_file)
@click.option(
    "--vkey", type=VKEY, metavar="KEY", help="The log's verifier key line, or a file that holds it."
)
@click.option("--policy", type=_file, metavar="P", help="A policy: logs, witnesses, a quorum.")
@click.option("--origin", metavar="NAME", help="The log's name.  [default: that of the key]")
@click.option(
    "--entry", type=_file, metavar="E", help="The entry of a proof.  [default: NAME.leaf beside it]"
)
@click.option(
    "--since", type=_file, metavar="OLD", help="The older checkpoint of a consistency proof."
)
@pass_session
def check(
    session: Session,
    file: Path,
    vkey: VerifierKey | None,
    policy: Path | None,
    origin: str | None,
    entry: Path | None,
    since: Path | None,
) -> None:
    """Check evidence, and say what it proves.

    FILE is a proof (NAME.tlog-proof), a consistency proof, a signed checkpoint, or what `certledger
    evidence` wrote. No registry is needed. Get KEY from the registry in another way than FILE.
    Exits with 0 when FILE holds, 1 when it does not, 2 when it could not be checked.
    """
    trust = trust_in(vkey, policy, origin)
    data = _read(file)
    try:
        proved = _check(file, data, trust, entry, since)
    except EvidenceError as error:
        message = f"{file} does not hold: {describe(error)}"
        raise Failure(message, FAILED) from error
    tell(session.terminal, proved)


def _check(file: Path, data: bytes, trust: Trust, entry: Path | None, since: Path | None) -> Proved:
    is_proof, grows = data.startswith(_PROOF), _CONSISTENCY.match(data) is not None
    if entry is not None and not is_proof:
        raise click.UsageError("--entry goes with a proof of an entry, which FILE is not")
    if (since is not None) != grows:
        raise click.UsageError("--since, and a consistency proof, go with each other alone")
    if is_proof:
        return _check_entry(data, trust, entry or leaf_beside(file))
    if since is not None:
        return _check_growth(data, trust, since)
    if is_archive(data):
        return that_archive_holds(check_evidence(data, trust))
    return that_checkpoint_is_signed(trust.open(data))


def _check_entry(data: bytes, trust: Trust, leaf: Path) -> Proved:
    if not leaf.exists():
        message = f"there is no {leaf}: name the file with the entry's exact bytes with --entry"
        raise click.UsageError(message)
    proof, entry = TlogProof.from_bytes(data), _read(leaf)
    opened = proof.verify(entry, trust)
    return that_entry_is_in(opened, proof.index, entry)


def _check_growth(data: bytes, trust: Trust, since: Path) -> Proved:
    try:
        old = trust.open(_read(since)).checkpoint
    except EvidenceError as error:
        message = f"the older checkpoint in {since}: {error}"
        raise EvidenceRefused(message) from error
    return that_log_grew(old, ConsistencyProof.from_bytes(data).verify(old, trust))


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        message = f"{path} is larger than any evidence: more than {LARGEST:,} bytes"
        raise Failure(message, FAILED)
    return data
