"""Errors and Ctrl-C at the command line: a message on stderr and an exit status, never a traceback."""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.errors import GossamerError


class ErrorHandlingGroup(TyperGroup):
    """Runs a command and turns a user's error, Ctrl-C and a full disk into a message and an exit status.

    A ``GossamerError`` exits with its own ``exit_code``; Ctrl-C and a full disk exit with 2. Any other exception is a
    defect of Gossamer and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps click's classes private
        """Run a command."""
        try:
            return super().invoke(ctx)
        except GossamerError as error:
            _print_error(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _print_error("interrupted: finished work is kept; run the same command again to resume")
            raise typer.Exit(2) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            path = error.filename or "disk"
            _print_error(
                f"error: {path}: no space left on the device; free some space, then run the same command again"
            )
            raise typer.Exit(2) from error


def _print_error(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201 - the output of a command line
