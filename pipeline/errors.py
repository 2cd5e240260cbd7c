"""Errors that a user can correct. A message gives the place, what was found, what was expected and the next command.

Only ``pipeline.cli_errors`` catches every kind: it prints the message, not a traceback, and exits with ``exit_code``.
"""

from __future__ import annotations


class GossamerError(Exception):
    """Base of every error that a user can correct; ``gossamer`` exits with ``exit_code``."""

    exit_code = 2


class ParamsError(GossamerError):
    """A key or value in params.yaml is unknown, missing or out of range."""


class PolicyError(GossamerError):
    """A policy file cannot be read, contradicts itself, or excludes every picture."""


class DataError(GossamerError):
    """Rows, images or measurements on disk are missing, corrupt, or do not belong together."""


class ModelError(GossamerError):
    """A model folder, checkpoint or artifact is missing, corrupt, or not of the expected kind."""


class ReleaseRefusedError(GossamerError):
    """The gate's verdict is not a pass."""

    exit_code = 1
