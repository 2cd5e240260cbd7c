"""The guard at the door: turns a user's error into a message and an exit code, never a traceback.

``In`` and ``Out`` are the paths that commands take: what they read, and what they write.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.errors import GossamerError

In = Annotated[Path, typer.Argument(help="read")]
Out = Annotated[Path, typer.Argument(help="write")]


class GuardedGroup(TyperGroup):
    """Turns a user's error into a message and an exit code, and Ctrl-C into a promise: nothing made is lost."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps click's classes private
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
