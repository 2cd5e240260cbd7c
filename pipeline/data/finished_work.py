"""Removes what can be made again: work areas of finished stages, and on request the outputs that DVC has recorded.

A work area is not removed when its stage ends, but when a later start finds the outputs recorded:

    ROOT/KEY/.finished  name and SHA-256 of the output that the area's entries were made for

Between the end of a stage's command and the line that DVC writes to dvc.lock lie seconds, in which DVC hashes and
copies the outputs. If a kill falls into them, DVC deletes the outputs at its next start, because dvc.lock does not name
them. The work area still has everything then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.hashing import sha256_of
from pipeline.data.records import Record
from pipeline.data.scratch import PIPELINE
from pipeline.data.storage import read_json
from pipeline.data.work_cache import WorkCache, remove_area
from pipeline.errors import DataError

if TYPE_CHECKING:
    from dvc.output import Output

FINISHED = ".finished"
_AREAS = ("*.work", "*/*.work")


class Finished(Record):
    """The output of a finished stage.

    Attributes:
        out: The output, relative to the root of the work area.
        sha256: Hash of the output.
    """

    out: str
    sha256: str


def work_area(out: Path) -> Path:
    """Return the root of the work area of an output: OUT.work beside it."""
    return out.with_name(f"{out.name}.work")


def mark_finished(cache: WorkCache, out: Path) -> None:
    """Note that an output is complete, so that a later start may remove the work area."""
    mark = Finished(out=os.path.relpath(out, cache.folder.parent), sha256=sha256_of(out))
    with cache.write(FINISHED) as file:
        file.write(mark.model_dump_json().encode())


def clear_finished_work(folder: Path) -> None:
    """Remove the work areas in a checkout whose outputs are complete and, in a DVC repository, in its dvc.lock.

    Args:
        folder: The checkout; the work areas lie in it or in its direct subfolders.
    """
    for path in [mark for pattern in _AREAS for mark in folder.glob(f"{pattern}/*/{FINISHED}")]:
        cache = WorkCache(path.parent)
        root = cache.folder.parent
        if cache.has(FINISHED):
            mark = read_json(path, Finished)
            out = Path(os.path.normpath(root / mark.out))
            if out.exists() and sha256_of(out) == mark.sha256 and _is_recorded(out):
                remove_area(root)


@dataclass(frozen=True, slots=True)
class Removal:
    """What ``remove_outputs`` did, as paths relative to the checkout.

    Attributes:
        removed: Outputs and work areas that are gone.
        kept: Output that stays -> why.
    """

    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def remove_outputs(folder: Path, shown: Sequence[str] = ()) -> Removal:
    """Remove the outputs that ``dvc checkout`` restores, and the work areas.

    An output stays if it is not as DVC recorded it, e.g. because somebody put a file into it, or if DVC's cache lacks
    it. Other files are not touched, and folders go only when they are empty.

    Args:
        folder: The checkout.
        shown: Outputs that Git ignores and DVC does not cache, and files that are written with them: removed if the
            first is as DVC recorded it.

    Raises:
        DataError: The folder is not a checkout with DVC, or DVC cannot read dvc.yaml or dvc.lock.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    removal = Removal()
    try:
        with Repo(str(folder)) as repo:
            _remove_recorded(repo.index.outs, folder, shown, removal)
    except DvcException as error:
        raise DataError(f"{folder}: {error}; expected the root of a checkout with DVC; run from there") from error
    for name in shown if shown and shown[0] in removal.removed else ():
        (folder / name).unlink(missing_ok=True)
    for area in sorted(path for pattern in _AREAS for path in folder.glob(pattern) if path.is_dir()):
        remove_area(area)
        removal.removed.extend([] if area.exists() else [area.relative_to(folder).as_posix()])
    for parent in {(folder / name).parent for name in removal.removed} - {folder}:
        with suppress(OSError):  # not empty
            parent.rmdir()
    return removal


def _remove_recorded(outs: Iterable[Output], folder: Path, shown: Sequence[str], removal: Removal) -> None:
    for out in outs:
        name = os.path.relpath(out.fs_path, folder.absolute())
        if not out.exists or out.persist or not (out.use_cache or name in shown):
            continue
        if out.changed_checksum():
            removal.kept[name] = "not as dvc.lock records it"
        elif out.use_cache and out.changed_cache():
            removal.kept[name] = "not in DVC's cache, which could not restore it"
        else:
            out.remove()
            removal.removed.append(name)


def _is_recorded(out: Path) -> bool:
    """Whether DVC will not delete an output as unknown: dvc.lock names its contents, or it is no output of a stage."""
    root = next((parent for parent in out.absolute().parents if (parent / PIPELINE).is_file()), None)
    if root is None:
        return True
    from dvc.exceptions import DvcException, NotDvcRepoError, OutputNotFoundError
    from dvc.repo import Repo

    path = root.resolve() / out.absolute().relative_to(root)
    try:
        with Repo(str(root)) as repo:
            return not any(found.changed_checksum() for found in repo.find_outs_by_path(str(path)))
    except (NotDvcRepoError, OutputNotFoundError):
        return True
    except DvcException:
        return False  # dvc.yaml or dvc.lock cannot be read: DVC itself says why
