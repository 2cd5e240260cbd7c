"""Removes the work areas of finished stages: not when a stage ends, but when a later start finds its outputs recorded.

    ROOT/KEY/.finished  name and SHA-256 of the output that the area's entries were made for

Between the end of a stage's command and the line that DVC writes to dvc.lock lie seconds, in which DVC hashes and
copies the outputs. If a kill falls into them, DVC deletes the outputs at its next start, because dvc.lock does not name
them. The work area still has everything then.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.data.hashing import sha256_of
from pipeline.data.records import Record
from pipeline.data.scratch import PIPELINE
from pipeline.data.storage import read_json
from pipeline.data.work_cache import WorkCache, remove_area

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
