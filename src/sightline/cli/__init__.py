"""The command line: one module a verb, and the one place where errors become a line and an exit code.

Exit codes: 0 done, 2 the user can mend it, 1 our bug, 130 interrupted. With --json a verb prints exactly one JSON
document on standard output; progress and logs go to standard error. Heavy imports happen inside the verbs.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from sightline.cli import (
    anatomy,
    compare,
    data,
    demo,
    deploy,
    evaluate,
    export,
    index,
    predict,
    reproduce,
    scratch,
    search,
    serve,
    train,
)
from sightline.core.errors import UserError, named

MENDABLE = {
    errno.ENOSPC: "the disk is full: free some space, or choose another place with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another place with --out",
    errno.EACCES: "permission denied: choose a place you may read and write",
    errno.EPERM: "permission denied: choose a place you may read and write",
    errno.EROFS: "the file system is read-only: choose another place with --out",
    errno.EEXIST: "a file stands where a folder is needed: choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another place",
    errno.EISDIR: "a folder stands where a file is needed: choose another place",
    errno.ENAMETOOLONG: "the file name is too long: choose a shorter one",
}


class Stopped(Exception):
    """An interrupt, out of Typer's hands: it would leave with 130 and lose what there is to say."""


class Verbs(TyperGroup):
    """The verbs; an interrupt in one of them arrives as Stopped."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Carry out the verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Stopped(str(stop)) from None


app = typer.Typer(
    cls=Verbs,
    name="sightline",
    help="A folder of pictures to a trained, compared, explained, searchable and served convolutional network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (data, train, compare, reproduce, evaluate, predict, index, search, export, serve, deploy, demo):
    app.command(name=verb.__name__.rsplit(".", 1)[1])(verb.command)
app.add_typer(anatomy.app, name="anatomy")
app.add_typer(scratch.app, name="scratch")


def version(show: bool) -> None:
    """Print the version and leave, when asked."""
    if show:
        from importlib.metadata import version as installed

        typer.echo(f"sightline {installed('sightline')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Show the version."),
) -> None:
    """Options before the verb."""


def main() -> None:
    """Run the command line and leave with its exit code; being terminated is being interrupted, and cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out `arguments` and return the exit code; what went wrong is one line on standard error."""
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", 130)
    except Stopped as stop:
        return _say(": ".join(["interrupted", *filter(None, [str(stop)])]), 130)
    except UserError as error:
        return _say(str(error), 2)
    except typer.TyperException as error:
        return _say(_usage(error), 2)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "sightline":
            raise
        return _say(f'this needs "{error.name}", which is not installed: pip install "sightline[train]"', 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        where = f"{named(error.filename)}: " if error.filename else ""
        return _say(where + MENDABLE[error.errno], 2)


def _usage(error: typer.TyperException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return message.rstrip(".") + ": see sightline --help"


def _say(message: str, code: int) -> int:
    print(message if code == 130 else "error: " + named(" ".join(message.splitlines())), file=sys.stderr)
    return code
