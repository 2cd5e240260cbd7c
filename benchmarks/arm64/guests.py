"""Formats that the ARM lab can run: those whose ``EXTRAS`` say how (``export.formats.Arm64Guest``)."""

from __future__ import annotations

from export.formats import Arm64Guest, extras_of, format_names, open_format


def arm64_guests() -> dict[str, Arm64Guest]:
    """Return how the lab runs each format that it can run, by format name."""
    guests = {name: extras_of(open_format(name)).arm64_guest for name in format_names()}
    return {name: guest for name, guest in guests.items() if guest}
