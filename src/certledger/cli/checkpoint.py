"""The commands that sign checkpoints, as the log and as a witness: checkpoint, cosign."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from certledger.cli.failures import Failure
from certledger.cli.keys import read_key
from certledger.cli.outfile import write_whole
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted
from certledger.cli.vkey import VKEY
from certledger.errors import EvidenceError
from certledger.eventstore.high_water import state_path
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.tile_folder import TileFolder
from certledger.eventstore.tlog.tile_tree import TileHashes
from certledger.eventstore.tlog.witness import check_growth, cosigned, is_cosigned

_LARGEST: Final = 65_536

_file = click.Path(dir_okay=False, path_type=Path)
_existing = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--key", "key_file", metavar="FILE", type=_file, required=True, help="The log's private key."
)
@click.option(
    "--state",
    metavar="FILE",
    type=_file,
    help="The key's last checkpoint.  [default: the key file's name and .state]",
)
@click.option(
    "--begin-state",
    is_flag=True,
    help="Where the state file is lost: trust the last stored checkpoint of the key.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=_file,
    help="The file to write.  [default: standard output]",
)
@pass_session
def checkpoint(
    session: Session, key_file: Path, state: Path | None, begin_state: bool, output: Path | None
) -> None:
    """Sign a checkpoint of the log.

    It says how many entries the log has, and their root hash. First the log is proved to continue
    the last checkpoint of this key, which the state file holds outside of the database. Where it
    does not (a restored backup, a log that was cut off or rewritten) nothing is signed, and the
    exit code is 1. The checkpoint is stored in the registry and written out: give it to others, for
    it proves nothing while only the registry has it. The passphrase of an encrypted key is asked
    for, or taken from the environment variable CERTLEDGER_KEY_PASSPHRASE.
    """
    mark = state or state_path(key_file)
    _keep(output, key_file, mark)
    key = read_key(key_file)
    with session.ledger() as ledger:
        signed = sign_checkpoint(ledger.database, key, mark, ledger.now, begin_state=begin_state)
    write_whole(_target(output), signed.note)
    _tell(session.terminal, signed.checkpoint, "signed", output)


@click.command()
@click.argument("checkpoint", type=_existing)
@click.option(
    "--key", "key_file", metavar="FILE", type=_file, required=True, help="The witness's key."
)
@click.option(
    "--vkey",
    metavar="KEY",
    type=VKEY,
    required=True,
    help="The log's verifier key line, or a file that holds it.",
)
@click.option(
    "--tiles",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The log's tree, as `certledger export tiles` writes it.",
)
@click.option(
    "--since", metavar="OLD", type=_existing, help="The checkpoint that was cosigned last."
)
@click.option("--first", is_flag=True, help="This witness has cosigned nothing of this log yet.")
@click.option(
    "-o", "--output", metavar="FILE", type=_file, required=True, help="The file to write."
)
@pass_session
def cosign(
    session: Session,
    checkpoint: Path,
    key_file: Path,
    vkey: VerifierKey,
    tiles: Path,
    since: Path | None,
    first: bool,
    output: Path,
) -> None:
    """Cosign CHECKPOINT as a witness.

    FILE gets the checkpoint with a cosignature and the present time added. It says that the log
    only grew since all that this witness has cosigned before. So first the log's signature is
    verified, and with the tiles that the log begins with all that OLD covers: keep what was
    cosigned last, and name it with --since. A witness never goes back to fewer entries. No
    registry is needed.
    """
    if (since is None) != first:
        raise click.UsageError(
            "name the checkpoint cosigned last with --since, or say --first where there is none"
        )
    _keep(output, key_file)
    key = _witness_key(key_file)
    trust = TrustedLog(vkey.name, [vkey])
    data = _read(checkpoint)
    new = trust.open(data).checkpoint
    old = None
    if since is None:
        _check_first(key, checkpoint, output)
    else:
        old = _old(session.terminal, trust, key, since)
    check_growth(new, old, TileHashes(TileFolder(tiles), new.size))
    write_whole(_target(output), cosigned(data, key, int(time.time())))
    _tell(session.terminal, new, f"cosigned by {key.verifier_key.name}", output)


def _witness_key(path: Path) -> SigningKey:
    key = read_key(path)
    if key.verifier_key.kind is not KeyKind.COSIGNATURE:
        message = f"{path} is no witness's key: make one with `certledger key new --witness`"
        raise Failure(message)
    return key


def _check_first(key: SigningKey, *files: Path) -> None:
    for path in files:
        if path.is_file() and _bears(_read(path), key):
            message = f"{path} was cosigned by this witness before: name it with --since"
            raise Failure(message)


def _bears(data: bytes, key: SigningKey) -> bool:
    try:
        return is_cosigned(data, key.verifier_key)
    except EvidenceError:
        return False  # whatever it is, this witness did not cosign it


def _old(terminal: Terminal, trust: TrustedLog, key: SigningKey, path: Path) -> Checkpoint:
    data = _read(path)
    old = trust.open(data).checkpoint
    if not is_cosigned(data, key.verifier_key):
        terminal.warn(
            f"{path} does not bear this witness's cosignature: make sure that this witness has "
            "cosigned nothing newer"
        )
    return old


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        message = f"{path} is longer than {_LARGEST:,} bytes, so it is no checkpoint"
        raise Failure(message)
    return data


def _keep(output: Path | None, *files: Path) -> None:
    """Refuse to write the result over what must not be lost."""
    if output is not None and output.resolve() in {path.resolve() for path in files}:
        raise click.BadParameter(f"{output} is needed as it is", param_hint="'-o'")


def _target(output: Path | None) -> str | None:
    return None if output is None else str(output)


def _tell(terminal: Terminal, signed: Checkpoint, how: str, output: Path | None) -> None:
    place = "" if _target(output) in {None, "-"} else f", written to {output}"
    size = counted(signed.size, "entry", "entries")
    terminal.note(f"checkpoint of {size} {how}{place}; root {to_base64(signed.root)}")
