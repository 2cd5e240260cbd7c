"""Temporary files and folders, which a rename makes final: where they lie, and which of them a killed process left.

    ROOT/.scratch.work/.NAME.PID.RANDOM  ROOT is the nearest folder above that has a dvc.yaml
    FOLDER/.NAME.PID.RANDOM              beside the final place: within a work area, and where there is no dvc.yaml

Git and DVC ignore ``*.work``, so what a killed process leaves is in no dependency and no output of a stage. A process
locks what it writes (flock), and the system frees the lock however the process ends. So what nobody has locked was left
behind, and is removed when the next process writes; process ids say nothing about that, as containers use them again.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

SCRATCH = ".scratch.work"
WORK_SUFFIX = ".work"
PIPELINE = "dvc.yaml"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NAME = re.compile(r"\.(?P<target>.+)\.\d{1,9}\.[a-z0-9_]{8}")


@contextmanager
def scratch_file(path: Path, place: Path | None = None) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a new temporary file that is to become ``path``; it is removed at the end if it still has this name.

    Args:
        path: The final path. The file's mode is what the umask leaves of 0666.
        place: Folder of the temporary file; None: the folder that the module's docstring names.
    """
    scratch, descriptor = _claim(path, place, folder=False)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:  # the lock lasts until both descriptors are closed
            yield scratch, file
    finally:
        scratch.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def scratch_folder(path: Path, place: Path | None = None) -> Iterator[Path]:
    """Make a new temporary folder for what is to become ``path``; it is removed at the end with what is left in it."""
    scratch, descriptor = _claim(path, place, folder=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
        os.close(descriptor)


def move_file(source: Path, target: Path) -> None:
    """Rename a file, in place of an earlier one; between two file systems it is copied beside its target first."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with scratch_file(target, target.parent) as (beside, file):
            file.close()
            shutil.copyfile(source, beside)
            beside.replace(target)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder to a free name; between two file systems it is copied beside its target first."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with scratch_folder(target, target.parent) as beside:
            shutil.copytree(source, beside / target.name)
            (beside / target.name).rename(target)


def remove_stale_scratch(folder: Path, target: str | None = None) -> None:
    """Remove temporary files and folders that killed processes left in a folder; those of running processes stay.

    Args:
        folder: Where to look; subfolders are not searched.
        target: Only what was to become the file or folder of this name; None: all.
    """
    try:
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        match = _NAME.fullmatch(path.name)
        if match is not None and target in (None, match["target"]) and not path.is_symlink():
            _remove_unless_locked(path)


def place_of(path: Path) -> Path:
    """Return the folder in which the temporary file or folder of a path lies."""
    for folder in path.absolute().parents:
        if folder.suffix == WORK_SUFFIX:
            return path.parent
        if (folder / PIPELINE).is_file():
            return folder / SCRATCH
    return path.parent


def _claim(path: Path, place: Path | None, *, folder: bool) -> tuple[Path, int]:
    """Make and lock a temporary file or folder; returns it with a descriptor that holds the lock."""
    if place is None:
        place = place_of(path)
        _tidy(place, path)
    place.mkdir(parents=True, exist_ok=True)
    while True:
        scratch = place / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            if folder:
                scratch.mkdir(mode=0o700)
            descriptor = os.open(scratch, os.O_RDONLY) if folder else os.open(scratch, _NEW_FILE, 0o666)
        except FileNotFoundError:
            continue  # another process took it for left behind, before it was locked
        _lock(descriptor, fcntl.LOCK_EX)
        if scratch.exists():
            return scratch, descriptor
        os.close(descriptor)


def _tidy(place: Path, path: Path) -> None:
    """Remove what killed processes left: in the common folder, once, and beside ``path``, as earlier versions did."""
    if place.name == SCRATCH:
        _tidy_once(place)
        remove_stale_scratch(path.parent, path.name)


@functools.cache
def _tidy_once(place: Path) -> None:
    remove_stale_scratch(place)


def _remove_unless_locked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return  # gone, or not ours
    try:
        if _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, operation: int) -> bool:
    """Lock a file or folder; returns whether that was done, which some network file systems cannot do."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError:
        return False
    return True
