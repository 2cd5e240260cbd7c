"""Errors and Ctrl-C at the command line: a message on stderr and an exit status, never a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.errors import GossamerError, InterruptedRunError

_OWN = ("pipeline", "export", "benchmarks")
_STAGES = "the command needs what the stages need: make repro installs it, or pip install 'gossamer[stages]'"
_PERMISSION = "expected a path that you may read and write; check its permissions: ls -ld"
_SPACE = "free some space, then run the same command again"
ADVICE: Mapping[int, str] = {
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "expected a file system that can be written; choose another folder",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "expected a file system that takes files of this size; choose another folder",
    errno.EISDIR: "expected a file; move the folder away",
    errno.ENOTDIR: "expected a folder; move the file away",
    errno.EEXIST: "expected no file of this name, or a folder; move it away",
    errno.ENOENT: "expected an input that its stage has written (dvc repro), or a folder that takes the output",
    errno.ENAMETOOLONG: "expected a shorter path",
    errno.ELOOP: "expected a path without a circle of links",
    errno.EIO: "the device failed; check it, then run the same command again",
    errno.EMFILE: "allow more open files, then run the same command again: ulimit -n",
}
"""What to do where the system refuses a file or folder; any other error of the system is a defect of Gossamer."""


class ErrorHandlingGroup(TyperGroup):
    """Runs a command and turns a user's error, Ctrl-C and a refusal of the system into a message and an exit status.

    A ``GossamerError`` exits with its own ``exit_code``; Ctrl-C, a package that is not installed, and a file or folder
    that cannot be read or written, with 2. Any other exception is a defect of Gossamer and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps click's classes private
        """Run a command."""
        try:
            return super().invoke(ctx)
        except GossamerError as error:
            print_note(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in _OWN:
                raise
            print_note(f"error: {missing} is not installed; {_STAGES}")
            raise typer.Exit(2) from error
        except InterruptedRunError as error:
            print_note(f"interrupted: {error}; run the same command again to resume")
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            print_note("interrupted; run the same command again")
            raise typer.Exit(2) from error
        except OSError as error:
            advice = ADVICE.get(error.errno or 0)
            if advice is None or (error.filename is None and error.errno == errno.ENOENT):
                raise
            path = error.filename2 or error.filename or "a file"
            print_note(f"error: {path}: {(error.strerror or '').lower()}; {advice}")
            raise typer.Exit(2) from error


def print_note(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr)  # noqa: T201 - the output of a command line
