"""The entry point: the group of all commands, error handling and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Final, cast

import click
from click.exceptions import Exit, NoArgsIsHelpError
from cryptography.utils import CryptographyDeprecationWarning

from certledger import __version__
from certledger.cli import changes, checks, views
from certledger.cli.check import check
from certledger.cli.checkpoint import checkpoint, cosign
from certledger.cli.copy import copy
from certledger.cli.crl import crl
from certledger.cli.db import db
from certledger.cli.demo import demo
from certledger.cli.doctor import doctor
from certledger.cli.evidence import evidence
from certledger.cli.export import export
from certledger.cli.failures import FAILED, USAGE, failure, hide_passwords, is_checking
from certledger.cli.keys import key
from certledger.cli.mirror import mirror
from certledger.cli.prove import prove
from certledger.cli.restore import restore
from certledger.cli.session import Session, library_messages
from certledger.cli.terminal import Terminal
from certledger.cli.text import safe
from certledger.cli.verify import verify

PROGRAM: Final = "certledger"

_EPILOG = """\b
Exit codes: 0 done and clean; 1 refused, failed, or a check with findings;
2 wrong usage, and for check, mirror check, db current, doctor, drift and verify:
  could not run;
3 a CRL was signed although the certificates table contradicts the log.

\b
Shell completion, to be put into ~/.bashrc (or bash → zsh, fish):
  eval "$(_CERTLEDGER_COMPLETE=bash_source certledger)"
"""


class Application(click.Group):
    """A group whose errors are one line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of their work, not of the alphabet."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn what it raises into a `Failure`."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            checking = is_checking(ctx)
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                # Whoever read the output has seen enough.
                silence(sys.stdout)
                raise Exit(USAGE if checking else FAILED) from error
            if ctx.params["debug"]:
                sys.stderr.write(hide_passwords(traceback.format_exc()))
            raise failure(error, checking=checking) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        sys.exit(self._code(args, prog_name, complete_var, **extra))

    def _code(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        **extra: Any,
    ) -> int:
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return error.exit_code
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else PROGRAM
            text = error.format_message().rstrip(".")
            Terminal().error(f"{safe(hide_passwords(text))}; see `{command} --help`")
            return error.exit_code
        except click.ClickException as error:
            Terminal().error(error.format_message())
            return error.exit_code
        except click.Abort:
            Terminal().error("interrupted")
            return FAILED
        except OSError as error:
            silence(sys.stdout)
            if error.errno != errno.EPIPE:
                Terminal().error(f"the output cannot be written: {error.strerror}")
            return FAILED
        return result if isinstance(result, int) else 0


def silence(stream: IO[str]) -> None:
    """Keep Python from complaining at its end about what could not be written."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@click.group(
    PROGRAM,
    cls=Application,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--db",
    metavar="URL",
    envvar="CERTLEDGER_DB",
    default="sqlite:///ca_repository.db",
    show_envvar=True,
    show_default=True,
    help="The registry's database.",
)
@click.option("--actor", metavar="WHO", help="Who acts.  [default: the user of the system]")
@click.option(
    "--comment", metavar="WHY", help="Why: free text, a ticket; recorded with each change."
)
@click.option(
    "--allow-clock-behind",
    is_flag=True,
    help="Record although the clock is more than a day behind the log's last entry.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks, and what the library logs.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def cli(
    ctx: click.Context,
    db: str,
    actor: str | None,
    comment: str | None,
    allow_clock_behind: bool,
    debug: bool,
) -> None:
    """A certificate registry in which every change is an event in one append-only log."""
    terminal = Terminal()
    ctx.obj = Session(db, actor, comment, allow_clock_behind, terminal)
    ctx.with_resource(library_messages(terminal, debug=debug))
    # Zero and negative serial numbers and long names are what real certificates have, and no news
    # to the user.
    ctx.with_resource(warnings.catch_warnings())
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    warnings.filterwarnings("ignore", "Attribute's length must be")


for command in (
    changes.init,
    changes.register,
    changes.revoke,
    changes.expire,
    changes.delete,
    views.list_,
    views.show,
    views.expiring,
    views.history,
    views.log,
    crl,
    checkpoint,
    prove,
    evidence,
    check,
    export,
    restore,
    copy,
    mirror,
    cosign,
    key,
    checks.rebuild,
    checks.drift,
    verify,
    db,
    views.status,
    doctor,
    demo,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not stop a listing.
        cast("Any", stream).reconfigure(errors="backslashreplace")
    cli(prog_name=PROGRAM)
