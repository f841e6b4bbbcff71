"""The commands for keys that sign checkpoints: key new, key show."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from certledger.cli.failures import Failure
from certledger.cli.session import Session, pass_session
from certledger.errors import InvalidEvent, MalformedEvidence
from certledger.eventstore.event import check_origin
from certledger.eventstore.tlog.keyfile import read_key_file, write_key_file
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, check_name

PASSPHRASE_VARIABLE: Final = "CERTLEDGER_KEY_PASSPHRASE"  # noqa: S105 # the name of one

_file = click.Path(dir_okay=False, path_type=Path)


def read_key(path: Path) -> SigningKey:
    """Read a key file.

    The passphrase of an encrypted one comes from the environment, else from the user where there
    is a terminal.
    """
    return read_key_file(path, lambda: _passphrase(f"Passphrase of {path}", new=False))


@click.group()
def key() -> None:
    """Make and show keys that sign checkpoints."""


@key.command()
@click.option("--name", metavar="ORIGIN", required=True, help="Whose key: the log's origin.")
@click.option("-o", "--output", metavar="FILE", type=_file, required=True, help="The file to make.")
@click.option("--witness", is_flag=True, help="Make a witness's key: it cosigns checkpoints.")
@click.option(
    "--passphrase/--no-passphrase",
    "wanted",
    default=None,
    help="Encrypt the file or not.  [default: where the passphrase is in the environment]",
)
@pass_session
def new(session: Session, name: str, output: Path, witness: bool, wanted: bool | None) -> None:
    """Make a key, and print its verifier key line.

    The private key goes into FILE, which only its owner can read, and which is never written over.
    Give the verifier key line to all who are to check what the key signs. A log's key bears the
    log's origin as its name; that of a witness has a name of its own. The passphrase is taken from
    the environment variable CERTLEDGER_KEY_PASSPHRASE, else asked for.
    """
    _check_name(name, witness=witness)
    if str(output) == "-":
        raise click.BadParameter("a private key is not written to a stream", param_hint="'-o'")
    encrypted = wanted if wanted is not None else PASSPHRASE_VARIABLE in os.environ
    passphrase = _passphrase("Passphrase of the new key", new=True) if encrypted else None
    made = SigningKey.generate(name, KeyKind.COSIGNATURE if witness else KeyKind.ED25519)
    write_key_file(output, made, passphrase)
    session.terminal.say(made.verifier_key.to_text())
    protection = "encrypted" if encrypted else "not encrypted"
    session.terminal.note(
        f"{output} holds the private key, {protection}: who has it can sign as {name}; keep a copy"
    )


@key.command()
@click.argument("file", type=_file)
@pass_session
def show(session: Session, file: Path) -> None:
    """Print the verifier key line of the key in FILE, and nothing else."""
    session.terminal.say(read_key(file).verifier_key.to_text())


def _check_name(name: str, *, witness: bool) -> None:
    try:
        if witness:
            check_name(name)
        else:
            check_origin(name)
    except (InvalidEvent, MalformedEvidence) as error:
        raise click.BadParameter(str(error), param_hint="'--name'") from error
    # Such characters could not be shown as they are, and the line must be exact.
    if not name.isprintable():
        raise click.BadParameter("the name holds invisible characters", param_hint="'--name'")


def _passphrase(prompt: str, *, new: bool) -> bytes:
    found = os.environ.get(PASSPHRASE_VARIABLE)
    if found is None:
        if not sys.stdin.isatty():
            message = f"no passphrase: set {PASSPHRASE_VARIABLE}, or run this on a terminal"
            raise Failure(message)
        found = click.prompt(prompt, hide_input=True, err=True, confirmation_prompt=new)
    # The environment may hold any bytes.
    return os.fsencode(str(found))
