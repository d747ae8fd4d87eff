"""From a sweep's file to a queue that workers take jobs from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.files import is_folder, user_path, variable_path
from xglue_harness.sweeps.jobs import expand
from xglue_harness.sweeps.queue import FOLDER, Queue

if TYPE_CHECKING:  # pydantic takes a while, which a look at an output need not wait for
    from xglue_harness.sweeps.file import SweepFile

STORE = "XGLUE_STORE"


def begin(path: Path) -> Queue:
    """The queue of a sweep's file, with all of its jobs; what is done stays so, unless its results were removed.

    Args:
        path: of the file.

    Raises:
        SweepError: as `xglue_harness.sweeps.file.load` and `xglue_harness.sweeps.queue.Queue.add`.
    """
    from xglue_harness.sweeps.file import load

    sweep = load(path)
    queue = Queue(sweep.folder)
    source = user_path(path).absolute()
    queue.add(
        expand(sweep),
        source=source,
        attempts=sweep.attempts,
        store=store_of(sweep),
        keep_encoders=sweep.keep_encoders,
    )
    queue.redo_removed()
    queue.uncancel()
    return queue


def open_queue(path: Path) -> Queue:
    """The queue of a sweep that was begun.

    Args:
        path: of the sweep's file, or of its output, which needs no file any more.

    Raises:
        SweepError: where the file is malformed, or no sweep was begun.
    """
    path = user_path(path)
    if is_folder(path):
        queue = Queue(path.absolute())
    else:
        from xglue_harness.sweeps.file import load

        queue = Queue(load(path).folder)
    queue.jobs()
    return queue


def store_of(sweep: SweepFile) -> Path:
    """The store of fine-tuned encoders: the file's, ``$XGLUE_STORE``, or one in the queue's folder."""
    if sweep.store is not None:
        return Path(sweep.store)
    if given := os.environ.get(STORE):
        return variable_path(STORE, given).absolute()
    return sweep.folder / FOLDER / "store"
