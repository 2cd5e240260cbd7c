"""The roof: one typer app, ``gossamer``. Each command loads params, reads rows, calls a stage's run and writes rows.

Stages are imported when their command runs, so that ``gossamer --help`` answers at once. Paths are arguments with the
defaults that dvc.yaml uses; every other value lives in params.yaml.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from pipeline.errors import GossamerError


class GuardedGroup(TyperGroup):
    """Turns a user's error into a message and an exit code, and Ctrl-C into a promise: nothing made is lost."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command."""
        try:
            return super().invoke(ctx)
        except GossamerError as error:
            _say(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _say("interrupted: what was finished is kept; run the same command again to go on from there")
            raise typer.Exit(2) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            _say(f"error: {error.filename or 'the disk'}: no space left; free some and run the same command again")
            raise typer.Exit(2) from error


def _say(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201 - the command line's own voice


app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="From a written policy to a phone-ready model, and the proof of how well it does. Start with: dvc repro",
)

In = Annotated[Path, typer.Argument(help="read")]
Out = Annotated[Path, typer.Argument(help="write")]
